"""Commands in comments become events."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.observation import Commented
from service.lifecycle import teams
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
        ("/experiment signal success", [Signalled(ITEM, at(3), "success", commanded=True)]),
        ("/experiment signal failure", [Signalled(ITEM, at(3), "failure", commanded=True)]),
        ("/experiment ship", [Shipped(ITEM, at(3), commanded=True)]),
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
NONE_OF = "worked, failed, inconclusive, abandoned"
CATEGORIES = "expected one of intelligent, basic, complex"
A_URL = "expected a URL that begins with http:// or https://"
UNKNOWN = (
    "expected one of propose, start, signal, conclude, classify, share, reopen, ship, exclude, team, risk, bold, safe"
)
ACCOUNT = "team: expected the name of a team without @, because a mention may name a person"
PREFIX = "a command begins with /experiment and a space"
PLACE = "a command stands at the beginning of its line, without formatting or other words before it"
IN_CODE = "a command in a code block has no effect; write it outside of the block"
IN_QUOTE = "a command in a quotation has no effect; write it on a line of its own"
IN_HIDDEN = "a command in an HTML comment has no effect; write it outside of the HTML comment"
REST = "write the rest on another line"
UNCLOSED = "the command is in a code block without an end"
REFUSED = [
    ("", f"a command is missing after /experiment; {UNKNOWN}"),
    ("s start", "a command begins with /experiment and a space"),
    ("s", "a command begins with /experiment and a space"),
    (": start", "a command begins with /experiment and a space"),
    (":start", "a command begins with /experiment and a space"),
    (", start", "a command begins with /experiment and a space"),
    (" clasify intelligent", f"unknown command `clasify`; {UNKNOWN}; did you mean classify?"),
    (" Concluded failed", f"unknown command `concluded`; {UNKNOWN}; did you mean conclude?"),
    (" close", f"unknown command; {UNKNOWN}; did you mean conclude?"),
    (" begin", f"unknown command; {UNKNOWN}; did you mean start?"),
    (" outcome failed", f"unknown command `outcome`; {UNKNOWN}; did you mean conclude?"),
    (" failure intelligent", f"unknown command `failure`; {UNKNOWN}; did you mean classify?"),
    (" bodl", f"unknown command; {UNKNOWN}; did you mean bold?"),
    (" jane", f"unknown command; {UNKNOWN}"),
    (" @start", f"unknown command; {UNKNOWN}; did you mean start?"),
    (" start@example.com", f"unknown command; {UNKNOWN}"),
    (" conclude", f"conclude needs outcome: {OUTCOMES}"),
    (" conclude fail", f"conclude: outcome: {OUTCOMES}; did you mean failed?"),
    (" conclude FAILD", f"conclude: outcome: {OUTCOMES}; did you mean failed?"),
    (" conclude failed,", "conclude: outcome: write failed without punctuation"),
    (" conclude jane", f"conclude: outcome: {OUTCOMES}"),
    (" conclude intelligent", "intelligent is a failure category; did you mean conclude failed intelligent?"),
    (
        " conclude failed inteligent",
        "conclude: failure category: `inteligent` is none of intelligent, basic, complex; did you mean intelligent?",
    ),
    (
        " conclude failed unclassified",
        f"conclude: failure category: {CATEGORIES}; write other words on another line",
    ),
    (" conclude failed because", f"conclude: failure category: {CATEGORIES}; write other words on another line"),
    (" classify failed", "failed is an outcome; did you mean conclude failed?"),
    (
        " conclude worked intelligent",
        "nothing may follow worked, because only a failed experiment has a failure category",
    ),
    (
        " conclude failed basic complex",
        f"too many words after the command; expected /experiment conclude <outcome> [failure_category]; {REST}",
    ),
    (" classify", f"classify needs failure category: {CATEGORIES}"),
    (
        " classify inteligent",
        "classify: failure category: `inteligent` is none of intelligent, basic, complex; did you mean intelligent?",
    ),
    (
        " classify basic now",
        f"too many words after the command; expected /experiment classify <failure_category>; {REST}",
    ),
    (" signal", "signal needs result: expected one of success, failure"),
    (" signal sucess", "signal: result: expected one of success, failure; did you mean success?"),
    (" share wiki/45", f"share: learning url: {A_URL}"),
    (
        " share https://a.example https://b.example",
        f"too many words after the command; expected /experiment share [learning_url]; {REST}",
    ),
    (" start now", f"too many words after the command; expected /experiment start; {REST}"),
    (" team", f"team needs a value: expected {teams.EXPECTED}"),
    (" team _org", f"team: expected {teams.EXPECTED}"),
    (
        " described",
        f"unknown command; {UNKNOWN}; a comment describes team and risk: write /experiment team <team>, for example",
    ),
    (" team ml platform", f"too many words after the command; expected /experiment team <team>; {REST}"),
    (" risk", "risk needs a value: expected one of bold, safe"),
    (" risk blod", "risk: expected one of bold, safe; did you mean bold?"),
    (" bold safe", f"too many words after the command; expected /experiment bold; {REST}"),
    (" team @acme/search", ACCOUNT),
    (" team jane.doe@example.com", ACCOUNT),
    (" team [~accountid:5b10a2844c20165700ede21g]", ACCOUNT),
    (" conclude worked.", "conclude: outcome: write worked without punctuation"),
    (" conclude failed, intelligent", "conclude: outcome: write failed without punctuation"),
    (' conclude "failed"', "conclude: outcome: write failed without punctuation"),
    (" classify intelligent!", "classify: failure category: write intelligent without punctuation"),
    (" risk: bold", "write risk without punctuation"),
    (" start!", "write start without punctuation"),
    (" failed intelligent", f"unknown command `failed`; {UNKNOWN}; did you mean conclude failed?"),
    (" fail", f"unknown command; {UNKNOWN}; did you mean conclude failed?"),
    (" abandon", f"unknown command `abandon`; {UNKNOWN}; did you mean conclude abandoned?"),
    (" intelligent", f"unknown command `intelligent`; {UNKNOWN}; did you mean classify intelligent?"),
    (" success", f"unknown command `success`; {UNKNOWN}; did you mean signal success?"),
    (" conclude success", f"conclude: outcome: `success` is none of {NONE_OF}; did you mean worked?"),
    (" CONCLUDE CANCELLED", f"conclude: outcome: `cancelled` is none of {NONE_OF}; did you mean abandoned?"),
    (" conclude won", f"conclude: outcome: {OUTCOMES}; did you mean worked?"),
    (" signal green", "signal: result: expected one of success, failure; did you mean success?"),
    (" risk reckless", "risk: expected one of bold, safe"),
    (" risk high", "risk: expected one of bold, safe; did you mean bold?"),
    (" outcome:failed", f"unknown command; {UNKNOWN}; did you mean conclude failed?"),
    (" conclude=failed", f"unknown command; {UNKNOWN}; did you mean conclude failed?"),
    (" failure/intelligent", f"unknown command; {UNKNOWN}; did you mean classify intelligent?"),
    (" done!", f"unknown command; {UNKNOWN}; did you mean conclude?"),
    (" help", f"unknown command; {UNKNOWN}; the documentation of loopgauge lists the commands"),
    ("/start", PREFIX),
    (".conclude failed", PREFIX),
    ("-done", PREFIX),
    ("-start", PREFIX),
    ("_start", PREFIX),
    ("\\_conclude worked", PREFIX),
    ("=start", PREFIX),
    ("\u200bstart", PREFIX),
]


@pytest.mark.parametrize(("words", "why"), REFUSED)
def test_a_refused_command_says_why_and_proposes_the_nearest_word(words: str, why: str) -> None:
    [command] = parse(f"/experiment{words}")
    assert not command.events
    assert command.refusal == why


@pytest.mark.parametrize(
    "text",
    [
        *("Experiment", "/experimental start", "/experimentation", "/exp", "/experiment-notes", "/experiments-board"),
        *("/export start", "/expert start", "/start", "/run start", "/experience start", "/assign jane"),
        *("- `/experimental start`", "- /experiment jane", "* /experiment folders", "Please /experiment jane"),
        *("https://a.example/experiment start", "See a/experiment start", "See /experiment", "> /experiment jane was"),
        *("The experiment failed.", "experiment jane", "Experiment done by jane", "experiment started at nine"),
        *(
            "/conclude",
            "/conclude the review",
            "/start",
            "/close",
            "/ship release",
            "# Experiment run",
            "@loopgauge-bot hi",
        ),
        *("/increment start", "!important start", "... done", "/expedition start"),
    ],
)
def test_a_line_about_something_else_is_not_a_command(text: str) -> None:
    assert parse(text) == []


@given(st.lists(st.sampled_from([*UNKNOWN.split(), "jane.doe", "@jane", "jane@example.com", "janedoe"]), max_size=4))
def test_no_refusal_quotes_an_account(words: list[str]) -> None:
    for command in parse("/experiment " + " ".join(words)):
        assert "jane" not in command.refusal


@pytest.mark.parametrize("name", ["Green", "Smart", "Mark", "Close", "Won", "Claude", "Prosper", "Shaer", "Goldie"])
@pytest.mark.parametrize("verb", ["", "conclude ", "conclude failed ", "signal ", "risk "])
def test_no_refusal_quotes_a_name_that_is_another_word_for_an_accepted_one(verb: str, name: str) -> None:
    [command] = parse(f"/experiment {verb}{name}")
    assert command.refusal
    assert name.lower() not in command.refusal.lower().replace("did you mean", "")


# Each of these words is the name of a person, and is near a word of the vocabulary.
@pytest.mark.parametrize(
    "words",
    [
        "stuart",
        "shane",
        "conclude failed basil",
        "signal sue",
        "risk saif",
        "risk baldo",
        "kris",
        "mark",
        "propst",
        "asher",
    ],
)
def test_no_refusal_quotes_a_name_that_is_near_an_accepted_word(words: str) -> None:
    [command] = parse(f"/experiment {words}")
    assert command.refusal
    assert words.rsplit(maxsplit=1)[-1] not in command.refusal


@pytest.mark.parametrize(
    "text",
    [
        *(
            "**/experiment start**",
            "_/experiment start_",
            "`/experiment start`",
            "- /experiment start",
            "* /experiment start",
        ),
        *("1. /experiment start", "- [ ] /experiment start", "# /experiment start", "<b>/experiment start</b>"),
        *(" /experiment start", "\u3000/experiment start", "\\/experiment start"),
        *("@loopgauge /experiment start", "@acme/bots: /experiment start", "- **`/experiment classify basc`**"),
        *("**/experiment** start", "<b>/experiment</b> conclude failed", "`/experiment` start"),
        *("Please /experiment start", "Comment `/experiment start`.", "| /experiment start |", "- /experiment strat"),
        *("[/experiment start](https://a.example)", "LGTM (/experiment done)", "**/experiment outcome:failed**"),
    ],
)
def test_a_command_with_formatting_is_refused(text: str) -> None:
    [command] = parse(text)
    assert (command.refusal, command.events) == (PLACE, ())


@pytest.mark.parametrize(
    "text",
    [
        "/experment start",
        "/experiement Conclude worked",
        "/exp start",
        "\uff0fexperiment start",
        "\\exp bold",
        "/loopgauge start",
        *("/expirement done", "/ experiment start", "//experiment start", "!experiment start", ".exp close"),
        *(
            "@loopgauge start",
            "@LoopGauge: conclude failed",
            "#experiment start",
            "/conclude failed",
            "/classify Basic.",
        ),
        *("experiment start", "Experiment: done", "EXPERIMENT conclude failed intelligent.", "experiment started"),
    ],
)
def test_a_misspelt_command_is_refused(text: str) -> None:
    [command] = parse(text)
    assert (command.refusal, command.events) == (PREFIX, ())


@pytest.mark.parametrize("text", ["```\n/experiment start", "````\ncode\n```\n/experiment start\nThanks."])
def test_a_command_in_a_code_block_without_an_end_is_refused(text: str) -> None:
    [command] = parse(text)
    assert (command.refusal, command.events) == (UNCLOSED, ())


@pytest.mark.parametrize(
    "text",
    [
        *("<!-- /experiment start -->", "<!--\n/experiment start\n-->", "   <!-- Commands:\n\n/experiment start"),
        "<!-- a --> /experiment start",
    ],
)
def test_a_hidden_command_is_refused(text: str) -> None:
    assert said(text) == []
    assert IN_HIDDEN in [command.refusal for command in parse(text)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("> /experiment start", IN_QUOTE),
        (">> **/experiment start**", IN_QUOTE),
        ("> Shall we /experiment start?", IN_QUOTE),
        ("```\n/experiment start\n```", IN_CODE),
        ("~~~ sh\n/experiment\n~~~", IN_CODE),
        ("<!--\n```\n-->\n```\n/experiment start\n```", IN_CODE),
        ("<!-- To start, write /experiment start -->", IN_HIDDEN),
    ],
)
def test_a_command_that_is_quoted_shown_as_code_or_hidden_is_refused(text: str, why: str) -> None:
    [command] = parse(text)
    assert (command.refusal, command.events) == (why, ())


@pytest.mark.parametrize(
    "text", ["<!-- hidden -->\n/experiment start", "<!--\n-->\n/experiment start", "Say `<!--`.\n/experiment start"]
)
def test_a_command_after_a_hidden_text_is_obeyed(text: str) -> None:
    assert said(text) == [STARTED]


@pytest.mark.parametrize(
    ("first", "second", "other"),
    [
        ("bold", "safe", "risk"),
        ("safe", "risk bold", "risk"),
        ("team search", "team ads", "team"),
        ("conclude worked", "conclude failed", "outcome"),
        ("conclude failed basic", "classify complex", "failure category"),
        ("share https://a.example", "share https://b.example", "learning url"),
    ],
)
def test_the_first_of_two_contradicting_commands_counts(first: str, second: str, other: str) -> None:
    one, two = parse(f"/experiment {first}\n/experiment {second}")
    assert one.events == tuple(said(f"/experiment {first}"))
    assert (two.refusal, two.events) == (f"an earlier line of the comment gives another {other}", ())


def test_a_command_may_be_repeated() -> None:
    text = "/experiment conclude failed basic"
    assert said(f"{text}\n{text}\n/experiment classify basic")[:3] == said(text)


@pytest.mark.parametrize(
    "text",
    [
        "/experiment\tstart",
        "/experiment\xa0start",
        "/experiment\u2003start",
        "/experiment\u3000start",
        "\ufeff/experiment start",
        "/experiment start\u200b",
        "/exper\u00adiment start",
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


def test_a_comment_gives_a_hundred_commands_at_most_and_says_so() -> None:
    *first, last = parse(f"{START}\n" * 5_000)
    assert (len(first), {command.events for command in first}) == (100, {(STARTED,)})
    assert last.refusal == "a comment gives at most 100 commands; write the rest in another comment"


def test_many_backticks_are_parsed_in_linear_time() -> None:
    # A parser that tries each backtick as the end of a code fence would take minutes.
    assert said("`" * 1_000_000 + "x\n" + START) == []
