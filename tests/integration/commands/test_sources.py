"""`loopgauge sources` and `GET /sources` show each source, what it sent, and what to do."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from service.queries import sources as activities
from service.storage.database import Database
from tests.support.builders import Issue, at, github
from tests.support.commands import in_database, invoke
from tests.support.road import api, bearer, deliver, store_deliveries
from tests.support.serving import opened, serving

NOW = datetime.now(UTC)
SETTINGS = {
    "SOURCES__GITHUB__SECRET": "s3cret-one",
    "SOURCES__GITHUB__PREVIOUS_SECRET": "s3cret-two",
    "SOURCES__JIRA_CLOUD__PROVIDER": "jira",
    "SOURCES__JIRA_CLOUD__SECRET": "s3cret-three",
}


def _receive(database_url: str, source: str, received: datetime, *, failed: bool = False) -> None:
    delivery = github("issues", f"{source} {received}".encode()).delivery(received)

    async def store(database: Database) -> None:
        await store_deliveries(database, delivery)
        async with database.transaction() as connection:
            await connection.execute(
                text("UPDATE deliveries SET source = :source, verdict = :verdict WHERE id = :id"),
                {"source": source, "verdict": "failed" if failed else "counted", "id": delivery.id},
            )

    in_database(database_url, store)


def _shown(database_url: str) -> dict[str, Any]:
    document = json.loads(invoke("sources", "--json", DATABASE_URL=database_url, **SETTINGS).stdout)
    return {source["name"]: source for source in document["sources"]}


def test_each_source_shows_what_it_sent_and_never_its_secret(database_url: str) -> None:
    _receive(database_url, "github", NOW - timedelta(hours=2))
    _receive(database_url, "github", NOW - timedelta(hours=1), failed=True)
    _receive(database_url, "github", NOW - timedelta(days=9))
    in_database(
        database_url, lambda database: store_deliveries(database, opened().delivery(NOW - timedelta(minutes=5)))
    )
    ended = invoke("sources", "--json", DATABASE_URL=database_url, **SETTINGS)
    assert "s3cret" not in ended.stdout
    shown = _shown(database_url)
    assert list(shown) == ["cloudevents", "github", "jira_cloud"]
    assert shown["github"] == {
        "name": "github",
        "provider": "github",
        "path": "/webhooks/github",
        "configured": True,
        "secret_set": True,
        "previous_secret_set": True,
        "last_delivery_at": (NOW - timedelta(minutes=5)).isoformat().replace("+00:00", "Z"),
        "recent": {"pending": 1, "counted": 1, "ignored": 0, "failed": 1},
        "pending": 1,
        "failed": 1,
        "refused": None,
    }
    assert (shown["jira_cloud"]["provider"], shown["jira_cloud"]["last_delivery_at"]) == ("jira", None)
    assert (shown["cloudevents"]["path"], shown["cloudevents"]["configured"]) == ("/events", False)


def test_the_command_says_what_to_do_about_each_source(database_url: str) -> None:
    _receive(database_url, "github", NOW - timedelta(hours=1), failed=True)
    _receive(database_url, "gitlab", NOW - timedelta(days=9))
    ended = invoke("sources", DATABASE_URL=database_url, **SETTINGS)
    assert (ended.returncode, ended.stderr) == (0, "")
    advice = ended.stdout.splitlines()
    assert [line.split(": ")[:2] for line in advice if ": " in line and not line.startswith("Recent")] == [
        ["github", "two secrets are accepted"],
        ["github", "1 failed"],
        ["gitlab", "the settings of this command name no source gitlab; if a service runs, ask it"],
        ["jira_cloud", "it has not sent anything"],
    ]
    assert "s3cret" not in ended.stdout
    silent = {"SOURCES__GITLAB__SECRET": "s3cret-one"}
    assert "gitlab: it is silent: check in gitlab" in invoke("sources", DATABASE_URL=database_url, **silent).stdout
    without = invoke("sources", DATABASE_URL=database_url).stdout
    assert "The settings of this command name no source; if a service runs, ask it: `loopgauge sources --url" in without
    # The service has an environment of its own, so the command cannot know which requests the service refuses.
    for claim in ("No source is configured", "refused", "404", "remove"):
        assert claim not in without


def test_a_service_says_what_it_refuses(database_url: str, tmp_path: Path) -> None:
    _receive(database_url, "gitlab", NOW - timedelta(hours=1))
    with serving(database_url, tmp_path) as service:
        for secret in ("another", "a third"):
            refused = opened().headers(secret=secret)
            httpx.post(f"{service.url}/webhooks/github", content=opened().body, headers=refused)
        shown = invoke("sources", URL=service.url, DATA_DIR=str(tmp_path / "data")).stdout
        log = [entry for entry in service.log() if entry["event"] == "webhook refused"]
    assert "gitlab: it is not configured now, so its webhooks get a 404: remove the webhook, or set" in shown
    assert "github: 2 requests were refused since " in shown
    assert "the signature does not match the body and the source's secret. Enter the same secret in github" in shown
    # Anyone can send wrong signatures: they must not fill the log.
    assert [(entry["source"], entry["requests"]) for entry in log] == [("github", 1)]
    assert "LOOPGAUGE_SOURCES__GITHUB__SECRET" in log[0]["remedy"]


_JIRA = {"SOURCES__JIRA_CLOUD__PROVIDER": "jira", "SOURCES__JIRA_CLOUD__SECRET": "s3cret-three"}


def test_in_a_second_terminal_the_command_asks_the_service_that_runs(database_url: str, tmp_path: Path) -> None:
    where = {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": database_url}
    with serving(database_url, tmp_path, **_JIRA) as service:
        refused = opened().headers(secret="another")
        httpx.post(f"{service.url}/webhooks/github", content=opened().body, headers=refused)
        shown = invoke("sources", **where, PORT="9000").stdout
        document = json.loads(invoke("sources", "--json", **where).stdout)
        other = invoke("sources", **where | {"DATA_DIR": str(tmp_path)}, PORT="9000").stdout
    assert f"These are the sources of {service.url}." in shown
    assert re.search(r"^jira_cloud \(jira\)  /webhooks/jira-cloud  none ", shown, re.MULTILINE)
    assert (
        "jira_cloud: it has not sent anything: check in jira that the webhook goes to /webhooks/jira-cloud of" in shown
    )
    assert "github: 1 request was refused since " in shown
    assert {source["name"]: source["path"] for source in document["sources"]} == {
        "cloudevents": "/events",
        "github": "/webhooks/github",
        "jira_cloud": "/webhooks/jira-cloud",
    }
    # With another data directory, the command does not know the service. It names the address in the settings.
    assert "if a service runs, ask it: `loopgauge sources --url http://127.0.0.1:9000`" in other
    assert "if a service runs, ask it" in invoke("sources", **where).stdout


def test_the_paths_that_are_shown_receive_webhooks(database_url: str, tmp_path: Path) -> None:
    where = {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": database_url}
    sources = {"SOURCES__GIT_HUB_1__PROVIDER": "github", "SOURCES__GIT_HUB_1__SECRET": "s3cret-one"}
    with serving(database_url, tmp_path, **sources, ROOT_PATH="/loopgauge") as service:
        document = json.loads(invoke("sources", "--json", **where).stdout)
        [path] = [source["path"] for source in document["sources"] if source["name"] == "git_hub_1"]
        headers = opened().headers(secret="s3cret-one")
        answer = httpx.post(f"{service.url}{path}", content=opened().body, headers=headers)
    assert (path, answer.status_code) == ("/loopgauge/webhooks/git-hub-1", 202)


def test_without_the_token_of_the_service_the_command_says_how_to_ask_it(database_url: str, tmp_path: Path) -> None:
    where = {"DATA_DIR": str(tmp_path / "data"), "DATABASE_URL": database_url}
    token = "4f0c1b7e9a2d4c8fb81d5e0f73a94c26"
    with serving(database_url, tmp_path, API_TOKENS__READ=token) as service:
        without = invoke("sources", **where).stdout
        with_token = invoke("sources", **where, TOKEN=token).stdout
        set_here = invoke("sources", **where, API_TOKENS__READ=token).stdout
        link = invoke("sign-in", **where)
        signed_in = invoke("sign-in", **where, API_TOKENS__READ=token).stdout
    ask = f"a service runs, so give its read token in LOOPGAUGE_TOKEN: `loopgauge sources --url {service.url}`"
    assert ask in without
    assert f"These are the sources of {service.url}." in with_token
    assert f"These are the sources of {service.url}." in set_here
    assert (
        f"loopgauge: {service.url} has a read token in its LOOPGAUGE_API_TOKENS__READ, which is not set" in link.stderr
    )
    assert signed_in == f"{service.url}/sign-in?token={token}\n"


def test_the_recent_deliveries_are_limited(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activities, "_MOST_COUNTED", 2)
    for hours in (1, 2, 3):
        _receive(database_url, "github", NOW - timedelta(hours=hours))
    document = json.loads(invoke("sources", "--json", DATABASE_URL=database_url, **SETTINGS).stdout)
    assert document["since"] == (NOW - timedelta(hours=2)).isoformat().replace("+00:00", "Z")
    [shown] = [source for source in document["sources"] if source["name"] == "github"]
    assert shown["recent"]["counted"] == 2


@pytest.mark.oldest_postgresql_too
async def test_the_api_lists_sources_to_holders_of_the_read_token(database: Database) -> None:
    await deliver(database, opened(), Issue(number=46, created_at=at(2), labels=("bug",)).opened())
    async with api(database, api_tokens={"read": "r3ad-t0ken"}) as client:
        refused = await client.get("/sources")
        listed = await client.get("/sources", headers=bearer("r3ad-t0ken"))
    assert refused.status_code == 401
    by_name = {source["name"]: source for source in listed.json()["sources"]}
    assert by_name["github"]["recent"] == {"pending": 0, "counted": 1, "ignored": 1, "failed": 0}
    assert "Secret to Everybody" not in listed.text
