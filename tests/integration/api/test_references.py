"""The API finds a subject by what people have at hand, and lists the subjects if there are several."""

from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from service.lifecycle.events import Declared
from service.lifecycle.references import Ref
from service.storage.database import Database
from service.storage.recording import InterpretedDelivery, record_deliveries
from tests.support.builders import Issue, PullRequest, at, experiment, renamed, workflow_run
from tests.support.road import api, deliver, is_problem, project, settle, store_experiments

SHA = "0a1b2c3d4e5f60718293a4b5c6d7e8f901234567"
SIBLING = "0a1b2c3dffffffffffffffffffffffffffffffff"
NOW = at(20)
GITLAB_ISSUE = "gitlab:acme/app#45"


async def roots(client: httpx.AsyncClient, ref: str) -> list[str]:
    """The roots that `?ref=` lists."""
    answer = await client.get("/experiments", params={"ref": ref})
    assert answer.status_code == 200, answer.text
    return [one["root"] for one in answer.json()["experiments"]]


async def explained(client: httpx.AsyncClient, named: str) -> httpx.Response:
    return await client.get(f"/experiments/{quote(named, safe='')}/explain")


async def cloud_event(client: httpx.AsyncClient, subject: str, number: int = 1, **data: Any) -> httpx.Response:
    """Post an event about an experiment."""
    event = {
        "specversion": "1.0",
        "id": str(number),
        "source": "/test",
        "type": "dev.loopgauge.experiment.proposed",
        "subject": subject,
        "time": "2026-03-02T09:00:00Z",
        "data": data,
    }
    return await client.post("/events", json=event, headers={"content-type": "application/cloudevents+json", **WRITE})


TOKENS = {"write": "wr1te-t0ken"}
WRITE = {"authorization": "Bearer wr1te-t0ken"}


@pytest.mark.oldest_postgresql_too
@pytest.mark.parametrize(
    "named",
    [
        "https://github.com/acme/app/issues/45",
        "HTTPS://GitHub.com/Acme/App/issues/45?x=1#issuecomment-1",
        "https:/github.com/acme/app/issues/45/",
        "github.com/acme/app/issues/45",
        "https://code.example.com/acme/app/issues/45",
        "https%3A%2F%2Fgithub.com%2Facme%2Fapp%2Fissues%2F45",
        "acme/app#45",
        "GitHub:Acme/App#45",
        "36aeaa1b-75b3-55d0-a416-c9a9e568c6e1",
        "`36AEAA1B-75b3-55d0-a416-c9a9e568c6e1`.",
        "[Cache (answers)](https://github.com/acme/app/issues/45#issuecomment-1).",
    ],
)
async def test_an_experiment_is_found_by_what_people_have_at_hand(database: Database, named: str) -> None:
    await deliver(database, Issue(created_at=at(2)).opened())
    async with api(database, now=NOW) as client:
        assert await roots(client, named) == ["github:acme/app#45"]
        assert (await client.get(f"/experiments/{quote(named, safe='')}")).json()["root"] == "github:acme/app#45"
        assert (await explained(client, named)).json()["subject"] == "github:acme/app#45"


async def test_the_address_of_an_experiment_may_stand_in_the_path_as_it_is(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2)).opened())
    async with api(database, now=NOW) as client:
        for written in ("https://github.com/acme/app/issues/45", "https:/github.com/acme/app/issues/45"):
            assert (await client.get(f"/experiments/{written}")).json()["root"] == "github:acme/app#45"
            assert (await client.get(f"/experiments/{written}/explain")).json()["subject"] == "github:acme/app#45"


@pytest.mark.parametrize(
    "named",
    [
        "https://github.com/acme/app/pull/7/files",
        "https://github.com/acme/app/issues/7",
        "acme/app#7",
        "acme/app!7",
        f"https://github.com/acme/app/commit/{SHA}",
        f"https://github.com/acme/app/pull/7/commits/{SHA[:10]}",
        SHA,
        SHA[:7],
        f"commit:{SHA[:12]}",
    ],
)
async def test_evidence_finds_its_experiment(database: Database, named: str) -> None:
    pull = PullRequest(created_at=at(3), head=SHA)
    await deliver(database, Issue(created_at=at(2)).opened(), pull.opened(), workflow_run(SHA, at(4), "success"))
    async with api(database, now=NOW) as client:
        assert await roots(client, named) == ["github:acme/app#45"]
        shown = (await explained(client, named)).json()
    assert shown["serves"] == ["github:acme/app#45"]
    assert shown["subject"] == (f"commit:{SHA}" if SHA[:7] in named else "github:acme/app!7")


async def test_an_old_name_finds_the_experiment_in_every_form(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2)).opened(), renamed("app", "acme/search", at(3)))
    async with api(database, now=NOW) as client:
        for named in ("acme/app#45", "acme/search#45", "https://github.com/acme/app/issues/45"):
            assert await roots(client, named) == ["github:acme/search#45"]


@pytest.mark.oldest_postgresql_too
async def test_the_address_that_an_experiment_has_finds_it_whatever_its_form(database: Database) -> None:
    await store_experiments(
        database,
        experiment("key:a", idea_at=at(2), url="https://tracker.example.com/Item?id=45"),
        experiment("key:b", idea_at=at(2), url="https://tracker.example.com/Item"),
        experiment("key:c", idea_at=at(2), url="http://tracker.example.com/#/item/7"),
        # An issue on GitLab whose address has the form of GitHub's.
        experiment("gitlab:acme/app#45", idea_at=at(2), url="https://code.example.com/acme/app/issues/45"),
        experiment("github:acme/app#45", idea_at=at(2), url="https://github.com/acme/app/issues/45"),
    )
    async with api(database, now=NOW) as client:
        found = {
            named: await roots(client, named)
            for named in (
                "https://tracker.example.com/Item?id=45",
                "http://TRACKER.example.com/Item/?id=45#top",
                "tracker.example.com/Item",
                "https://tracker.example.com/Item?id=46",
                "https://tracker.example.com/#/item/7",
                "https://tracker.example.com/#/item/8",
                "https://code.example.com/acme/app/issues/45?x=1",
            )
        }
    assert list(found.values()) == [["key:a"], ["key:a"], ["key:b"], ["key:b"], ["key:c"], [], ["gitlab:acme/app#45"]]


async def test_an_experiment_that_states_the_address_of_an_issue_does_not_hide_the_issue(database: Database) -> None:
    stated = experiment("key:a", idea_at=at(2), url="https://github.com/acme/app/issues/45")
    await store_experiments(database, stated)
    async with api(database, now=NOW) as client:
        assert await roots(client, "https://github.com/acme/app/issues/45") == ["key:a"]
        await deliver(database, Issue(created_at=at(2), labels=()).opened())
        unclear = await explained(client, "https://github.com/acme/app/issues/45")
        assert [one["reference"] for one in unclear.json()["candidates"]] == ["github:acme/app#45", "key:a"]
        # Now both the syntax of the address and the stored addresses lead to `github:acme/app#45`.
        await deliver(database, Issue(created_at=at(2)).opened())
        assert await roots(client, "https://github.com/acme/app/issues/45") == ["github:acme/app#45"]


async def test_a_text_that_means_several_subjects_is_answered_with_a_list_of_these(database: Database) -> None:
    await store_experiments(
        database,
        experiment(
            GITLAB_ISSUE, idea_at=at(2), title="Cache the answers", url="https://gitlab.com/acme/app/-/issues/45"
        ),
    )
    await deliver(database, Issue(created_at=at(2)).opened())
    expected = [
        {
            "reference": "github:acme/app#45",
            "title": "Answer from the cache",
            "url": "https://github.com/acme/app/issues/45",
        },
        {
            "reference": GITLAB_ISSUE,
            "title": "Cache the answers",
            "url": "https://gitlab.com/acme/app/-/issues/45",
        },
    ]
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        answers = [
            await client.get("/experiments", params={"ref": "acme/app#45"}, headers=WRITE),
            await client.get("/experiments/acme/app%2345", headers=WRITE),
            await client.get("/experiments/acme/app%2345/explain", headers=WRITE),
            await client.post("/experiments/acme/app%2345/events", json={"event": "started"}, headers=WRITE),
            await client.get(
                f"/experiments/{quote('https://code.example.com/acme/app/issues/45', safe='')}", headers=WRITE
            ),
        ]
    for answer in answers:
        assert is_problem(answer, 422, "ambiguous-reference"), answer.text
        assert answer.json()["candidates"] == expected
        assert "github:acme/app#45 or gitlab:acme/app#45" in answer.json()["detail"]


async def test_the_candidates_may_be_evidence_and_abbreviated_hashes(database: Database) -> None:
    pulls = [PullRequest(created_at=at(3), head=sha, number=number) for number, sha in ((7, SHA), (8, SIBLING))]
    await deliver(database, Issue(created_at=at(2)).opened(), *(pull.opened() for pull in pulls))
    async with api(database, now=NOW) as client:
        assert await roots(client, SHA[:9]) == ["github:acme/app#45"]
        several = await explained(client, SHA[:8])
    assert [one["reference"] for one in several.json()["candidates"]] == [f"commit:{SHA}", f"commit:{SIBLING}"]


async def test_a_text_about_which_nothing_is_stored_is_answered_with_its_meaning(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2)).opened())
    async with api(database, now=NOW) as client:
        details = {
            named: (await explained(client, named)).json()["detail"]
            for named in (
                "https://github.com/acme/ap/issues/45",
                "acme/app#46",
                "github:acme/apps#45",
                "https://tracker.example.com/45",
                "0a1b2c3",
            )
        }
        listed = [await roots(client, named) for named in details]
    assert listed == [[]] * len(details)
    typo, short, reference, page, commit = details.values()
    assert "means github:acme/ap#45, and nothing is stored about it; did you mean github:acme/app#45?" in typo
    assert "'acme/app#46' means github:acme/app#46 or github:acme/app!46 or gitlab:acme/app#46" in short
    assert "nothing is stored about github:acme/apps#45; did you mean github:acme/app#45?" in reference
    assert "no experiment has the address https://tracker.example.com/45" in page
    assert "'0a1b2c3' means commit:0a1b2c3, and nothing is stored about it" in commit


@pytest.mark.oldest_postgresql_too
@pytest.mark.parametrize(
    ("named", "meant"),
    [
        # The same project is preferred, whatever other projects have.
        ("github:acme/app#46", "github:acme/app#45"),
        ("acme/app#46", "github:acme/app#45"),
        ("https://github.com/acme/app/issues/46", "github:acme/app#45"),
        ("jira:ML-21", "jira:ML-12"),
        # A project without a similar number, or without experiments
        ("github:acme/app#7", "github:acme/apps#7"),
        ("github:acme/appz#45", "github:acme/app#45"),
    ],
)
async def test_the_nearest_reference_is_in_the_same_project_if_possible(
    database: Database, named: str, meant: str
) -> None:
    others = ("github:acme/apps#46", "github:acme/apps#7", "gitlab:acme/app2#46", "jira:MLX-21")
    stored = ("github:acme/app#45", "jira:ML-12", *others)
    await store_experiments(database, *(experiment(root, idea_at=at(2), url="") for root in stored))
    async with api(database, now=NOW) as client:
        answer = await explained(client, named)
    assert f"did you mean {meant}?" in answer.json()["detail"]


@pytest.mark.parametrize("named", ["number one", "#45", "nonsense", "https", "acme/app"])
async def test_a_text_that_has_no_accepted_form_is_refused_with_the_forms(database: Database, named: str) -> None:
    async with api(database, now=NOW) as client:
        answer = await client.get("/experiments", params={"ref": named})
    assert is_problem(answer, 422, "bad-reference")
    assert "https://github.com/acme/app/issues/45" in answer.json()["detail"]


async def test_an_event_by_hand_is_recorded_for_the_experiment_with_this_address(database: Database) -> None:
    await deliver(database, Issue(created_at=at(2)).opened())
    path = f"/experiments/{quote('https://github.com/acme/app/issues/45', safe='')}/events"
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        started = await client.post(path, json={"event": "started"}, headers=WRITE)
        proposed = await client.post("/experiments/ml-12/events", json={"event": "proposed"}, headers=WRITE)
        unclear = await client.post("/experiments/acme/web%239/events", json={"event": "proposed"}, headers=WRITE)
        assert (started.status_code, proposed.status_code) == (202, 202)
        assert is_problem(unclear, 404, "unknown-subject")
        assert "github:acme/web#9 or github:acme/web!9 or gitlab:acme/web#9" in unclear.json()["detail"]
        await settle(database)
        shown = (await client.get("/experiments/acme/app%2345", headers=WRITE)).json()
        assert shown["started_at"] == "2026-03-20T09:00:00Z"
        assert await roots_as_writer(client, "ML-12") == ["jira:ML-12"]


async def roots_as_writer(client: httpx.AsyncClient, ref: str) -> list[str]:
    answer = await client.get("/experiments", params={"ref": ref}, headers=WRITE)
    return [one["root"] for one in answer.json()["experiments"]]


@pytest.mark.parametrize(
    "named", ["word:text", "https://wiki.example.com/ideas/45", f"commit:{SHA[:7]}", "commit:main"]
)
async def test_a_subject_of_no_known_form_cannot_be_proposed_by_hand(database: Database, named: str) -> None:
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        path = f"/experiments/{quote(named, safe='')}/events"
        proposed = await client.post(path, json={"event": "proposed"}, headers=WRITE)
    assert is_problem(proposed, 422, "bad-reference")


async def test_an_experiment_whose_form_an_earlier_release_accepted_can_be_concluded_by_hand(
    database: Database,
) -> None:
    marked = Declared(Ref("word:text"), at(2), "experiment", "true", "api")
    async with database.transaction() as connection:
        await record_deliveries(connection, [InterpretedDelivery(uuid4(), at(2), {marked: "stated"})])
    await project(database)
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        body = {"event": "concluded", "outcome": "worked"}
        concluded = await client.post("/experiments/word:text/events", json=body, headers=WRITE)
        assert concluded.status_code == 202, concluded.text
        await settle(database)
        shown = (await client.get("/experiments/word:text", headers=WRITE)).json()
    assert (shown["root"], shown["outcome"]) == ("word:text", "worked")


async def test_events_store_the_references_that_addresses_and_keys_mean(database: Database) -> None:
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        taken = [
            await cloud_event(client, "https://github.com/acme/app/issues/45#top", 1, title="Cache answers"),
            await cloud_event(client, f"commit:{SHA}", 2, links=["https://gitlab.com/acme/app/-/merge_requests/7"]),
            await cloud_event(client, "ml-12", 3, links=["github.com/acme/app/issues/45", SHA.upper()]),
        ]
        assert [one.status_code for one in taken] == [202, 202, 202], taken[-1].text
        await settle(database)
        served = (await client.get("/experiments/jira:ML-12/explain", headers=WRITE)).json()
        commit = (await client.get(f"/experiments/commit:{SHA}/explain", headers=WRITE)).json()
    assert served["subject"] == "jira:ML-12"
    assert served["serves"] == ["github:acme/app#45"]
    assert commit["subject"] == f"commit:{SHA}"


@pytest.mark.parametrize(
    ("field", "text", "reason"),
    [
        ("subject", "acme/app#45", "may mean github:acme/app#45, github:acme/app!45 or gitlab:acme/app#45"),
        ("subject", "https://code.example.com/acme/app/issues/45", "may mean github:acme/app#45 or gitlab:acme/app#45"),
        ("subject", "36aeaa1b-75b3-55d0-a416-c9a9e568c6e1", "is not a reference"),
        ("subject", "nonsense", "https://github.com/acme/app/issues/45"),
        ("data.links[0]", "acme/app!7", "may mean github:acme/app!7 or gitlab:acme/app!7"),
        ("data.links[0]", SHA[:7], "write the whole hash"),
        ("subject", "commit:2a2a2a2", "2a2a2a2 is an abbreviated hash; write the whole hash"),
        ("subject", f"commit:{SHA}0", "is an abbreviated hash"),
        ("subject", "commit:main", "'main' is not the hash of a commit; expected 40 or 64 hexadecimal digits"),
        ("subject", "commit:v1.2.3", "expected 40 or 64 hexadecimal digits"),
        ("subject", f"commit:{SHA}{SHA}", "expected 40 or 64 hexadecimal digits"),
        ("subject", "http://ci.example.com/builds/7", "is an address of no known form; expected a form such as"),
        ("subject", "https://wiki.example.com/ideas/45", "key:cache-answers"),
        ("subject", "HTTPS://wiki.example.com/ideas/45", "is an address of no known form"),
        ("subject", "word:text", "'word:text' has no known form; expected a form such as github:acme/app#45"),
        ("subject", "gitbub:acme/app#45", "did you mean github:?"),
        ("subject", "mailto:ideas@example.com", "has no known form"),
        ("subject", "urn:idea:45", "has no known form"),
        ("data.links[0]", "pipeline:7", "has no known form"),
        ("data.links[0]", "https://wiki.example.com/ideas/45", "is an address of no known form"),
    ],
)
async def test_an_event_whose_syntax_does_not_settle_a_reference_is_refused(
    database: Database, field: str, text: str, reason: str
) -> None:
    """The result must not depend on what is stored, because deliveries arrive in any order."""
    await deliver(database, Issue(created_at=at(2)).opened())
    async with api(database, now=NOW, api_tokens=TOKENS) as client:
        refused = await (
            cloud_event(client, text) if field == "subject" else cloud_event(client, "key:a", links=[text])
        )
    assert is_problem(refused, 422, "invalid-event")
    assert refused.json()["errors"][0]["field"] == field
    assert reason in refused.json()["errors"][0]["message"]
