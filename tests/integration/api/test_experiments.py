"""`GET /experiments` filters, sorts and paginates, and `GET /experiments/{experiment}` returns one experiment."""

import random
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples

from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref, experiment_id
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics.open_loops import experiments_forgotten, experiments_overdue
from service.metrics.view import View
from service.presentation.experiments import EXPERIMENT
from service.storage import experiments
from service.storage.database import Database
from tests.support.builders import Issue, PullRequest, at, experiment, renamed, taken_up, terms, workflow_run
from tests.support.drawn import portfolios
from tests.support.road import api, bearer, deliver, is_problem, post, store_experiments

NOW = at(20)
TOKENS = {"read": "r3ad-t0ken", "write": "wr1te-t0ken", "admin": "adm1n-t0ken"}
SORTS = ("idea_at", "-idea_at", "concluded_at", "-concluded_at", "last_activity_at", "-last_activity_at")


async def _pages(client: httpx.AsyncClient, **query: Any) -> AsyncIterator[list[str]]:
    """The roots on each page."""
    cursor = None
    while True:
        answer = await client.get("/experiments", params={**query, **({"cursor": cursor} if cursor else {})})
        assert answer.status_code == 200, answer.text
        yield [one["root"] for one in answer.json()["experiments"]]
        cursor = answer.json()["next"]
        if cursor is None:
            return


async def _listed(client: httpx.AsyncClient, **query: Any) -> list[str]:
    """The roots on all pages, in the order of the list."""
    return [root async for page in _pages(client, **query) for root in page]


FULL = experiment(
    "github:acme/app#45",
    idea_at=at(2),
    risk=Risk.BOLD,
    started_at=at(2, "10:30:00"),
    first_signal_at=at(3, "14:07:31"),
    concluded_at=at(6, "11:05:17"),
    outcome=Outcome.FAILED,
    failure_category=FailureCategory.INTELLIGENT,
    last_activity_at=at(6, "11:06:00"),
)


async def test_an_experiment_matches_the_example_in_the_openapi_document(database: Database) -> None:
    await store_experiments(database, FULL)
    async with api(database, now=NOW) as client:
        one = await client.get("/experiments/github:Acme/App%2345")
        by_id = await client.get(f"/experiments/{FULL.id}")
        listed = await client.get("/experiments")
    assert one.json() == EXPERIMENT
    assert by_id.json() == one.json()
    assert listed.json() == {"experiments": [one.json()], "next": None}


async def test_an_open_experiment_shows_its_age_and_whether_it_is_late(database: Database) -> None:
    await store_experiments(
        database, experiment("key:open", idea_at=at(2), restarts=(taken_up(at(3), timedelta(hours=30)),))
    )
    async with api(database, now=at(20, "10:00:00"), forgotten_after=timedelta(days=18)) as client:
        shown = (await client.get("/experiments/key:open")).json()
    assert shown["age"] == {"seconds": 18 * 86400.0 + 3600, "words": "18 days 1 hour"}
    assert (shown["overdue"], shown["forgotten"]) == (True, True)
    assert shown["again"] == [
        {"at": "2026-03-03T09:00:00Z", "concluded": True, "quiet": {"seconds": 108000.0, "words": "1 day 6 hours"}}
    ]
    assert shown["stages"] == {}


LIST = (
    experiment("key:a", idea_at=at(1), team="search", started_at=at(2)),
    experiment("key:b", idea_at=at(2), team="ads", concluded_at=at(9), outcome=Outcome.WORKED),
    experiment(
        "key:c",
        idea_at=at(3),
        team="ads",
        concluded_at=at(8),
        outcome=Outcome.FAILED,
        failure_category=FailureCategory.BASIC,
        last_activity_at=at(19),
    ),
    experiment("key:d", idea_at=at(4), team=""),
    experiment("key:e", idea_at=at(4), team="_ours", concluded_at=at(10)),
    experiment("key:f", idea_at=at(21), team="search"),
)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, "abcdef"),
        ({"team": "ADS"}, "bc"),
        ({"team": " search "}, "af"),
        ({"team": "_none"}, "de"),
        ({"team": "nobody"}, ""),
        ({"state": "proposed"}, "df"),
        ({"state": "running"}, "a"),
        ({"state": "open"}, "adf"),
        ({"state": "concluded"}, "bce"),
        ({"outcome": "undeclared"}, "e"),
        ({"outcome": "worked", "team": "ads"}, "b"),
        ({"failure_category": "basic"}, "c"),
        ({"overdue": "true"}, "ad"),
        ({"overdue": "false"}, "bcef"),
        ({"forgotten": "true"}, "ad"),
        ({"forgotten": "true", "overdue": "false"}, ""),
        ({"forgotten": "false", "state": "proposed"}, "f"),
        ({"since": "2026-03-02T09:00:00Z", "until": "2026-03-04T09:00:00Z"}, "bc"),
        ({"until": "2026-03-02T10:00:00+01:00"}, "a"),
        ({"ref": "key:c"}, "c"),
        ({"ref": str(experiment_id(Ref("key:c")))}, "c"),
        ({"ref": "key:c", "team": "search"}, ""),
        ({"ref": str(UUID(int=1))}, ""),
        ({"ref": "key:unknown"}, ""),
    ],
)
@pytest.mark.parametrize("limit", [1, 500])
async def test_filters_combine(database: Database, query: dict[str, str], found: str, limit: int) -> None:
    await store_experiments(database, *LIST)
    async with api(database, now=NOW, forgotten_after=timedelta(days=15)) as client:
        listed = await _listed(client, sort="idea_at", limit=limit, **query)
    assert [root.removeprefix("key:") for root in sorted(listed)] == list(found)


async def test_each_sort_uses_its_own_time_and_the_sort_by_conclusion_omits_open_experiments(
    database: Database,
) -> None:
    await store_experiments(database, *LIST)
    async with api(database, now=NOW) as client:
        listed = {sort: await _listed(client, sort=sort, limit=2) for sort in SORTS}
        usual = await _listed(client)
    at_once = ["key:d", "key:e"] if LIST[3].id < LIST[4].id else ["key:e", "key:d"]
    assert listed["idea_at"] == ["key:a", "key:b", "key:c", *at_once, "key:f"]
    assert listed["concluded_at"] == ["key:c", "key:b", "key:e"]
    assert listed["last_activity_at"] == ["key:a", "key:d", "key:b", "key:e", "key:c", "key:f"]
    for sort in ("idea_at", "concluded_at", "last_activity_at"):
        assert listed[f"-{sort}"] == listed[sort][::-1]
    assert usual == listed["-idea_at"]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("seed", range(3))
async def test_an_unchanged_experiment_is_on_exactly_one_page_while_others_change_between_pages(
    database: Database, sort: str, seed: int
) -> None:
    draw = random.Random(f"{sort} {seed}")

    def made(number: int) -> Experiment:
        # Use few distinct times, so that many experiments have the same time.
        idea, end = at(draw.randrange(1, 6)), at(draw.randrange(6, 9))
        return experiment(f"key:{number}", idea_at=idea, concluded_at=end, last_activity_at=at(draw.randrange(9, 12)))

    stays = [made(number) for number in range(40)]
    others = {number: made(number) for number in range(100, 140)}
    await store_experiments(database, *stays, *others.values())
    seen: list[str] = []
    async with api(database, now=NOW) as client:
        async for page in _pages(client, sort=sort, limit=3):
            seen += page
            gone = draw.sample(sorted(others), min(2, len(others)))
            changed = {number: made(number) for number in draw.sample(range(100, 200), 4)}
            others = {number: one for number, one in others.items() if number not in gone} | changed
            await store_experiments(database, *changed.values(), gone=[f"key:{number}" for number in gone])
    steady = [root for root in seen if root in {one.root for one in stays}]
    assert sorted(steady) == sorted(one.root for one in stays)


async def test_a_cursor_is_valid_for_one_list_only(database: Database) -> None:
    await store_experiments(database, *LIST)
    async with api(database, now=NOW) as client:
        page: dict[str, str | int] = {"limit": 1, "team": "ads"}
        cursor = (await client.get("/experiments", params=page)).json()["next"]
        longer = await client.get("/experiments", params={**page, "limit": 7, "cursor": cursor})
        wrong = [
            await client.get("/experiments", params={**page, "cursor": one, **query})
            for one, query in (
                (cursor, {"sort": "idea_at"}),
                (cursor, {"team": "search"}),
                (cursor, {"overdue": "true"}),
                ("strange", {}),
                (cursor[:-8], {}),
                ("MjAyNi0wMy0wMlQwOTowMDowMCswMDowMCAw", {}),
            )
        ]
        empty = await client.get("/experiments", params={**page, "cursor": ""})
    assert [one["root"] for one in longer.json()["experiments"]] == ["key:b"]
    assert is_problem(empty, 422, "invalid")
    assert all(is_problem(response, 422, "invalid-cursor") for response in wrong)
    assert "this sort and these filters" in wrong[0].json()["detail"]


@examples(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(portfolios())
async def test_lists_of_late_experiments_have_the_length_that_the_metrics_report(
    database: Database, portfolio: list[Experiment]
) -> None:
    async with database.transaction() as connection:
        await experiments.replace(connection, portfolio, [])
        everything = {one.root for one in await experiments.read_all(connection)}
        await experiments.replace(connection, [], [Ref(root) for root in everything - {one.root for one in portfolio}])
    thresholds = {"default": timedelta(days=9), "search": timedelta(days=3), "cloud": timedelta(days=30)}
    forgotten_after = timedelta(days=5)
    async with api(database, now=NOW, thresholds=thresholds, forgotten_after=forgotten_after) as client:
        listed = {
            name: {
                team: len(await _listed(client, team=team, limit=500, **{name: "true"}))
                for team in ("ads", "search", "cloud", "_none")
            }
            for name in ("overdue", "forgotten")
        }
        shown = (await client.get("/experiments", params={"limit": 500})).json()["experiments"]
    view = View.of(portfolio, terms("7d", thresholds=thresholds, forgotten_after=forgotten_after), NOW)
    for name, metric in (("overdue", experiments_overdue), ("forgotten", experiments_forgotten)):
        [family] = metric(view)
        told = {sample.labels["team"]: sample.value for sample in family.samples}
        assert listed[name] == {team: told.get(team, 0) for team in listed[name]}
        assert sum(one[name] for one in shown) == sum(told.values())


async def test_any_reference_and_any_name_finds_an_experiment(database: Database) -> None:
    pull = PullRequest(created_at=at(3))
    issue = Issue(created_at=at(2))
    await deliver(database, issue.opened(), pull.opened(), workflow_run(pull.head, at(4)))
    await deliver(database, Issue(number=46, created_at=at(2)).opened(), renamed("app", "acme/new", at(6)))
    async with api(database, now=NOW) as client:
        named = ("github:acme/app#45", "github:acme/new#45", "github:acme/app!7", f"commit:{pull.head}")
        found = {name: await _listed(client, ref=name) for name in named}
        one = await client.get("/experiments/github:acme/app%2345")
        of_evidence = await client.get(f"/experiments/commit:{pull.head}")
    assert found == {name: ["github:acme/new#45"] for name in named}
    assert one.json()["root"] == "github:acme/new#45"
    assert is_problem(of_evidence, 404, "unknown-subject")
    assert "evidence for github:acme/new#45" in of_evidence.json()["detail"]


async def test_the_answer_for_a_reference_without_an_experiment_has_the_reason_and_a_next_step(
    database: Database,
) -> None:
    await deliver(database, Issue(number=1, labels=(), created_at=at(2)).opened())
    async with api(database, now=NOW) as client:
        unmarked = await client.get("/experiments/github:acme/app%231")
        unknown = await client.get("/experiments/github:acme/app%232")
        unknown_id = await client.get(f"/experiments/{UUID(int=1)}")
        nonsense = await client.get("/experiments/nonsense")
        listed = await client.get("/experiments", params={"ref": "nonsense"})
        await post(client, Issue(number=2, created_at=at(2)).opened())
        events = await client.get("/experiments/github:acme/app%232/events")
    assert all(is_problem(one, 404, "unknown-subject") for one in (unmarked, unknown, unknown_id))
    assert "GET /experiments/github:acme/app#1/explain says why" in unmarked.json()["detail"]
    assert "GET /deliveries" in unknown.json()["detail"]
    assert "look it up by its reference" in unknown_id.json()["detail"]
    assert is_problem(nonsense, 422, "bad-reference")
    assert is_problem(listed, 422, "bad-reference")
    assert (events.status_code, events.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "sort=title",
        "state=closed",
        "outcome=good",
        "team=_other",
        "team=%00",
        "team=",
        "ref=%00",
        "overdue=perhaps",
        "since=yesterday",
        "since=2026-03-01T00:00:00",
        "until=9999-12-31T23:59:59-23:00",
    ],
)
async def test_an_invalid_filter_is_refused_with_the_reason(database: Database, query: str) -> None:
    async with api(database) as client:
        response = await client.get(f"/experiments?{query}")
    assert is_problem(response, 422, "invalid")
    assert f"query.{query.partition('=')[0]}: " in response.json()["detail"]


@pytest.mark.parametrize("path", ["/experiments", "/experiments/key:a", "/experiments/key:a/explain"])
@pytest.mark.parametrize(
    ("token", "status"), [("", 401), ("wr1te-t0ken", 401), ("r3ad-t0ken", 200), ("adm1n-t0ken", 200)]
)
async def test_experiments_require_the_read_token(database: Database, path: str, token: str, status: int) -> None:
    await store_experiments(database, LIST[0])
    headers = {"authorization": f"Bearer {token}"} if token else {}
    async with api(database, api_tokens=TOKENS) as client:
        response = await client.get(path, headers=headers)
    known = status if status != 200 or not path.endswith("explain") else 404
    assert response.status_code == known


async def test_without_a_database_a_list_is_answered_503_with_retry_after(gone: Database) -> None:
    async with api(gone) as client:
        listed, one = await client.get("/experiments"), await client.get("/experiments/key:a")
    assert is_problem(listed, 503, "database-unavailable")
    assert is_problem(one, 503, "database-unavailable")


async def test_a_change_of_an_experiment_is_visible_at_once(database: Database) -> None:
    await store_experiments(database, LIST[0])
    await store_experiments(database, replace(LIST[0], title="Another", team="ads"))
    async with api(database, now=NOW) as client:
        shown = (await client.get("/experiments", params={"team": "ads"})).json()["experiments"]
    assert [one["title"] for one in shown] == ["Another"]


async def test_no_title_and_no_path_in_an_answer_controls_the_terminal(database: Database) -> None:
    title = "Answer\u202e from \x9b31mthe\x7f cache"
    await deliver(database, Issue(created_at=at(2), title=title).opened())
    async with api(database, NOW, api_tokens=TOKENS) as client:
        headers = bearer(TOKENS["read"])
        listed = await client.get("/experiments", headers=headers)
        explained = await client.get("/experiments/github:acme%2Fapp%2345/explain", headers=headers)
        unknown = await client.get("/experiments/gith\u202eub", headers=headers)
        refused = await client.post("/webhooks/gi\u202ehub", content=b"{}")
    assert [one["title"] for one in listed.json()["experiments"]] == [title]
    for answer in (listed, explained, unknown, refused):
        assert [line for line in answer.text.split("\n") if not line.isprintable()] == [], answer.text
