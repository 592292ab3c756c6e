"""Applying the rules to a delivery gives events with their channels, or the reason why no rule matches."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.observation import (
    TRAITS,
    Commented,
    Kind,
    Mentioned,
    Observation,
    Observed,
    Outsider,
    Stated,
    Trait,
)
from service.lifecycle.events import (
    Active,
    Concluded,
    Declared,
    LifecycleEvent,
    Proposed,
    Reopened,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.evidence import LinkSet
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome
from service.providers import PROVIDERS
from service.rules import patterns
from service.rules.apply import apply_rules
from service.rules.document import RulesFile
from service.rules.model import Interpretation, Rules
from service.rules.reader import read_rules
from service.settings import packaged_rules
from tests.support.builders import NO_PAYLOAD, at, raw_payload, without_label
from tests.support.road import RULES

SUBJECT = Ref("jira:ML-12")
PAYLOAD = {
    "text": "failed",
    "empty": "",
    "true": True,
    "false": False,
    "null": None,
    "int": 12,
    "float": 1.5,
    "list": ["failed"],
    "object": {"value": "failed"},
}


def rules(text: str) -> Rules:
    """Read the rules of a YAML list, without the default rules."""
    return read_rules(RulesFile("rules.yaml", f"extends: none\nrules:\n{text}"), [], PROVIDERS)


def observed(kind: Kind, when: datetime | None = None, /, **known: Any) -> Observed:
    """An observation. The value of a trait is one text, or a tuple of several texts."""
    traits: dict[Any, tuple[str, ...]] = {
        trait: value if isinstance(value, tuple) else (value,) for trait, value in known.items()
    }
    return Observed(kind, SUBJECT, when or at(3), traits)


def interpreted(text: str, *observations: Observed, provider: str = "jira", payload: Any = None) -> Interpretation:
    return apply_rules(rules(text), provider, observations, raw_payload(payload))


def events(text: str, *observations: Observed, provider: str = "jira", payload: Any = None) -> list[LifecycleEvent]:
    found = interpreted(text, *observations, provider=provider, payload=payload)
    return [without_label(event) for event in found.events]


def declared(field: Any, value: str, channel: Any = "item", *, overheard: bool = False) -> Declared:
    return Declared(SUBJECT, at(3), field, value, channel, overheard=overheard)


def withdrawn(field: Any, value: str, channel: Any) -> Withdrawn:
    return Withdrawn(SUBJECT, at(3), field, value, channel)


FIRST_WINS = """
- {name: bets fail, when: {kind: closed, project: bets}, then: {concluded: failed}}
- {name: first, when: {kind: closed}, then: [concluded, {declare: {title: first}}]}
- {name: second, when: {kind: closed}, then: [{concluded: worked}, started, {declare: {title: second, team: search}}]}
"""


def test_the_first_matching_rule_decides_on_each_event_and_each_field() -> None:
    meant = interpreted(FIRST_WINS, observed("closed", project="ML"))
    assert {statement.event: statement.rule for statement in meant.statements} == {
        Concluded(SUBJECT, at(3)): "first",
        declared("title", "first"): "first",
        Started(SUBJECT, at(3)): "second",
        declared("team", "search"): "second",
    }


def test_the_next_rule_decides_if_a_rule_does_not_match() -> None:
    assert Concluded(SUBJECT, at(3), Outcome.FAILED) in events(FIRST_WINS, observed("closed", project="Bets"))
    assert Concluded(SUBJECT, at(3)) in events(FIRST_WINS, observed("closed"))


def test_the_rules_decide_on_each_observation_of_a_delivery_separately() -> None:
    said = events("- {when: {kind: closed}, then: concluded}", observed("closed"), observed("closed", at(4)))
    assert said == [Concluded(SUBJECT, at(3)), Concluded(SUBJECT, at(4))]


def test_two_labels_that_declare_the_same_value_are_two_declarations() -> None:
    text = """
- {name: one, when: {label: a}, then: {declare: {risk: bold}}}
- {name: other, when: {label: b}, then: {declare: {risk: bold}}}
"""
    one, other = interpreted(text, observed("seen", label=("a", "b"))).statements
    assert (one.rule, other.rule) == ("one", "other")
    assert without_label(one.event) == without_label(other.event)


def test_the_rules_decide_on_each_label_separately() -> None:
    text = """
- {when: {label: "special:{team}"}, then: {declare: {team: "special {team}"}}}
- {when: {label: "*:{team}"}, then: {declare: {team: "{team}"}}}
"""
    said = events(text, observed("seen", label=("team:a", "special:b", "team:c")))
    assert sorted(event.value for event in said if isinstance(event, Declared)) == ["a", "c", "special b"]


def test_the_rules_of_a_file_come_before_the_default_rules() -> None:
    own = "rules: [{when: {kind: closed, reason: completed}, then: {concluded: worked}}]"
    both = read_rules(
        RulesFile("own.yaml", own),
        [RulesFile("defaults.yaml", "extends: none\nrules: [{when: {kind: closed}, then: concluded}]")],
        PROVIDERS,
    )
    assert apply_rules(both, "jira", [observed("closed", reason="Completed")], NO_PAYLOAD).events == (
        Concluded(SUBJECT, at(3), Outcome.WORKED),
    )
    assert apply_rules(both, "jira", [observed("closed")], NO_PAYLOAD).events == (Concluded(SUBJECT, at(3)),)


def test_a_rule_matches_if_every_condition_has_a_pattern_that_matches() -> None:
    text = "- {when: {kind: closed, what: item, reason: [won, lost]}, then: concluded}"
    assert events(text, observed("closed", what="item", reason="Lost"))
    assert not events(text, observed("closed", what="change", reason="lost"))
    assert not events(text, observed("closed", what="item", reason="drawn"))
    assert not events(text, observed("closed", what="item"))


@pytest.mark.parametrize("trait", ["reason", "ending", "status_to"])
@pytest.mark.parametrize("pattern", ["Won't Do", "won\u2019t do", "Wont Do", "Won't *", "won\u02bct {what}"])
@pytest.mark.parametrize("value", ["Won't Do", "Won\u2019t  do", " WON`T DO"])
def test_words_of_a_tracker_match_whatever_their_apostrophes_and_white_space(
    trait: str, pattern: str, value: str
) -> None:
    text = f'- {{when: {{kind: closed, {trait}: "{pattern}"}}, then: concluded}}'
    assert events(text, observed("closed", **{trait: value})) != []
    assert events(text, observed("closed", **{trait: "Won"})) == []


@pytest.mark.parametrize(("provider", "matches"), [("jira", True), ("gitlab", True), ("github", False), ("", False)])
def test_a_rule_matches_only_deliveries_of_its_providers(provider: str, matches: bool) -> None:
    text = "- {when: {provider: [Jira, gitlab], kind: closed}, then: concluded}"
    assert bool(events(text, observed("closed"), provider=provider)) == matches


@pytest.mark.parametrize(
    ("where", "matches"),
    [
        ("true", True),
        ("text", True),
        ("int", True),
        ("list", True),
        ("object.value == 'failed'", True),
        ("null == null", True),
        ("false", False),
        ("null", False),
        ("empty", False),
        ("missing", False),
        ("missing.further", False),
        ("text.further", False),
        ("`[]`", False),
        ("length(int)", False),
    ],
)
def test_a_rule_matches_only_if_its_path_finds_a_true_value(where: str, matches: bool) -> None:
    text = f'- {{name: mine, when: {{kind: closed}}, where: "{where}", then: concluded}}'
    meant = interpreted(text, observed("closed"), payload=PAYLOAD)
    assert bool(meant.events) == matches
    assert ("the `where` of the rule `mine` is not true" in meant.reason) != matches


@pytest.mark.parametrize("payload", [None, [], "text", 12, {}])
def test_a_rule_does_not_match_if_its_path_does_not_apply_to_the_payload(payload: Any) -> None:
    assert not events("- {when: {kind: closed}, where: a.b, then: concluded}", observed("closed"), payload=payload)


def test_the_payload_is_searched_once_for_all_observations_of_a_delivery(monkeypatch: pytest.MonkeyPatch) -> None:
    searched = Mock(side_effect=patterns.search)
    monkeypatch.setattr(patterns, "search", searched)
    text = "- {when: {kind: closed}, where: \"object.value == 'failed'\", then: concluded}"
    closed = [observed("closed", at(day)) for day in range(3, 20)]
    assert len(apply_rules(rules(text), "jira", closed, raw_payload(PAYLOAD)).events) == len(closed)
    assert searched.call_count == 1


def test_the_payload_is_decoded_only_if_a_rule_needs_it() -> None:
    unreadable = raw_payload(b"no JSON")
    text = """
- {when: {kind: closed, reason: lost}, where: a, then: concluded}
- {when: {kind: closed}, then: [concluded, {declare: {title: "{what}"}}]}
"""
    assert len(apply_rules(rules(text), "jira", [observed("closed", what="item")], unreadable).events) == 2


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("text", "failed"),
        ("true", "true"),
        ("false", "false"),
        ("int", "12"),
        ("float", "1.5"),
        ("object.value", "failed"),
        ("list[0]", "failed"),
        ("null", None),
        ("empty", None),
        ("list", None),
        ("object", None),
        ("missing", None),
        ("length(int)", None),
    ],
)
def test_a_single_value_from_the_payload_is_declared(path: str, title: str | None) -> None:
    text = f"""
- {{when: {{kind: closed}}, then: {{declare: {{title: "${{{path}}}"}}}}}}
- {{when: {{kind: closed}}, then: {{declare: {{title: no value}}}}}}
"""
    assert events(text, observed("closed"), payload=PAYLOAD) == [declared("title", title or "no value")]


def test_the_next_rule_decides_if_a_field_does_not_accept_the_value_of_a_rule() -> None:
    text = """
- {when: {kind: closed}, then: {declare: {outcome: "${text}", risk: "${text}", url: "${text}"}}}
- {when: {kind: closed}, then: {declare: {outcome: worked, risk: safe}}}
"""
    assert events(text, observed("closed"), payload=PAYLOAD) == [
        declared("outcome", "failed"),
        declared("risk", "safe"),
    ]


def test_a_capture_takes_precedence_over_a_trait_of_the_same_name_and_other_traits_can_be_inserted() -> None:
    text = """- {when: {kind: seen, project: "acme/{project}-*"}, then: {declare: {title: "{what} of {project}"}}}"""
    said = events(text, observed("seen", what="Item", project="Acme/Search-Index"))
    assert said == [declared("title", "Item of Search")]


def test_a_value_with_an_unknown_trait_is_not_declared() -> None:
    text = """- {when: {kind: seen}, then: {declare: {title: "{title}", url: "{url}"}}}"""
    assert events(text, observed("seen", title="Cache")) == [declared("title", "Cache")]


TEAMS = """
extends: none
teams: {"acme/search-*": search, ML: ml-platform}
rules:
  - {when: {kind: seen, component: "{component}"}, then: {derive: {team: "{component}"}}}
  - {when: {kind: seen}, then: {derive: {team: "{project}"}}}
"""


@pytest.mark.parametrize(
    ("known", "team"),
    [
        ({"project": "acme/search-index"}, "search"),
        ({"project": "Acme/SEARCH-index", "component": "Cache"}, "search"),
        ({"project": "ml", "component": "Cache"}, "ml-platform"),
        ({"project": "OPS", "component": "ml"}, "ml-platform"),
        ({"project": "OPS", "component": ("Cache", "ML")}, "ml-platform"),
        ({"project": "OPS", "component": ("Cache", "Index")}, "cache"),
        ({"project": "OPS"}, "ops"),
        ({"project": "acme/app"}, "acme/app"),
    ],
)
def test_a_team_is_derived_from_the_mapping_or_else_from_the_component_or_else_from_the_project(
    known: Any, team: str
) -> None:
    meant = apply_rules(
        read_rules(RulesFile("rules.yaml", TEAMS), [], PROVIDERS), "jira", [observed("seen", **known)], NO_PAYLOAD
    )
    assert meant.events == (declared("team", team, "derived"),)


def test_a_derived_value_does_not_replace_a_declared_one() -> None:
    text = """
- {when: {kind: seen}, then: {declare: {team: stated}}}
- {when: {kind: seen}, then: {derive: {team: derived}}}
"""
    assert events(text, observed("seen")) == [declared("team", "stated"), declared("team", "derived", "derived")]


BETS = """
- {when: {label: "bet:{risk}"}, then: {declare: {experiment: true, risk: "{risk}"}}}
- {when: {item_type: Bet}, then: {declare: {experiment: true}}}
- {when: {branch: "bet/*"}, then: {declare: {experiment: true}}}
"""


def test_a_label_in_a_payload_is_declared_as_overheard_and_an_added_or_removed_label_as_explicit() -> None:
    assert events(BETS, observed("seen", label="bet:bold")) == [
        declared("experiment", "true", "label", overheard=True),
        declared("risk", "bold", "label", overheard=True),
    ]
    assert events(BETS, observed("labelled", label="Bet:Bold")) == [
        declared("experiment", "true", "label"),
        declared("risk", "bold", "label"),
    ]
    assert events(BETS, observed("unlabelled", label="bet:BOLD")) == [
        withdrawn("experiment", "true", "label"),
        withdrawn("risk", "bold", "label"),
    ]


def test_a_type_is_declared_when_seen_or_added_and_withdrawn_when_removed() -> None:
    assert events(BETS, observed("seen", item_type="bet")) == [declared("experiment", "true", "type")]
    assert events(BETS, observed("typed", item_type="BET")) == [declared("experiment", "true", "type")]
    assert events(BETS, observed("untyped", item_type="Bet")) == [withdrawn("experiment", "true", "type")]


def test_a_rule_on_a_branch_declares_on_the_channel_branch() -> None:
    assert events(BETS, observed("seen", branch="bet/1")) == [declared("experiment", "true", "branch")]


INSTANTS = """
- {when: {label: go}, then: [started, {withdraw: {excluded: duplicate}}]}
- {when: {item_type: Bet}, then: proposed}
"""


def test_adding_a_label_or_type_can_record_an_instant() -> None:
    assert events(INSTANTS, observed("labelled", label="go")) == [
        Started(SUBJECT, at(3)),
        withdrawn("excluded", "duplicate", "label"),
    ]
    assert events(INSTANTS, observed("typed", item_type="bet")) == [Proposed(SUBJECT, at(3))]


def test_removing_a_label_or_type_records_no_instant() -> None:
    assert events(INSTANTS, observed("unlabelled", label="go")) == []
    assert events(INSTANTS, observed("untyped", item_type="Bet")) == []


def test_the_values_of_a_branch_are_withdrawn_when_a_change_replaces_the_branch() -> None:
    text = """
- {when: {what: branch, branch: "bet/{title}"}, then: {declare: {experiment: true, title: "{title}"}}}
- {when: {what: branch, branch: "bet/*"}, then: {withdraw: {excluded: deleted}}}
"""
    place = {"what": "branch", "branch": "bet/cache"}
    assert events(text, observed("seen", **place)) == [
        declared("experiment", "true", "branch"),
        declared("title", "cache", "branch"),
        withdrawn("excluded", "deleted", "branch"),
    ]
    assert events(text, observed("superseded", **place)) == [
        withdrawn("experiment", "true", "branch"),
        withdrawn("title", "cache", "branch"),
    ]


def test_a_superseded_branch_records_no_instant() -> None:
    text = "- {when: {kind: [closed, superseded], what: branch}, then: [concluded, started]}"
    assert events(text, observed("superseded", what="branch")) == []
    assert len(events(text, observed("closed", what="branch"))) == 2


MOVES = """
- {when: {category_to: done}, then: concluded}
- {when: {category_to: new}, then: reopened}
"""


def test_a_conclusion_names_the_status_that_was_entered_and_a_reopening_the_status_that_was_left() -> None:
    statuses = {"status_from": "In Review", "status_to": "Won't Do"}
    assert events(MOVES, observed("moved", category_to="done", **statuses)) == [
        Concluded(SUBJECT, at(3), status="won't do")
    ]
    assert events(MOVES, observed("moved", category_to="new", **statuses)) == [
        Reopened(SUBJECT, at(3), left="in review")
    ]


def test_a_conclusion_and_a_reopening_name_no_status_if_the_statuses_are_unknown() -> None:
    assert events(MOVES, observed("moved", category_to="done")) == [Concluded(SUBJECT, at(3))]
    assert events(MOVES, observed("moved", category_to="new")) == [Reopened(SUBJECT, at(3))]


def test_the_conclusion_of_a_closing_names_the_status_of_the_closing() -> None:
    text = "- {when: {kind: closed}, then: {concluded: failed}}"
    assert events(text, observed("closed", status_to="Refuted")) == [
        Concluded(SUBJECT, at(3), Outcome.FAILED, status="refuted")
    ]


STATED = (Proposed(SUBJECT, at(1)), Declared(SUBJECT, at(2), "team", "search", "api"))


def test_an_event_that_the_payload_states_counts_without_a_rule() -> None:
    meant = apply_rules(rules("- {when: {kind: closed}, then: concluded}"), "cloudevents", [Stated(STATED)], NO_PAYLOAD)
    assert (meant.verdict, meant.reason) == ("counted", "stated")
    assert [(one.event, one.rule) for one in meant.statements] == [(event, "stated") for event in STATED]


@pytest.mark.parametrize(
    "event", [Proposed(SUBJECT, at(1)), Active(SUBJECT, at(1)), Signalled(SUBJECT, at(1), "failure")]
)
def test_any_event_that_the_payload_states_makes_the_delivery_count(event: LifecycleEvent) -> None:
    said: list[Observation] = [observed("seen"), Stated((event,)), observed("created")]
    meant = apply_rules(rules(BETS), "cloudevents", said, NO_PAYLOAD)
    assert (meant.verdict, meant.reason, meant.events) == ("counted", "stated", (event,))


def test_events_that_the_payload_states_are_added_to_the_events_of_rules() -> None:
    said: list[Observation] = [observed("closed"), Stated(STATED)]
    meant = apply_rules(rules("- {name: closing, when: {kind: closed}, then: concluded}"), "jira", said, NO_PAYLOAD)
    assert meant.reason == "closing, stated"
    assert meant.events == (Concluded(SUBJECT, at(3)), *STATED)


COMMIT = Ref("commit:" + "a" * 40)


def mentioned(subject: Ref, text: str) -> Interpretation:
    return apply_rules(
        rules("- {when: {kind: closed}, then: active}"),
        "github",
        [Mentioned(subject, "message", text, at(3))],
        NO_PAYLOAD,
    )


def test_a_commit_whose_message_names_a_key_serves_the_ticket() -> None:
    ticket = frozenset({Ref("jira:OPS-3")})
    assert mentioned(COMMIT, "OPS-3: cache").links == (LinkSet(COMMIT, "message", COMMIT, ticket, at(3)),)


def test_a_key_in_small_letters_is_kept_but_does_not_make_its_delivery_count() -> None:
    said = mentioned(COMMIT, "ops-3: cache")
    assert said.links == (LinkSet(COMMIT, "message", COMMIT, frozenset({Ref("jira:ops-3")}), at(3)),)
    assert said.verdict == "ignored"
    assert said.reason == (
        "its message may name a ticket in small letters: a link if the tracker sends deliveries about that project"
    )


def test_only_the_first_line_of_a_message_is_searched_for_keys_in_small_letters() -> None:
    assert mentioned(COMMIT, "Cache answers\n\nSee ops-3.").links == ()
    assert mentioned(COMMIT, "Cache answers\n\nSee OPS-3.").links[0].targets == {Ref("jira:OPS-3")}


def test_an_outsider_names_no_ticket_in_small_letters() -> None:
    change = Ref("github:acme/app!7")
    said = apply_rules(
        rules("- {when: {kind: closed}, then: active}"),
        "github",
        [Outsider(change, at(2)), Mentioned(change, "title", "ops-3: cache", at(3))],
        NO_PAYLOAD,
    )
    assert [link.targets for link in said.links] == [frozenset()]


def test_a_commit_whose_message_names_no_key_neither_makes_nor_withdraws_a_link() -> None:
    said = mentioned(COMMIT, "Cache answers")
    assert (said.verdict, said.reason, said.links) == ("ignored", "its message names no ticket", ())


@pytest.mark.parametrize("subject", ["github:acme/app!7", "branch:acme/app@main", "jira:ML-12"])
def test_an_editable_text_that_names_no_key_withdraws_the_earlier_links_of_the_text(subject: str) -> None:
    evidence = Ref(subject)
    assert mentioned(evidence, "Cache").links == (LinkSet(evidence, "message", evidence, frozenset(), at(3)),)


def test_the_reason_for_an_ignored_branch_does_not_mention_labels() -> None:
    text = """
- {when: {label: bet}, then: {declare: {experiment: true}}}
- {when: {what: branch, branch: "bet/*"}, then: {declare: {experiment: true}}}
"""
    seen = observed("seen", what="branch", branch="main", project="acme/app")
    assert interpreted(text, seen).reason == "its branch is not `bet/*`"


def test_an_observation_that_an_item_was_seen_records_no_instant() -> None:
    assert events(INSTANTS, observed("seen", label="go", item_type="Bet")) == [
        withdrawn("excluded", "duplicate", "label")
    ]


@pytest.mark.parametrize("time", ["00:00:00", "09:00:00", "23:59:59.999999"])
def test_activity_is_dated_by_the_beginning_of_its_day(time: str) -> None:
    said = events("- {when: {kind: active}, then: active}", observed("active", at(3, time)))
    assert said == [Active(SUBJECT, at(3, "00:00:00"))]


def test_all_activity_of_the_same_day_is_a_single_event() -> None:
    text = "- {when: {kind: active}, then: active}"
    said = events(text, observed("active"), observed("active", at(3, "10:00:00")), observed("active", at(4)))
    assert said == [Active(SUBJECT, at(3, "00:00:00")), Active(SUBJECT, at(4, "00:00:00"))]


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (observed("seen"), "no label `bet:{risk}`; the payload shows no labels"),
        (observed("seen", label=("a", "b")), "no label `bet:{risk}`; labels were a, b"),
        (
            observed("seen", label="a", item_type="Bug", branch="main"),
            "no label `bet:{risk}`; labels were a; its type Bug is not `Bet`; its branch is not `bet/*`",
        ),
        (observed("labelled", label="bug"), "no rule matches labelled: label `bug`"),
        (observed("finished", workflow="a", conclusion="b"), "no rule matches finished: workflow `a`, conclusion `b`"),
        (observed("created"), "no rule matches created"),
    ],
)
def test_the_reason_names_the_patterns_and_the_values_if_no_rule_matches(one: Observed, reason: str) -> None:
    meant = interpreted(BETS, one)
    assert (meant.verdict, meant.reason) == ("ignored", reason)


def test_the_reason_names_a_condition_only_if_all_other_conditions_of_the_rule_matched() -> None:
    text = """
- {when: {what: change, branch: "bet/*"}, then: {declare: {experiment: true}}}
- {when: {provider: jira, item_type: Bet}, then: {declare: {experiment: true}}}
"""
    assert interpreted(text, observed("seen", what="change", branch="main", item_type="Bug"), provider="x").reason == (
        "its branch is not `bet/*`"
    )


def test_no_reason_contains_a_persons_name() -> None:
    named = observed("seen", what="change", branch="ada/lovelace", title="Ada", url="https://acme.example/ada")
    text = """
- {when: {branch: "bet/*"}, then: {declare: {experiment: true}}}
- {when: {title: "Bet*"}, then: {declare: {experiment: true}}}
- {when: {url: "*bet*"}, then: {declare: {experiment: true}}}
"""
    assert "ada" not in interpreted(text, named).reason.lower()
    assert "ada" not in interpreted(text, observed("finished", branch="ada/lovelace")).reason.lower()


def test_a_reason_stays_short() -> None:
    labels = tuple(f"{number} " + "x" * 1000 for number in range(1000))
    assert len(interpreted(BETS, observed("seen", label=labels)).reason) < 5000


def test_equal_reasons_are_given_once() -> None:
    assert interpreted(BETS, observed("created"), observed("created", at(4))).reason == "no rule matches created"


TEXTS = st.text() | st.sampled_from(["experiment", "{team}", "${a}", "outcome:failed", "team:", "*", "done"])


@st.composite
def any_observation(draw: st.DrawFn) -> Observed:
    kind: Kind = draw(st.sampled_from(get_args(Kind)))
    allowed = sorted(TRAITS[kind])
    traits: Mapping[Trait, tuple[str, ...]] = (
        draw(st.dictionaries(st.sampled_from(allowed), st.lists(TEXTS, max_size=3).map(tuple))) if allowed else {}
    )
    return Observed(kind, SUBJECT, draw(st.datetimes(timezones=st.just(at(1).tzinfo))), traits)


@given(st.lists(any_observation(), max_size=4), st.sampled_from(["github", "gitlab", "jira"]))
def test_any_observation_is_counted_or_ignored_with_a_reason(one: list[Observed], provider: str) -> None:
    meant = apply_rules(RULES, provider, one, NO_PAYLOAD)
    assert meant.verdict in ("counted", "ignored")
    assert meant.reason or not one
    assert len(set(meant.events)) == len(meant.events)


@given(TEXTS, TEXTS)
def test_any_text_of_a_comment_or_a_title_is_counted_or_ignored_with_a_reason(text: str, other: str) -> None:
    said: list[Observation] = [Commented(SUBJECT, at(3), text, insider=True), Mentioned(SUBJECT, "title", other, at(3))]
    assert apply_rules(RULES, "jira", said, NO_PAYLOAD).reason


def test_a_removed_label_does_not_withdraw_the_same_value_of_another_label() -> None:
    text = "rules:\n  - when: {label: bet}\n    then: {declare: {experiment: true}}\n"
    found = apply_rules(
        read_rules(RulesFile("rules.yaml", text), packaged_rules(), PROVIDERS),
        "github",
        [
            Observed("seen", SUBJECT, at(3), {"label": ("Experiment",)}),
            Observed("unlabelled", SUBJECT, at(3), {"label": ("Bet",)}),
        ],
        NO_PAYLOAD,
    )
    assert {event for event in found.events if isinstance(event, Declared | Withdrawn)} >= {
        Declared(SUBJECT, at(3), "experiment", "true", "label", overheard=True, label="experiment"),
        Withdrawn(SUBJECT, at(3), "experiment", "true", "label", label="bet"),
    }


def test_a_rule_on_a_label_and_a_project_applies_when_the_label_is_removed() -> None:
    text = "extends: none\nrules:\n  - when: {project: 'acme/*', label: bet}\n    then: {declare: {experiment: true}}\n"
    rules_of_a_project = read_rules(RulesFile("rules.yaml", text), packaged_rules(), PROVIDERS)
    place: dict[Trait, tuple[str, ...]] = {"project": ("acme/app",), "label": ("bet",)}
    changes = [Observed("labelled", SUBJECT, at(3), place), Observed("unlabelled", SUBJECT, at(4), place)]
    put_on, taken_off = apply_rules(rules_of_a_project, "github", changes, NO_PAYLOAD).events
    assert isinstance(put_on, Declared)
    assert isinstance(taken_off, Withdrawn)
    elsewhere = Observed("labelled", SUBJECT, at(3), {"project": ("other/app",), "label": ("bet",)})
    assert apply_rules(rules_of_a_project, "github", [elsewhere], NO_PAYLOAD).events == ()
