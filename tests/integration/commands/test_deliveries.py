"""`loopgauge deliveries` lists, shows and retries deliveries."""

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from sqlalchemy import text

from service.deliveries.delivery import Delivery
from service.storage import inbox
from service.storage.database import Database
from service.storage.inbox import DeliveryVerdict
from tests.support.builders import Issue, at, github, renamed
from tests.support.commands import in_database, invoke
from tests.support.road import api, deliver, settle, store_deliveries
from tests.support.serving import opened

_UNKNOWN = "00000000-0000-0000-0000-000000000001"


def _execute(database_url: str, statement: str) -> None:
    async def execute(database: Database) -> None:
        async with database.transaction() as connection:
            await connection.execute(text(statement))

    in_database(database_url, execute)


def _store(database_url: str, deliveries: Sequence[Delivery]) -> None:
    in_database(database_url, lambda database: store_deliveries(database, *deliveries))


def _store_numbered(database_url: str, count: int) -> list[str]:
    """Store deliveries received one minute apart. Return their ids, newest first."""
    deliveries = [
        Issue(number=number, created_at=at(2)).opened().delivery(at(2) + timedelta(minutes=number))
        for number in range(1, count + 1)
    ]
    _store(database_url, deliveries)
    return [str(delivery.id) for delivery in reversed(deliveries)]


def _retry(database_url: str, *arguments: str) -> CompletedProcess[str]:
    return invoke("deliveries", "retry", *arguments, DATABASE_URL=database_url)


def test_deliveries_are_listed_and_shown(database_url: str) -> None:
    in_database(database_url, lambda database: deliver(database, opened()))
    listed = invoke("deliveries", "list", "--verdict", "counted", DATABASE_URL=database_url)
    assert "counted" in listed.stdout
    assert "experiment by label" in listed.stdout
    [delivery] = json.loads(invoke("deliveries", "list", "--json", DATABASE_URL=database_url).stdout)
    shown = invoke("deliveries", "show", delivery["id"], "--json", DATABASE_URL=database_url)
    assert json.loads(shown.stdout)["body"] == opened().body.decode()
    assert "None" not in invoke("deliveries", "show", delivery["id"], DATABASE_URL=database_url).stdout
    none = invoke("deliveries", "list", "--verdict", "failed", DATABASE_URL=database_url)
    assert (none.returncode, none.stdout, none.stderr) == (0, "", "no deliveries\n")
    missing = invoke("deliveries", "show", _UNKNOWN, DATABASE_URL=database_url)
    assert missing.returncode == 1
    assert missing.stderr.startswith(f"loopgauge: no delivery has the id {_UNKNOWN}; ")


def test_all_deliveries_are_listed_page_by_page(database_url: str) -> None:
    ids = _store_numbered(database_url, 1201)

    def list_ids(*options: str) -> list[str]:
        ended = invoke("deliveries", "list", "--json", *options, DATABASE_URL=database_url)
        assert ended.returncode == 0
        return [delivery["id"] for delivery in json.loads(ended.stdout)]

    assert list_ids() == ids[:20]
    assert list_ids("--limit", "1100") == ids[:1100]
    assert list_ids("--all") == ids
    assert list_ids("--all", "--since", "2026-03-03T05:00:00") == ids[:2]
    assert list_ids("--all", "--since", "2026-03-03T06:02:00+01:00") == []
    assert list_ids("--source", "jira") == []


def test_the_json_is_one_array_of_the_documents_of_all_pages_of_the_api(database_url: str) -> None:
    ids = _store_numbered(database_url, 3)

    async def read_over_http(database: Database) -> object:
        async with api(database, now=at(4)) as client:
            first = (await client.get("/deliveries", params={"limit": 2})).json()
            second = (await client.get("/deliveries", params={"limit": 2, "cursor": first["next"]})).json()
        return [*first["deliveries"], *second["deliveries"]]

    printed = json.loads(invoke("deliveries", "list", "--json", DATABASE_URL=database_url).stdout)
    assert [delivery["id"] for delivery in printed] == ids
    assert printed == in_database(database_url, read_over_http)
    none = invoke("deliveries", "list", "--verdict", "failed", "--json", DATABASE_URL=database_url)
    assert none.stdout == "[]\n"


def test_the_reason_is_shown_in_place_of_a_deleted_body(database_url: str) -> None:
    delivery = opened().delivery(at(2))

    async def store_and_delete_body(database: Database) -> None:
        verdict = DeliveryVerdict(delivery.id, "counted", "because")
        async with database.transaction() as connection:
            await inbox.store(connection, [delivery])
            await inbox.record_verdicts(connection, [verdict], "digest", at(2))
            await inbox.delete_bodies(connection, at(3), 10)

    in_database(database_url, store_and_delete_body)
    shown = invoke("deliveries", "show", str(delivery.id), DATABASE_URL=database_url)
    assert "counted" in shown.stdout
    assert "deleted: the delivery is older than LOOPGAUGE_RAW_RETENTION" in shown.stdout
    as_json = invoke("deliveries", "show", str(delivery.id), "--json", DATABASE_URL=database_url)
    assert json.loads(as_json.stdout)["body"] is None


def test_failed_deliveries_are_retried(database_url: str) -> None:
    _store(
        database_url,
        [*(opened(number).delivery(at(2)) for number in range(1, 4)), github("issues", b"{").delivery(at(2))],
    )
    _execute(database_url, "UPDATE deliveries SET verdict = 'failed', reason = 'a fault of an earlier version'")
    listed = json.loads(invoke("deliveries", "list", "--json", DATABASE_URL=database_url).stdout)
    [first, *_] = [each["id"] for each in listed if each["body_bytes"] > 2]
    named = _retry(database_url, first, _UNKNOWN, first)
    assert named.returncode == 0
    assert named.stdout.splitlines() == [
        f"{first}  retried  it had failed, and is pending again",
        f"{_UNKNOWN}  unknown  there is no delivery {_UNKNOWN}",
        "1 of 2 deliveries retried",
    ]
    pending = _retry(database_url, first)
    assert (pending.returncode, "it is pending already" in pending.stdout) == (0, True)
    assert json.loads(_retry(database_url, "--failed", "--source", "jira", "--json").stdout)["retried"] == 0
    assert json.loads(_retry(database_url, "--failed", "--since", "2999-01-01", "--json").stdout)["retried"] == 0
    others = _retry(database_url, "--failed", "--source", "GitHub", "--since", "2026-01-01T00:00:00Z", "--json")
    retried = [
        {"id": each["id"], "status": "retried", "detail": "it had failed, and is pending again"}
        for each in listed
        if each["id"] != first
    ]
    assert json.loads(others.stdout) == {"retried": 3, "deliveries": retried}
    in_database(database_url, settle)
    verdicts = json.loads(invoke("deliveries", "list", "--json", DATABASE_URL=database_url).stdout)
    assert sorted(each["verdict"] for each in verdicts) == ["counted", "counted", "counted", "failed"]
    counted = _retry(database_url, first, _UNKNOWN)
    assert counted.returncode == 1
    assert f"{first}  refused  it is counted, and only failed deliveries are retried" in counted.stdout
    _execute(database_url, "UPDATE deliveries SET body = NULL")
    gone = _retry(database_url, "--failed")
    assert (gone.returncode, "its body is gone" in gone.stdout) == (1, True)
    _execute(database_url, "UPDATE deliveries SET verdict = 'ignored'")
    none = _retry(database_url, "--failed")
    assert (none.returncode, none.stdout) == (0, "0 of 0 deliveries retried\n")


def test_each_delivery_shows_its_event_and_the_reference_that_it_is_about(database_url: str) -> None:
    ignored = Issue(number=46, created_at=at(2), labels=("bug",)).opened()
    ping = github("ping", b'{"zen": "Design for failure."}')
    in_database(database_url, lambda database: deliver(database, opened(), ignored, ping))
    shown = json.loads(invoke("deliveries", "list", "--json", DATABASE_URL=database_url).stdout)
    assert {(each["verdict"], each["event"], each["reference"]) for each in shown} == {
        ("counted", "issues opened", "github:acme/app#45"),
        ("ignored", "issues opened", "github:acme/app#46"),
        ("ignored", "ping", None),
    }
    lines = invoke("deliveries", "list", DATABASE_URL=database_url).stdout.splitlines()
    assert len(lines) == len(shown)
    assert [line for line in lines if "  issues opened  github:acme/app#46  no label `experiment`; labels were" in line]


@pytest.mark.parametrize(
    "ref", ["github:acme/app#46", "acme/app#46", "https://github.com/acme/app/issues/46", "github:acme/old#46"]
)
def test_deliveries_about_a_reference_are_found_even_if_they_do_not_count(database_url: str, ref: str) -> None:
    requests = [
        opened(),
        Issue(number=46, created_at=at(2), labels=("bug",)).opened(),
        Issue(number=46, created_at=at(2), labels=("experiment",)).labeled("experiment", at(3))[1],
        renamed("old", "acme/app", at(4)),
    ]
    in_database(database_url, lambda database: deliver(database, *requests))
    ended = invoke("deliveries", "list", "--ref", ref, "--json", DATABASE_URL=database_url)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert [each["reference"] for each in json.loads(ended.stdout)] == ["github:acme/app#46"] * 2
    counted = invoke("deliveries", "list", "--ref", ref, "--verdict", "counted", "--json", DATABASE_URL=database_url)
    assert len(json.loads(counted.stdout)) == 1
    first = invoke("deliveries", "list", "--ref", ref, "--limit", "1", "--json", DATABASE_URL=database_url)
    assert len(json.loads(first.stdout)) == 1


def test_a_reference_without_deliveries_says_which_deliveries_the_filter_does_not_find(database_url: str) -> None:
    ended = invoke("deliveries", "list", "--ref", "acme/app#7", DATABASE_URL=database_url)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr == (
        "no deliveries about acme/app#7; --ref does not find deliveries that are pending or failed: list them with "
        "--verdict pending or --verdict failed\n"
    )
    malformed = invoke("deliveries", "list", "--ref", "number one", DATABASE_URL=database_url)
    assert (malformed.returncode, malformed.stdout, malformed.stderr.count("\n")) == (1, "", 1)


def test_the_event_of_a_delivery_without_a_body_is_what_its_headers_say(database_url: str) -> None:
    in_database(database_url, lambda database: deliver(database, opened()))
    _execute(database_url, "UPDATE deliveries SET body = NULL")
    [shown] = json.loads(invoke("deliveries", "list", "--json", DATABASE_URL=database_url).stdout)
    assert (shown["event"], shown["reference"]) == ("issues", "github:acme/app#45")


def test_a_misspelt_source_is_answered_with_the_nearest_one(database_url: str) -> None:
    in_database(database_url, lambda database: deliver(database, opened()))
    for source, hint in (("githb", "did you mean github?"), ("x", "the sources are cloudevents, github")):
        ended = invoke("deliveries", "list", "--source", source, DATABASE_URL=database_url)
        assert (ended.returncode, ended.stdout) == (0, "")
        assert ended.stderr == f"no source {source} is configured, and none has sent anything; {hint}\n"


def test_a_list_that_is_cut_says_how_to_list_all(database_url: str) -> None:
    in_database(database_url, lambda database: deliver(database, *map(opened, range(1, 23))))
    for options, cut in (([], "20 shown; --all lists all\n"), (["--limit", "22"], ""), (["--all"], "")):
        for form in ([], ["--json"]):
            assert invoke("deliveries", "list", *options, *form, DATABASE_URL=database_url).stderr == cut
    assert invoke("deliveries", "list", "--since", "yesterday", DATABASE_URL=database_url).stdout == ""
    assert invoke("deliveries", "list", "--since", "3650d", DATABASE_URL=database_url).stdout


def test_the_body_of_a_delivery_can_be_tried_with_other_rules(database_url: str, tmp_path: Path) -> None:
    in_database(database_url, lambda database: deliver(database, opened()))
    [listed] = json.loads(invoke("deliveries", "list", "--json", DATABASE_URL=database_url).stdout)
    shown = invoke("deliveries", "show", listed["id"], DATABASE_URL=database_url).stdout.splitlines()
    assert "status          counted" in shown
    assert any(line.endswith(" x-github-event: issues") for line in shown)
    body = invoke("deliveries", "show", listed["id"], "--body", DATABASE_URL=database_url).stdout
    assert body == opened().body.decode()
    (tmp_path / "body.json").write_text(body)
    headers = ("--source", "github", "--header", "X-GitHub-Event: issues")
    assert invoke("rules", "try", *headers, str(tmp_path / "body.json")).returncode == 0
    _execute(database_url, "UPDATE deliveries SET body = NULL")
    gone = invoke("deliveries", "show", listed["id"], "--body", DATABASE_URL=database_url)
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "LOOPGAUGE_RAW_RETENTION" in gone.stderr
    both = invoke("deliveries", "show", listed["id"], "--body", "--json", DATABASE_URL=database_url)
    assert (both.returncode, "give either --body or --json" in both.stderr) == (2, True)
