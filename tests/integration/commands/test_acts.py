"""Commands such as `loopgauge classify` record events by hand, with the vocabulary of comments and of the API."""

import json

import pytest

from tests.support.builders import at
from tests.support.commands import in_database, invoke
from tests.support.road import all_experiments, deliver, settle
from tests.support.serving import opened

_REFERENCE = "github:acme/app#45"


@pytest.fixture(autouse=True)
def proposed(database_url: str) -> None:
    in_database(database_url, lambda database: deliver(database, opened()))


def _record(database_url: str, *arguments: str) -> str:
    ended = invoke(*arguments, DATABASE_URL=database_url)
    assert (ended.returncode, ended.stderr) == (0, "")
    in_database(database_url, settle)
    return ended.stdout


def test_the_acts_of_an_experiment_are_recorded_by_their_verbs(database_url: str) -> None:
    _record(database_url, "start", _REFERENCE, "--at", "2026-03-03T09:00:00")
    _record(database_url, "signal", _REFERENCE, "failure", "--at", "2026-03-04T09:00:00")
    _record(database_url, "conclude", _REFERENCE, "failed", "--at", "2026-03-05T09:00:00")
    printed = _record(
        database_url, "classify", _REFERENCE, "Intelligent", "--learning-url", "https://wiki.example.com/1"
    )
    assert printed.startswith(
        f"recorded for {_REFERENCE}: classified failure_category=intelligent learning_url=https://wiki.example.com/1\n"
        "  delivery "
    )
    assert printed.endswith(f"; `loopgauge explain {_REFERENCE}` shows the event once it is processed\n")
    _record(database_url, "share", _REFERENCE, "https://wiki.example.com/1", "--at", "2026-03-06T09:00:00")
    shown = in_database(database_url, all_experiments)[_REFERENCE]
    assert (shown.started_at, shown.first_signal_at, shown.concluded_at) == (at(3), at(4), at(5))
    assert (shown.outcome, shown.failure_category) == ("failed", "intelligent")
    assert shown.shared_at is not None


def test_the_json_is_the_answer_of_the_api(database_url: str) -> None:
    received = json.loads(_record(database_url, "conclude", _REFERENCE, "worked", "--json"))
    assert received["status"] == "stored"
    shown = invoke("deliveries", "show", received["delivery"], "--json", DATABASE_URL=database_url)
    assert json.loads(shown.stdout)["verdict"] == "counted"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["classify", _REFERENCE, "basic"], "loopgauge: The experiment cannot have this event: "),
        (["conclude", "github:acme/app#7", "worked"], "loopgauge: nothing is stored about github:acme/app#7"),
        (["share", "number one"], "loopgauge: The reference is malformed: "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_event_that_cannot_be_recorded_is_refused_with_the_reason(
    database_url: str, arguments: list[str], error: str
) -> None:
    _record(database_url, "conclude", _REFERENCE, "worked")
    ended = invoke(*arguments, DATABASE_URL=database_url)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith(error)


def test_a_misspelt_category_is_refused_with_the_nearest_one(database_url: str) -> None:
    ended = invoke("classify", _REFERENCE, "inteligent", DATABASE_URL=database_url)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "'FAILURE_CATEGORY': expected one of intelligent, basic, complex; did you mean intelligent?" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["share", _REFERENCE, "wiki/1"],
        ["classify", _REFERENCE, "basic", "--learning-url", "https://wiki.example.com/a b"],
    ],
    ids=lambda value: value[0],
)
def test_a_learning_that_is_no_address_is_refused_in_the_words_of_the_command(
    database_url: str, arguments: list[str]
) -> None:
    ended = invoke(*arguments, DATABASE_URL=database_url)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "expected a URL that begins with http:// or https://" in ended.stderr
    assert "body." not in ended.stderr
