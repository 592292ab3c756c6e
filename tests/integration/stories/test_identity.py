"""Ids tell which project and ticket a delivery is about: after lost renames, for reused names, on several sites."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import permutations
from typing import Any
from urllib.parse import quote
from uuid import NAMESPACE_OID, uuid5

import pytest
from sqlalchemy import text

from service.deliveries.delivery import Delivery
from service.demo.post import zulu
from service.lifecycle.references import Ref
from service.queries.explain import explain
from service.queries.replay import Replay
from service.storage.database import Database
from tests.support.builders import at
from tests.support.paths import REPOSITORY
from tests.support.road import RULES, TERMS, all_experiments, api, bearer, settle, store_deliveries

CASES = REPOSITORY.parent / "shared" / "cases"
WRITE = bearer("write")
TOKENS = {"write": "write", "admin": "admin"}
CLOUD, OWN = "acme.atlassian.net", "jira.acme.com"


def github(event: str, payload: Mapping[str, Any], source: str = "github") -> Delivery:
    return _delivery(source, "github", {"x-github-event": event}, payload)


def issue(
    repository: str,
    id_: int,
    when: datetime,
    *labels: str,
    action: str = "labeled",
    host: str = "github.com",
    number: int = 1,
) -> Delivery:
    """A delivery about an issue, which is closed if `action` is `closed`."""
    page = f"https://{host}/{repository}"
    closed = {"closed_at": zulu(when), "state_reason": "completed"} if action == "closed" else {}
    shown = {
        "number": number,
        "title": f"Idea of {host}/{repository}, {id_}",
        "state": "closed" if closed else "open",
        "labels": [{"name": label} for label in ("experiment", *labels)],
        "html_url": f"{page}/issues/{number}",
        "created_at": zulu(at(2)),
        "updated_at": zulu(when),
        "author_association": "MEMBER",
        **closed,
    }
    payload = {"action": action, "issue": shown, "repository": _repository(repository, id_, page)}
    return github("issues", payload, _source("github", host))


def pull(
    repository: str, id_: int, when: datetime, body: str, *, host: str = "github.com", number: int = 7
) -> Delivery:
    page = f"https://{host}/{repository}"
    own = _repository(repository, id_, page)
    shown = {
        "number": number,
        "title": "Cache answers",
        "body": body,
        "state": "open",
        "labels": [],
        "html_url": f"{page}/pull/{number}",
        "created_at": zulu(at(3)),
        "updated_at": zulu(when),
        "author_association": "MEMBER",
        "head": {"ref": "cache", "sha": "a" * 40, "repo": own},
        "base": {"ref": "main", "sha": "b" * 40, "repo": own},
    }
    payload = {"action": "edited", "pull_request": shown, "repository": own}
    return github("pull_request", payload, _source("github", host))


def _source(provider: str, host: str) -> str:
    """The source of a site: each site has its own."""
    return provider if host in ("github.com", CLOUD) else f"{provider}_own"


def _repository(full_name: str, id_: int, page: str) -> dict[str, Any]:
    return {"id": id_, "full_name": full_name, "default_branch": "main", "html_url": page}


def ticket(key: str, when: datetime, *, site: str = CLOUD, id_: int = 555, project: int = 10000) -> Delivery:
    stamp = when.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
    fields = {
        "summary": f"Idea of {site}",
        "issuetype": {"name": "Experiment", "subtask": False},
        "project": {"id": str(project), "key": key.partition("-")[0]},
        "labels": [],
        "created": "2026-03-02T09:00:00.000+0000",
        "updated": stamp,
        "status": {"id": "1", "name": "To Do", "statusCategory": {"key": "new"}},
    }
    shown = {"id": str(id_), "self": f"https://{site}/rest/api/2/issue/{id_}", "key": key, "fields": fields}
    named = {"timestamp": int(when.timestamp() * 1000), "webhookEvent": "jira:issue_updated"}
    return _delivery(_source("jira", site), "jira", {}, {**named, "issue": shown})


def _delivery(source: str, provider: str, headers: Mapping[str, str], payload: Mapping[str, Any]) -> Delivery:
    body = json.dumps(payload).encode()
    named = {"content-type": "application/json", **headers}
    return Delivery(source, provider, str(uuid5(NAMESPACE_OID, f"{source} {body!r}")), named, body, at(20))


async def tell(database: Database, *deliveries: Delivery) -> set[str]:
    """Process deliveries one after the other, and return the roots of all experiments."""
    for delivery in deliveries:
        await store_deliveries(database, delivery)
        await settle(database)
    return set(await all_experiments(database))


async def forget(database: Database) -> None:
    async with database.transaction() as connection:
        tables = await connection.scalars(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'")
        )
        await connection.execute(text(f"TRUNCATE {', '.join(tables)}"))


def case(name: str) -> Sequence[Delivery]:
    """The deliveries of a published case."""
    [directory] = CASES.glob(f"{name}-*")
    bodies, headers = (json.loads((directory / f"{one}.json").read_text()) for one in ("body", "headers"))
    deliveries = []
    for body, head in zip(bodies, headers, strict=True):
        named = {key.lower(): value for key, value in head.items() if key != "POST"}
        source = head["POST"].rpartition("/")[2]
        deliveries.append(_delivery(source, source.partition("-")[0], named, body))
    return deliveries


@pytest.mark.skipif(not CASES.is_dir(), reason="the published cases are not beside the repository")
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("01", {"jira:CL-1~acme.atlassian.net": None, "jira:CL-1~jira.corp.example": "failed"}),
        ("04", {"github:neworg/new-name#6": "worked"}),
        ("06", {"github:user2/app#1": "worked"}),
        ("07", {"gitlab:newgrp/app#8": "worked"}),
        ("34", {"github:acme/after#1": "worked", "github:acme/after#2": "worked"}),
    ],
)
async def test_the_published_cases_come_out_as_expected_in_any_order(
    database: Database, name: str, expected: Mapping[str, str | None]
) -> None:
    deliveries = case(name)
    for order in list(permutations(deliveries))[:6]:
        await forget(database)
        await tell(database, *order)
        found = await all_experiments(database)
        assert {root: one.outcome and one.outcome.value for root, one in found.items()} == expected
        if name == "34":
            assert {one.team for one in found.values()} == {"acme/after"}


@pytest.mark.skipif(not CASES.is_dir(), reason="the published cases are not beside the repository")
async def test_one_source_whose_server_answers_to_two_hosts_is_one_site(database: Database) -> None:
    for order in permutations(case("20")):
        await forget(database)
        assert await tell(database, *order) == {"github:corp/app#4"}
        [found] = (await all_experiments(database)).values()
        assert (found.started_at is not None, found.first_signal_at is not None) == (True, True)


async def test_a_repository_whose_rename_was_lost_is_one_experiment(database: Database) -> None:
    story = [issue("acme/app", 1, at(2)), issue("acme/web", 1, at(5), "outcome:worked", action="closed")]
    for order in permutations(story):
        await forget(database)
        assert await tell(database, *order) == {"github:acme/web#1"}
        assert (await all_experiments(database))["github:acme/web#1"].concluded_at == at(5)


async def test_a_repository_that_was_created_anew_inherits_nothing(database: Database) -> None:
    story = [issue("acme/app", 1, at(2), "outcome:failed", action="closed"), issue("acme/app", 2, at(9))]
    for order in permutations(story):
        await forget(database)
        assert await tell(database, *order) == {"github:acme/app~1#1", "github:acme/app#1"}
        found = await all_experiments(database)
        assert found["github:acme/app#1"].concluded_at is None
        assert found["github:acme/app~1#1"].concluded_at == at(2)


async def test_a_link_to_a_reused_name_counts_for_the_holder_at_its_time(database: Database) -> None:
    before = pull("acme/tools", 8, at(4), "Closes acme/app#1")
    after = pull("acme/tools", 8, at(10), "Closes acme/app#1", number=9)
    story = [issue("acme/app", 1, at(2)), before, issue("acme/app", 2, at(9)), after]
    for order in list(permutations(story))[::3]:
        await forget(database)
        await tell(database, *order)
        shown = {
            root: {event.subject for event in (await explain(database, Ref(root), TERMS, at(20))).events}
            for root in ("github:acme/app~1#1", "github:acme/app#1")
        }
        assert shown["github:acme/app~1#1"] == {"github:acme/app~1#1", "github:acme/tools!7"}
        assert shown["github:acme/app#1"] == {"github:acme/app#1", "github:acme/tools!9"}


async def test_one_key_on_two_sites_is_two_experiments_whatever_the_order(database: Database) -> None:
    story = [ticket("ML-12", at(3)), ticket("ML-12", at(4), site=OWN), ticket("ML-12", at(5))]
    for order in permutations(story):
        await forget(database)
        assert await tell(database, *order) == {"jira:ML-12~acme.atlassian.net", "jira:ML-12~jira.acme.com"}


async def test_a_reference_that_two_sites_share_is_answered_with_each_form(database: Database) -> None:
    await tell(database, ticket("ML-12", at(3)), ticket("ML-12", at(4), site=OWN))
    forms = ["jira:ML-12~acme.atlassian.net", "jira:ML-12~jira.acme.com"]
    async with api(database, at(20), api_tokens=TOKENS) as client:
        for address in ("/experiments?ref=jira:ML-12", "/experiments?ref=ML-12"):
            found = (await client.get(address)).json()["experiments"]
            assert {one["root"]: one["title"] for one in found} == dict(
                zip(forms, (f"Idea of {CLOUD}", f"Idea of {OWN}"), strict=True)
            )
        answer = await client.get("/experiments/jira:ML-12/explain")
        assert answer.status_code == 422
        assert [one["reference"] for one in answer.json()["candidates"]] == forms
        assert {one["title"] for one in answer.json()["candidates"]} == {f"Idea of {CLOUD}", f"Idea of {OWN}"}
        refused = await client.post("/experiments/jira:ML-12/events", json={"event": "started"}, headers=WRITE)
        assert (refused.status_code, refused.json()["type"]) == (422, "urn:loopgauge:problem:ambiguous-reference")
        path = f"/experiments/{quote(forms[0])}"
        stored = await client.post(f"{path}/events", json={"event": "started"}, headers=WRITE)
        assert stored.status_code == 202, stored.text
        await settle(database)
        started = [(await client.get(f"/experiments/{quote(form)}")).json()["started_at"] for form in forms]
        assert [bool(one) for one in started] == [True, False]
        listed = (await client.get(f"/deliveries?ref={quote(forms[1])}", headers=bearer("admin"))).json()["deliveries"]
        assert [one["reference"] for one in listed] == [forms[1]]


async def test_a_reference_of_two_sites_means_the_only_subject_that_is_stored(database: Database) -> None:
    await tell(database, ticket("ML-12", at(3)), ticket("ML-13", at(4), site=OWN))
    async with api(database, at(20)) as client:
        found = (await client.get("/experiments?ref=jira:ML-12")).json()["experiments"]
    assert [one["root"] for one in found] == ["jira:ML-12~acme.atlassian.net"]


async def test_a_reused_name_finds_an_item_that_only_the_former_repository_has(database: Database) -> None:
    await tell(database, issue("acme/app", 1, at(2), number=21), issue("acme/app", 2, at(9), number=22))
    async with api(database, at(20)) as client:
        for ref, root in (("21", "github:acme/app~1#21"), ("22", "github:acme/app#22")):
            for form in (f"github:acme/app%23{ref}", f"acme/app%23{ref}"):
                found = (await client.get(f"/experiments?ref={form}")).json()["experiments"]
                assert [one["root"] for one in found] == [root]


async def test_a_text_of_a_site_means_the_repository_on_this_site(database: Database) -> None:
    host = "ghe.acme.com"
    here, there = issue("acme/app", 1, at(2)), issue("acme/app", 1, at(3), host=host)
    await tell(database, here, there, pull("acme/tools", 8, at(4), "Closes acme/app#1", host=host))
    explained = await explain(database, Ref("github:acme/tools!7"), TERMS, at(20))
    assert explained.serves == ["github:acme/app~ghe.acme.com#1"]


async def test_two_webhooks_of_one_site_are_one_experiment(database: Database) -> None:
    opened = issue("acme/app", 1, at(2))
    other = Delivery("github_org", "github", "other", opened.headers, opened.body, at(20))
    assert await tell(database, opened, other) == {"github:acme/app#1"}


async def test_a_ticket_whose_move_was_lost_is_one_experiment(database: Database) -> None:
    story = [ticket("ML-12", at(3)), ticket("OPS-7", at(6), project=20000), ticket("ML-13", at(7), id_=556)]
    for order in permutations(story):
        await forget(database)
        assert await tell(database, *order) == {"jira:OPS-7", "jira:ML-13"}


async def test_a_project_whose_key_changed_keeps_its_tickets(database: Database) -> None:
    story = [ticket("ML-12", at(3)), ticket("AI-12", at(6)), ticket("ML-13", at(4), id_=556)]
    for order in permutations(story):
        await forget(database)
        assert await tell(database, *order) == {"jira:AI-12", "jira:AI-13"}


async def test_no_answer_shows_a_stored_name(database: Database) -> None:
    await tell(database, issue("acme/app", 1, at(2)), pull("acme/app", 1, at(4), "Closes #1"), ticket("ML-12", at(3)))
    async with api(database, at(20), api_tokens=TOKENS) as client:
        for path in (
            "/experiments",
            "/deliveries",
            "/experiments/jira:ML-12/explain",
            "/experiments/acme%2Fapp%231/explain",
        ):
            answer = await client.get(path, headers=bearer("admin"))
            assert answer.status_code == 200
            assert "{github.com" not in answer.text
            assert "{acme.atlassian" not in answer.text


async def test_an_edit_after_a_rename_replaces_the_links_before_it(database: Database) -> None:
    issues = [issue("acme/app", 1, at(2)), issue("acme/app", 1, at(2), number=2)]
    edits = [pull("acme/app", 1, at(4), "Closes #1"), pull("acme/web", 1, at(6), "Closes #2")]
    await tell(database, *issues, *edits)
    assert (await explain(database, Ref("github:acme/app!7"), TERMS, at(20))).serves == ["github:acme/web#2"]


async def test_a_replay_gives_the_same_experiments_and_keeps_the_ids(database: Database) -> None:
    await tell(database, issue("acme/app", 1, at(2)), issue("acme/web", 1, at(5)), issue("acme/app", 2, at(6)))
    before = await all_experiments(database)
    result = await Replay(RULES, TERMS, lambda: at(20), lambda *_: None).run(database)
    assert result.changed == {}
    assert await all_experiments(database) == before
    assert set(before) == {"github:acme/web#1", "github:acme/app#1"}


async def test_rows_of_an_earlier_release_join_the_project_with_their_name(database: Database) -> None:
    """An earlier release stored plain names, as a delivery without ids does today."""
    plain = json.loads(issue("acme/app", 1, at(2)).body)
    del plain["repository"]["id"]
    edit = json.loads(pull("acme/app", 1, at(4), "Closes #1").body)
    del edit["repository"]["id"]
    edit["pull_request"]["head"]["repo"].pop("id")
    edit["pull_request"]["base"]["repo"].pop("id")
    await tell(database, github("issues", plain), github("pull_request", edit))
    before = await all_experiments(database)
    later = [pull("acme/app", 1, at(6), ""), issue("acme/app", 1, at(7), "outcome:worked", action="closed")]
    assert await tell(database, *later) == set(before) == {"github:acme/app#1"}
    explained = await explain(database, Ref("github:acme/app!7"), TERMS, at(20))
    # The edit withdrew the link, although it was stored under the plain name.
    assert explained.serves == []
    assert (await all_experiments(database))["github:acme/app#1"].concluded_at == at(7)
