"""Commands in comments become events."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.observation import Commented
from service.lifecycle.events import (
    Concluded,
    Declared,
    LifecycleEvent,
    Proposed,
    Reopened,
    Shipped,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.fields import FieldName
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome
from service.providers import PROVIDERS
from service.rules.apply import apply_rules
from service.rules.commands import Command, parse_commands
from service.rules.document import RulesFile
from service.rules.reader import read_rules
from tests.support.builders import NO_PAYLOAD, at

ITEM = Ref("github:acme/app#45")
STARTED = Started(ITEM, at(3), commanded=True)
START = "/experiment start"


def said(text: str) -> Sequence[LifecycleEvent]:
    return [event for command in parse(text) for event in command.events]


def parse(text: str) -> Sequence[Command]:
    return parse_commands(Commented(ITEM, at(3), text, insider=True))


def declared(field: FieldName, value: str) -> Declared:
    return Declared(ITEM, at(3), field, value, "comment")


def concluded(outcome: Outcome) -> Concluded:
    return Concluded(ITEM, at(3), outcome, commanded=True)


def obeyed(text: str, *, insider: bool | None, provider: str = "gitlab", trusted: str = "") -> bool:
    """Whether the commands of a comment are accepted if `trust_comments` lists the given providers."""
    rules = read_rules(RulesFile("rules.yaml", f"extends: none\ntrust_comments: [{trusted}]\n"), [], PROVIDERS)
    return STARTED in apply_rules(rules, provider, [Commented(ITEM, at(3), text, insider)], NO_PAYLOAD).events


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/experiment start", [STARTED]),
        ("/experiment reopen", [Reopened(ITEM, at(3), commanded=True)]),
        ("/experiment bold", [declared("risk", "bold")]),
        ("/experiment safe", [declared("risk", "safe")]),
        ("/experiment risk bold", [declared("risk", "bold")]),
        ("/experiment RISK Safe", [declared("risk", "safe")]),
        ("/experiment classify intelligent", [declared("failure_category", "intelligent")]),
        ("/experiment Classify BASIC", [declared("failure_category", "basic")]),
        ("/experiment signal success", [Signalled(ITEM, at(3), "success")]),
        ("/experiment signal failure", [Signalled(ITEM, at(3), "failure")]),
        ("/experiment ship", [Shipped(ITEM, at(3))]),
        ("/experiment exclude", [declared("excluded", "stated")]),
        (
            "/experiment propose",
            [
                declared("experiment", "true"),
                Withdrawn(ITEM, at(3), "excluded", "stated", "comment"),
                Proposed(ITEM, at(3)),
            ],
        ),
        ("/experiment team search", [declared("team", "search")]),
        ("/experiment team Search", [declared("team", "search")]),
        ("/experiment share", [declared("shared", "true")]),
        ("/experiment share https://acme.example/Wiki?a=1", [declared("shared", "https://acme.example/Wiki?a=1")]),
        ("/experiment conclude worked", [concluded(Outcome.WORKED), declared("outcome", "worked")]),
        ("/experiment conclude failed", [concluded(Outcome.FAILED), declared("outcome", "failed")]),
        (
            "/experiment conclude inconclusive",
            [concluded(Outcome.INCONCLUSIVE), declared("outcome", "inconclusive")],
        ),
        ("/experiment conclude abandoned", [concluded(Outcome.ABANDONED), declared("outcome", "abandoned")]),
    ],
)
def test_each_command_has_its_own_events(text: str, expected: list[LifecycleEvent]) -> None:
    assert said(text) == expected


@pytest.mark.parametrize("category", ["intelligent", "basic", "complex"])
def test_one_comment_may_conclude_and_classify_a_failure(category: str) -> None:
    assert said(f"/experiment conclude failed {category}") == [
        concluded(Outcome.FAILED),
        declared("outcome", "failed"),
        declared("failure_category", category),
    ]


@pytest.mark.parametrize(
    "words",
    [
        "",
        " ",
        "begin",
        "start now",
        "reopen please",
        "conclude",
        "conclude splendid",
        "conclude undeclared",
        "conclude failed unclassified",
        "conclude failed splendid",
        "conclude failed basic complex",
        "conclude worked intelligent",
        "conclude inconclusive basic",
        "conclude abandoned complex",
        "conclude failed,",
        "team",
        "team ml platform",
        "team _org",
        "team _other",
        "team " + "x" * 101,
        "risk reckless",
        "risk bold safe",
        "bold safe",
        "undeclared",
        "share nowhere",
        "share javascript:alert(1)",
        "share https://acme.example twice",
        "/experiment start",
    ],
)
def test_a_malformed_command_has_no_events(words: str) -> None:
    assert said(f"/experiment {words}") == []


OUTCOMES = "expected one of worked, failed, inconclusive, abandoned"
CATEGORIES = "expected one of intelligent, basic, complex"
A_URL = "expected a URL that begins with http:// or https://"
UNKNOWN = (
    "expected one of propose, start, signal, conclude, classify, share, reopen, ship, exclude, team, risk, bold, safe"
)
REFUSED = [
    ("", f"a command is missing after /experiment; {UNKNOWN}"),
    ("s start", "a command begins with /experiment and a space"),
    ("s", "a command begins with /experiment and a space"),
    (": start", "a command begins with /experiment and a space"),
    (":start", "a command begins with /experiment and a space"),
    (", start", "a command begins with /experiment and a space"),
    (" clasify intelligent", f"unknown command `clasify`; {UNKNOWN}; did you mean classify?"),
    (" Concluded failed", f"unknown command `concluded`; {UNKNOWN}; did you mean conclude?"),
    (" close", f"unknown command `close`; {UNKNOWN}; did you mean conclude?"),
    (" begin", f"unknown command `begin`; {UNKNOWN}; did you mean start?"),
    (" outcome failed", f"unknown command `outcome`; {UNKNOWN}; did you mean conclude?"),
    (" failure intelligent", f"unknown command `failure`; {UNKNOWN}; did you mean classify?"),
    (" bodl", f"unknown command `bodl`; {UNKNOWN}; did you mean bold?"),
    (" jane", f"unknown command; {UNKNOWN}"),
    (" @start", f"unknown command; {UNKNOWN}; did you mean start?"),
    (" start@example.com", f"unknown command; {UNKNOWN}"),
    (" conclude", f"conclude needs outcome: {OUTCOMES}"),
    (" conclude fail", f"conclude: outcome `fail`: {OUTCOMES}; did you mean failed?"),
    (" conclude FAILD", f"conclude: outcome `faild`: {OUTCOMES}; did you mean failed?"),
    (" conclude failed,", f"conclude: outcome: {OUTCOMES}; did you mean failed?"),
    (" conclude jane", f"conclude: outcome: {OUTCOMES}"),
    (" conclude intelligent", "intelligent is a failure category; did you mean conclude failed intelligent?"),
    (
        " conclude failed inteligent",
        f"conclude: failure category `inteligent`: {CATEGORIES}; did you mean intelligent?",
    ),
    (" conclude failed unclassified", f"conclude: failure category: {CATEGORIES}"),
    (
        " conclude worked intelligent",
        "nothing may follow worked, because only a failed experiment has a failure category",
    ),
    (
        " conclude failed basic complex",
        "too many words after the command; expected /experiment conclude <outcome> [failure_category]",
    ),
    (" classify", f"classify needs failure category: {CATEGORIES}"),
    (" classify inteligent", f"classify: failure category `inteligent`: {CATEGORIES}; did you mean intelligent?"),
    (" classify basic now", "too many words after the command; expected /experiment classify <failure_category>"),
    (" signal", "signal needs result: expected one of success, failure"),
    (" signal sucess", "signal: result `sucess`: expected one of success, failure; did you mean success?"),
    (" share wiki/45", f"share: learning url: {A_URL}"),
    (
        " share https://a.example https://b.example",
        "too many words after the command; expected /experiment share [learning_url]",
    ),
    (" start now", "too many words after the command; expected /experiment start"),
    (" team", "team needs a value: expected a team name of at most 100 characters that does not begin with _"),
    (" team _org", "team: expected a team name of at most 100 characters that does not begin with _"),
    (" team ml platform", "too many words after the command; expected /experiment team <team>"),
    (" risk", "risk needs a value: expected one of bold, safe"),
    (" risk blod", "risk `blod`: expected one of bold, safe; did you mean bold?"),
    (" bold safe", "too many words after the command; expected /experiment bold"),
]


@pytest.mark.parametrize(("words", "why"), REFUSED)
def test_a_refused_command_says_why_and_proposes_the_nearest_word(words: str, why: str) -> None:
    [command] = parse(f"/experiment{words}")
    assert not command.events
    assert command.refusal == why


@pytest.mark.parametrize("text", ["Experiment", "/experimental start", "/experiment-start", "/experimentation", "/exp"])
def test_a_line_about_something_else_is_not_a_command(text: str) -> None:
    assert parse(text) == []


@given(st.lists(st.sampled_from([*UNKNOWN.split(), "jane.doe", "@jane", "jane@example.com", "janedoe"]), max_size=4))
def test_no_refusal_quotes_an_account(words: list[str]) -> None:
    for command in parse("/experiment " + " ".join(words)):
        assert "jane" not in command.refusal


@pytest.mark.parametrize(
    "text",
    [
        "/experiment\tstart",
        "/experiment\xa0start",
        "/experiment   start  ",
        "Let us begin.\n/experiment start",
        "Let us begin.\r\n\r\n/experiment start\r\nThanks.",
        "/experiment START",
        "/experiment Start",
        "/Experiment Start",
        "/EXPERIMENT START",
        "Use `make test` first.\n/experiment start",
        "> Shall we?\n\n/experiment start",
        "```\ncode\n```\n/experiment start",
        "~~~ python\ncode\n~~~\n/experiment start",
        "````\n```\n````\n/experiment start",
        "```\ncode\n`````\n/experiment start",
        "   ```\ncode\n   ```\n/experiment start",
        "``\n/experiment start",
        "```make test``` passes.\n/experiment start",
        "    ```\n\n/experiment start",
        "/experiment nonsense\n/experiment start",
        "/experiment start\n/experiment start now",
    ],
)
def test_a_command_is_recognised_at_the_start_of_a_line_in_any_case(text: str) -> None:
    assert said(text) == [STARTED]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "experiment start",
        "/experiments start",
        "/experimentstart",
        "/experiment: start",
        "/experiment\nstart",
        "//experiment start",
        "Please /experiment start",
        "`/experiment start`",
        "- /experiment start",
        "* /experiment start",
        "> /experiment start",
        ">/experiment start",
        ">> /experiment start",
        " > /experiment start",
        " /experiment start",
        "    /experiment start",
        "\t/experiment start",
        "> Type this:\u2028/experiment start",
        "Type this: \x0c/experiment start",
        "Type this: \x85/experiment start",
    ],
)
def test_a_command_inside_a_line_or_a_quote_is_ignored(text: str) -> None:
    assert said(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "```\n/experiment start\n```",
        "~~~\n/experiment start\n~~~",
        "``` text\n/experiment start\n```",
        "```text\r\n/experiment start\r\n```",
        "   ```\n/experiment start\n```",
        "`````\n```\n/experiment start\n`````",
        "```\n~~~\n/experiment start\n```",
        "~~~\n```\n/experiment start\n~~~",
        "```\n/experiment start",
        "~~~\n/experiment start",
        "````\ncode\n```\n/experiment start",
        "```\ncode\n    ```\n/experiment start",
        "```\n```text\n/experiment start\n```",
        "```\ncode\n``` and more\n/experiment start",
        "~~~ `a`\n/experiment start\n~~~",
        "```\n```\n```\n/experiment start\n```",
    ],
)
def test_a_command_in_fenced_code_is_ignored(text: str) -> None:
    assert said(text) == []


def test_the_commands_of_a_comment_are_applied_in_order() -> None:
    text = "/experiment conclude failed basic\r\nA typo.\r\n/experiment share https://acme.example/typo"
    assert said(text) == [
        concluded(Outcome.FAILED),
        declared("outcome", "failed"),
        declared("failure_category", "basic"),
        declared("shared", "https://acme.example/typo"),
    ]


@pytest.mark.parametrize("provider", ["github", "gitlab", "jira"])
@pytest.mark.parametrize("trusted", ["", "github", "gitlab", "jira"])
def test_the_commands_of_outsiders_are_ignored_even_if_the_provider_is_trusted(provider: str, trusted: str) -> None:
    assert obeyed(START, insider=True, provider=provider, trusted=trusted)
    assert not obeyed(START, insider=False, provider=provider, trusted=trusted)


@pytest.mark.parametrize(
    ("trusted", "taken"),
    [("", False), ("jira", False), ("gitlab", True), ("GitLab", True), ("jira, gitlab", True)],
)
def test_a_command_by_an_author_with_unknown_permissions_counts_if_the_provider_is_trusted(
    trusted: str, taken: bool
) -> None:
    assert obeyed(START, insider=None, trusted=trusted) == taken


WORDS = st.sampled_from(["/experiment", "start", "conclude", "failed", "share", "team", "```", "~~~", ">", " ", "\n"])


@given(st.text() | st.lists(WORDS, max_size=12).map(" ".join))
def test_the_events_of_any_comment_are_about_the_subject_of_the_comment(text: str) -> None:
    assert all(event.subject == ITEM and event.occurred_at == at(3) for event in said(text))


@given(st.text(), st.sampled_from(["```", "~~~", "````", "~~~~~~"]))
def test_any_text_in_a_code_fence_has_no_events(text: str, fence: str) -> None:
    inside = text.replace("`", "").replace("~", "")
    assert said(f"{fence}\n{inside}\n{START}\n{fence}") == []


def test_many_backticks_are_parsed_in_linear_time() -> None:
    # A parser that tries each backtick as the end of a code fence would take minutes.
    assert said("`" * 1_000_000 + "x\n" + START) == []
