"""`loopgauge experiments list` lists experiments, filtered and sorted as by the API."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.storage.database import Database
from tests.support.builders import experiment
from tests.support.commands import in_database, invoke
from tests.support.road import api, store_experiments

NOW = datetime.now(UTC)


def _ago(days: int) -> datetime:
    # Half an hour more, so that the test may take some time.
    return NOW - timedelta(days=days, minutes=30)


LIST = (
    experiment("github:acme/app#1", idea_at=_ago(40), team="search", last_activity_at=_ago(35), title="Old"),
    experiment("github:acme/app#2", idea_at=_ago(20), started_at=_ago(19), team="search", last_activity_at=_ago(1)),
    experiment(
        "jira:ML-3",
        idea_at=_ago(9),
        team="ads",
        concluded_at=_ago(5),
        outcome=Outcome.FAILED,
        failure_category=FailureCategory.INTELLIGENT,
        title="Rank\x1b[2J by price",
    ),
    experiment("github:acme/app#4", idea_at=_ago(2), concluded_at=_ago(1), outcome=Outcome.WORKED, team=""),
)


@pytest.fixture(autouse=True)
def stored(database_url: str) -> None:
    in_database(database_url, lambda database: store_experiments(database, *LIST))


def _rows(database_url: str, *options: str) -> list[str]:
    ended = invoke("experiments", "list", *options, DATABASE_URL=database_url)
    cut = "--limit" in options and "--all" not in options
    assert (ended.returncode, ended.stderr) == (0, "1 shown; --all lists all\n" if cut else "")
    return ended.stdout.splitlines()


def test_each_experiment_has_a_row_with_its_state_and_age(database_url: str) -> None:
    assert _rows(database_url) == [
        "reference          team    state                open for  title",
        "github:acme/app#4          worked               1 day     Answer from the cache",
        "jira:ML-3          ads     failed, intelligent  4 days    Rank [2J by price",
        "github:acme/app#2  search  running, overdue     20 days   Answer from the cache",
        "github:acme/app#1  search  proposed, forgotten  40 days   Old",
    ]


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--team", "SEARCH"], "21"),
        (["--team", "_none"], "4"),
        (["--state", "open"], "21"),
        (["--state", "concluded", "--sort", "idea_at"], "34"),
        (["--outcome", "failed"], "3"),
        (["--failure-category", "Intelligent"], "3"),
        (["--overdue"], "21"),
        (["--not-overdue"], "43"),
        (["--forgotten"], "1"),
        (["--not-forgotten", "--state", "open"], "2"),
        (["--ref", "jira:ML-3"], "3"),
        (["--sort", "concluded_at"], "34"),
        (["--limit", "1"], "4"),
        (["--limit", "1", "--all"], "4321"),
        (["--since", "10d"], "43"),
        (["--since", "2 weeks", "--until", "5d"], "3"),
        (["--since", f"{_ago(10):%Y-%m-%d}", "--until", f"{_ago(5):%Y-%m-%d}"], "3"),
    ],
    ids=" ".join,
)
def test_the_list_can_be_filtered_and_sorted(database_url: str, options: list[str], found: str) -> None:
    assert "".join(row.split()[0][-1] for row in _rows(database_url, *options)[1:]) == found
    as_json = json.loads("\n".join(_rows(database_url, "--json", *options)))
    assert "".join(shown["root"][-1] for shown in as_json) == found


def test_the_json_is_the_document_of_the_api(database_url: str) -> None:
    async def read_over_http(database: Database) -> object:
        async with api(database, now=NOW) as client:
            return (await client.get("/experiments", params={"state": "concluded"})).json()["experiments"]

    listed = json.loads("\n".join(_rows(database_url, "--json", "--state", "concluded")))
    assert listed == in_database(database_url, read_over_http)


def test_an_empty_list_says_what_to_do(database_url: str) -> None:
    ended = invoke("experiments", "list", "--team", "ads", "--state", "open", DATABASE_URL=database_url)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr == (
        "no experiment matches; leave out a filter, or see `loopgauge deliveries list` for what arrived\n"
    )
    in_database(database_url, lambda database: store_experiments(database, gone=[one.root for one in LIST]))
    empty = invoke("experiments", "list", DATABASE_URL=database_url)
    assert empty.stderr == (
        "no experiments; `loopgauge deliveries list` shows what arrived, and why it does not count\n"
    )
    assert invoke("experiments", "list", "--json", DATABASE_URL=database_url).stdout == "[]\n"


def test_a_misspelt_team_is_answered_with_the_nearest_one(database_url: str) -> None:
    for options in ([], ["--json"]):
        ended = invoke("experiments", "list", "--team", "serch", *options, DATABASE_URL=database_url)
        assert ended.returncode == 0
        assert ended.stderr == "no experiment belongs to the team serch; did you mean search?\n"
        assert ended.stdout == ("[]\n" if options else "")


@pytest.mark.parametrize("written", ["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%MZ", "%Y-%m-%dT%H:%M:%S+00:00"])
def test_a_time_may_have_no_seconds(database_url: str, written: str) -> None:
    assert len(_rows(database_url, "--since", _ago(10).strftime(written))) == 1 + 2


def test_a_malformed_time_is_refused_with_an_example(database_url: str) -> None:
    ended = invoke("experiments", "list", "--since", "last week", DATABASE_URL=database_url)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "expected a time such as 2026-01-31 or 2026-01-31 14:00, or how long ago it was, such as 2d" in ended.stderr
    assert "got 'last week'" in ended.stderr


def test_a_misspelt_word_is_refused_with_the_nearest_one(database_url: str) -> None:
    ended = invoke("experiments", "list", "--failure-category", "inteligent", DATABASE_URL=database_url)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.endswith("; did you mean intelligent?\n")
