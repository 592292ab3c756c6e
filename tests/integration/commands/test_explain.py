"""`loopgauge explain` explains an experiment, and `loopgauge scorecard` prints a scorecard."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from service.storage.database import Database
from tests.support.builders import Issue, at, experiment
from tests.support.commands import in_database, invoke
from tests.support.road import api, deliver, store_experiments
from tests.support.serving import opened


def test_an_experiment_is_explained(database_url: str) -> None:
    in_database(database_url, lambda database: deliver(database, opened()))
    explained = invoke("explain", "github:acme/app#45", DATABASE_URL=database_url)
    assert "yes, by label experiment (github)" in explained.stdout
    assert 'loopgauge_experiments_in_flight{stage="proposed"}  1 of 1' in explained.stdout
    assert "experiment by label; github" not in explained.stdout
    complete = invoke("explain", "github:acme/app#45", "--events", DATABASE_URL=database_url)
    assert "experiment by label; github" in complete.stdout
    assert 'loopgauge_experiments_in_flight{team="acme/app", stage="proposed"}' in complete.stdout
    shown = json.loads(invoke("explain", "github:acme/app#45", "--json", DATABASE_URL=database_url).stdout)
    assert shown["experiment"]["idea_at"] == "2026-03-02T09:00:00Z"


def test_the_error_for_an_unknown_reference_says_what_to_try(database_url: str) -> None:
    unknown = invoke("explain", "github:acme/app#1", "--json", DATABASE_URL=database_url)
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("loopgauge: nothing is stored about github:acme/app#1: ")
    assert "`loopgauge deliveries list` and GET /deliveries" in unknown.stderr
    assert unknown.stderr.count("\n") == 1
    malformed = invoke("explain", "number one", DATABASE_URL=database_url)
    assert malformed.returncode == 1
    assert "expected a form such as github:acme/app#45" in malformed.stderr


def test_an_address_finds_the_experiment_and_a_name_of_several_subjects_lists_these(database_url: str) -> None:
    async def store(database: Database) -> None:
        await deliver(database, opened())
        cache = experiment("gitlab:acme/app#45", idea_at=at(2), title="Cache", url="https://gitlab.com/acme/app")
        await store_experiments(database, cache)

    in_database(database_url, store)
    by_address = invoke("explain", "https://github.com/acme/app/issues/45?x=1#top", "--json", DATABASE_URL=database_url)
    assert json.loads(by_address.stdout)["subject"] == "github:acme/app#45"
    several = invoke("explain", "acme/app#45", "--json", DATABASE_URL=database_url)
    assert (several.returncode, several.stdout) == (1, "")
    refused, *listed = several.stderr.splitlines()
    assert refused.startswith("loopgauge: The reference is ambiguous: 'acme/app#45' may mean ")
    assert listed == [
        "  github:acme/app#45  Answer from the cache  https://github.com/acme/app/issues/45",
        "  gitlab:acme/app#45  Cache  https://gitlab.com/acme/app",
    ]


def test_the_scorecard_is_the_same_as_over_http(database_url: str) -> None:
    proposed = Issue(created_at=datetime.now(UTC) - timedelta(days=3), labels=("experiment", "team:search")).opened()
    settings = {"DATABASE_URL": database_url, "MIN_SAMPLE": "1"}

    async def read_over_http(database: Database) -> Any:
        await deliver(database, proposed)
        async with api(database, min_sample=1, thresholds={"search": "7d"}) as client:
            return (await client.get("/scorecard?team=search&window=30d")).json()

    over_http = in_database(database_url, read_over_http)
    ended = invoke(
        *("scorecard", "--team", "search", "--window", "30d", "--json"), THRESHOLDS='{"search": "7d"}', **settings
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    shown = json.loads(ended.stdout)
    assert shown["loops"]["open"]["value"] == 1
    assert shown["idea_to_answer"]["threshold"]["words"] == "7 days"
    times = ("taken_at", "since")
    assert {**shown, **dict.fromkeys(times)} == {**over_http, **dict.fromkeys(times)}
    table = invoke("scorecard", **settings).stdout
    assert "How long from the idea to knowing whether it worked?" in table
    refused = invoke("scorecard", "--team", "serch", **settings)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("loopgauge: no experiment ")
    assert refused.stderr.endswith("did you mean search?\n")
