"""Commands in comments become events."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.observation import Commented
from service.lifecycle.events import Concluded, Declared, LifecycleEvent, Reopened, Started
from service.lifecycle.fields import FieldName
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome
from service.providers import PROVIDERS
from service.rules.apply import apply_rules
from service.rules.commands import parse_commands
from service.rules.document import RulesFile
from service.rules.reader import read_rules
from tests.support.builders import NO_PAYLOAD, at

ITEM = Ref("github:acme/app#45")
STARTED = Started(ITEM, at(3), commanded=True)
START = "/experiment start"


def said(text: str) -> Sequence[LifecycleEvent]:
    return parse_commands(Commented(ITEM, at(3), text, insider=True))


def declared(field: FieldName, value: str) -> Declared:
    return Declared(ITEM, at(3), field, value, "comment")


def concluded(outcome: Outcome) -> Concluded:
    return Concluded(ITEM, at(3), outcome, commanded=True)


def obeyed(text: str, *, insider: bool | None, provider: str = "gitlab", trusted: str = "") -> bool:
    """Whether the commands of a comment are accepted if `trust_comments` lists the given providers."""
    rules = read_rules(RulesFile("rules.yaml", f"extends: none\ntrust_comments: [{trusted}]\n"), [], PROVIDERS)
    return bool(apply_rules(rules, provider, [Commented(ITEM, at(3), text, insider)], NO_PAYLOAD).events)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/experiment start", [STARTED]),
        ("/experiment reopen", [Reopened(ITEM, at(3), commanded=True)]),
        ("/experiment bold", [declared("risk", "bold")]),
        ("/experiment safe", [declared("risk", "safe")]),
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
        "risk bold",
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


@pytest.mark.parametrize(
    "text",
    [
        "/experiment\tstart",
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
