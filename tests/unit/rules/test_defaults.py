"""The default rules turn each kind of observation into events, links and a verdict with its reason."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import permutations
from typing import Any, Literal, NamedTuple

import pytest

from service.deliveries.observation import (
    Commented,
    Identified,
    Kind,
    Linked,
    Mentioned,
    Nothing,
    Observation,
    Observed,
    Renamed,
)
from service.lifecycle import teams
from service.lifecycle.aliases import Alias
from service.lifecycle.declarations import declarations_in, value_of
from service.lifecycle.events import (
    Active,
    Concluded,
    Declared,
    LifecycleEvent,
    Proposed,
    Refused,
    Reopened,
    Result,
    Shipped,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.evidence import LinkSet
from service.lifecycle.experiment import fold, is_marked
from service.lifecycle.fields import FieldName
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome
from service.providers import PROVIDERS
from service.rules.apply import apply_rules
from service.rules.document import RulesFile
from service.rules.model import Verdict
from service.rules.reader import read_rules
from tests.support.builders import NO_PAYLOAD, at, without_label
from tests.support.road import RULES

Provider = Literal["github", "gitlab", "jira"]
FORGES: list[Provider] = ["github", "gitlab"]
ALL: list[Provider] = [*FORGES, "jira"]

ITEM, OTHER_ITEM = Ref("github:acme/app#45"), Ref("github:acme/app#46")
CHANGE = Ref("github:acme/app!7")
HEAD, MERGE = Ref("commit:" + "a" * 40), Ref("commit:" + "b" * 40)
TICKET = Ref("jira:ML-12")
THE_THIRD = at(3)
DERIVED_TEAM = Declared(ITEM, at(2), "team", "acme/app", "derived")


class Meaning(NamedTuple):
    """The result of applying the rules to a delivery, reduced to the parts that the tests compare."""

    verdict: Verdict
    reason: str
    events: tuple[LifecycleEvent, ...] = ()
    links: tuple[LinkSet, ...] = ()
    aliases: tuple[Alias, ...] = ()


def interpreted(*observed: Observation, provider: Provider = "github") -> Meaning:
    meant = apply_rules(RULES, provider, observed, NO_PAYLOAD)
    return Meaning(meant.verdict, meant.reason, tuple(map(without_label, meant.events)), meant.links, meant.aliases)


def events(*observed: Observation, provider: Provider = "github") -> Sequence[LifecycleEvent]:
    return interpreted(*observed, provider=provider).events


def effective(*observed: Observation, provider: Provider = "github") -> Sequence[LifecycleEvent]:
    """The events without refusals."""
    return tuple(event for event in events(*observed, provider=provider) if not isinstance(event, Refused))


def observation(kind: Kind, subject: Ref = ITEM, when: datetime = THE_THIRD, **known: Any) -> Observed:
    """An observation. The value of a trait is one text, or a tuple of several texts."""
    traits: dict[Any, tuple[str, ...]] = {
        trait: value if isinstance(value, tuple) else (value,) for trait, value in known.items()
    }
    return Observed(kind, subject, when, traits)


def seen(*labels: str, **known: Any) -> Observed:
    return observation("seen", ITEM, at(2), **{"what": "item", "project": "Acme/App", "label": labels, **known})


def change_seen(branch: str = "cache-answers", *labels: str) -> Observed:
    return observation("seen", CHANGE, at(2), what="change", project="Acme/App", label=labels, branch=branch)


def ticket(*labels: str, item_type: str = "Task", **known: Any) -> Observed:
    return observation("seen", TICKET, at(2), what="item", project="ML", label=labels, item_type=item_type, **known)


def ending(**known: str) -> dict[str, tuple[str, ...]]:
    """The trait `ending` of a ticket that has moved to the category done."""
    words = tuple(known[trait] for trait in ("resolution", "status_to") if trait in known)
    return {"ending": words} if words and known.get("category_to", "").lower() == "done" else {}


def moved(**known: str) -> Observed:
    traits: dict[str, Any] = {**known, **ending(**known)}
    return observation("moved", TICKET, **traits)


def overheard(field: FieldName, value: str, subject: Ref = ITEM) -> Declared:
    return Declared(subject, at(2), field, value, "label", overheard=True)


def stated(evidence: Ref, channel: str, *targets: Ref) -> Linked:
    return Linked(evidence, channel, CHANGE, frozenset(targets), at(2))


def link(evidence: Ref, channel: str, *targets: Ref) -> LinkSet:
    return LinkSet(evidence, channel, CHANGE, frozenset(targets), at(2))


STATING_LABELS: list[tuple[str, FieldName, str]] = [
    ("experiment", "experiment", "true"),
    ("outcome:worked", "outcome", "worked"),
    ("outcome:failed", "outcome", "failed"),
    ("outcome:inconclusive", "outcome", "inconclusive"),
    ("outcome:abandoned", "outcome", "abandoned"),
    ("failure:intelligent", "failure_category", "intelligent"),
    ("failure:basic", "failure_category", "basic"),
    ("failure:complex", "failure_category", "complex"),
    ("learning:shared", "shared", "true"),
    ("risk:bold", "risk", "bold"),
    ("risk:safe", "risk", "safe"),
    ("team:search", "team", "search"),
    ("team:ML Platform", "team", "ml platform"),
    ("team: search", "team", "search"),
    ("Experiment", "experiment", "true"),
    ("OUTCOME:Failed", "outcome", "failed"),
    ("Failure:BASIC", "failure_category", "basic"),
    ("Learning:Shared", "shared", "true"),
    ("Risk:Bold", "risk", "bold"),
    ("Team:Search", "team", "search"),
]
SILENT_LABELS = [
    "bug",
    "experimental",
    "experiments",
    "my experiment",
    "experiment:",
    "outcome",
    "outcome:",
    "outcome:undeclared",
    "outcome:splendid",
    "failure:unclassified",
    "failure:failed",
    "learning:hidden",
    "risk:high",
    "team",
    "team:",
    "team: ",
    "team:_org",
    "team:_other",
    "",
]


def test_an_item_with_the_experiment_label_is_an_experiment() -> None:
    assert interpreted(seen("experiment")) == Meaning(
        "counted", "experiment by label", (overheard("experiment", "true"), DERIVED_TEAM)
    )


def test_a_delivery_of_an_item_without_labels_is_ignored_but_its_events_are_kept() -> None:
    assert interpreted(seen()) == Meaning(
        "ignored", "no label `experiment`; the payload shows no labels", (DERIVED_TEAM,)
    )


def test_a_delivery_of_an_item_with_other_labels_is_ignored_and_the_reason_names_the_labels() -> None:
    assert interpreted(seen("bug", "Outcome:Worked")) == Meaning(
        "ignored",
        "no label `experiment`; labels were bug, Outcome:Worked",
        (overheard("outcome", "worked"), DERIVED_TEAM),
    )


def test_the_title_and_the_url_of_an_item_are_declared() -> None:
    assert events(seen(title="Answer from the cache", url="https://github.com/acme/app/issues/45")) == (
        Declared(ITEM, at(2), "title", "Answer from the cache", "item"),
        Declared(ITEM, at(2), "url", "https://github.com/acme/app/issues/45", "item"),
        DERIVED_TEAM,
    )


def test_a_url_that_is_not_http_is_not_declared() -> None:
    assert events(seen(url="javascript:alert(1)")) == (DERIVED_TEAM,)


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize(("name", "field", "value"), STATING_LABELS)
def test_a_label_that_a_payload_lists_is_declared_as_overheard(
    name: str, field: FieldName, value: str, provider: Provider
) -> None:
    assert events(seen(name), provider=provider) == (overheard(field, value), DERIVED_TEAM)


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize("name", [*SILENT_LABELS, "experiment:started"])
def test_a_label_in_a_payload_is_not_declared_if_no_rule_takes_a_value_from_it(name: str, provider: Provider) -> None:
    assert effective(seen(name), provider=provider) == (DERIVED_TEAM,)


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize(("name", "field", "value"), STATING_LABELS)
def test_an_added_label_is_declared(name: str, field: FieldName, value: str, provider: Provider) -> None:
    assert events(observation("labelled", label=name), provider=provider) == (
        Declared(ITEM, at(3), field, value, "label"),
    )


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize(("name", "field", "value"), STATING_LABELS)
def test_a_removed_label_is_withdrawn(name: str, field: FieldName, value: str, provider: Provider) -> None:
    assert events(observation("unlabelled", label=name), provider=provider) == (
        Withdrawn(ITEM, at(3), field, value, "label"),
    )


@pytest.mark.parametrize("kind", ["labelled", "unlabelled"])
@pytest.mark.parametrize("name", SILENT_LABELS)
def test_the_addition_or_removal_of_a_label_without_a_meaning_has_no_events(name: str, kind: Kind) -> None:
    assert effective(observation(kind, label=name)) == ()


REFUSED_LABELS = [
    ("failure:inteligent", "expected one of intelligent, basic, complex; did you mean intelligent?"),
    ("Failure:Intelligence", "expected one of intelligent, basic, complex; did you mean intelligent?"),
    ("outcome:fail", "expected one of worked, failed, inconclusive, abandoned; did you mean failed?"),
    ("outcome:undeclared", "expected one of worked, failed, inconclusive, abandoned"),
    ("outcome:success", "expected one of worked, failed, inconclusive, abandoned; did you mean worked?"),
    ("outcome:intelligent", "expected one of worked, failed, inconclusive, abandoned; it is a failure category"),
    ("failure:failed", "expected one of intelligent, basic, complex; it is an outcome"),
    ("risk:blod", "expected one of bold, safe; did you mean bold?"),
    ("team:_org", f"expected {teams.EXPECTED}"),
]


@pytest.mark.parametrize(("name", "why"), REFUSED_LABELS)
def test_a_label_with_a_value_that_its_field_does_not_accept_is_refused_with_the_nearest_value(
    name: str, why: str
) -> None:
    refused = Refused(ITEM, at(3), "label", f"label `{name}`: {why}", label=name.lower())
    assert interpreted(observation("labelled", label=name)) == Meaning(
        "ignored", f"refused: label `{name}`: {why}", (refused,)
    )
    assert replace(refused, occurred_at=at(2), overheard=True) in events(seen("experiment", name))
    assert events(observation("unlabelled", label=name)) == (replace(refused, removed=True),)


@pytest.mark.parametrize(("provider", "label"), [("gitlab", "outcome::success"), ("jira", "outcome:success")])
def test_a_label_outside_its_set_is_answered_for_every_tracker(provider: Provider, label: str) -> None:
    reason = interpreted(seen("experiment", label), provider=provider).reason
    assert reason.startswith(f"experiment by label; refused: label `{label}`: expected one of worked, failed, ")
    assert reason.endswith("did you mean worked?")


def test_a_delivery_that_counts_also_shows_its_refused_labels() -> None:
    assert interpreted(seen("experiment", "risk:blod")).reason == (
        "experiment by label; refused: label `risk:blod`: expected one of bold, safe; did you mean bold?"
    )


def test_each_refused_command_of_a_delivery_has_its_own_reason() -> None:
    comment = Commented(ITEM, at(3), "/experiment start\n/experiment clasify\n/experiment conclude", insider=True)
    reason = interpreted(comment).reason
    assert reason.startswith("command in a comment; refused: unknown command `clasify`; expected one of propose,")
    assert reason.endswith(
        "; did you mean classify?; refused: conclude needs outcome: "
        "expected one of worked, failed, inconclusive, abandoned"
    )


def test_a_refused_label_that_may_contain_an_account_is_not_quoted() -> None:
    assert interpreted(seen("experiment", "team:_@ada")).reason == (
        f"experiment by label; refused: a label: expected {teams.EXPECTED}"
    )


@pytest.mark.parametrize("name", ["team:@jane", "team:jane@acme.example", "team:[~jane]"])
def test_a_label_with_an_account_makes_no_team_and_is_not_quoted(name: str) -> None:
    meaning = interpreted(seen("experiment", name))
    assert not [
        event
        for event in meaning.events
        if isinstance(event, Declared) and event.channel == "label" and event.field == "team"
    ]
    assert "no @, because a mention may name a person" in meaning.reason
    assert "jane" not in repr(meaning)
    assert "jane" not in interpreted(observation("labelled", label=name.removeprefix("team:"))).reason
    assert "jane" not in interpreted(seen(name.removeprefix("team:"))).reason


def test_a_label_with_an_address_is_stored_without_the_user_and_the_password() -> None:
    own = "rules: [{when: {label: 'learnt:{page}'}, then: {shared: '{page}'}}]"
    rules = read_rules(RulesFile("rules.yaml", f"extends: none\n{own}"), [], PROVIDERS)
    interpretation = apply_rules(rules, "github", [seen("learnt:https://user:pw@wiki.example.com/45")], NO_PAYLOAD)
    (stated,) = [statement.event for statement in interpretation.statements]
    assert isinstance(stated, Declared)
    assert (stated.value, stated.label) == ("https://wiki.example.com/45", "learnt:https://wiki.example.com/45")


def test_a_label_that_another_rule_accepts_is_not_refused() -> None:
    own = "rules: [{when: {label: 'risk:{level}'}, then: {declare: {risk: '{level}'}}},"
    own += " {when: {label: 'risk:high'}, then: {declare: {risk: bold}}}]"
    rules = read_rules(RulesFile("rules.yaml", f"extends: none\n{own}"), [], PROVIDERS)
    applied = apply_rules(rules, "github", [observation("labelled", label="risk:high")], NO_PAYLOAD)
    assert applied.events == (Declared(ITEM, at(3), "risk", "bold", "label", label="risk:high"),)


def test_the_value_of_another_trait_is_not_refused() -> None:
    own = "rules: [{when: {item_type: '{level}'}, then: {declare: {risk: '{level}'}}}]"
    rules = read_rules(RulesFile("rules.yaml", f"extends: none\n{own}"), [], PROVIDERS)
    applied = apply_rules(rules, "jira", [observation("typed", item_type="Story")], NO_PAYLOAD)
    assert applied.events == ()


def test_two_labels_that_differ_only_in_case_declare_one_value() -> None:
    assert events(seen("experiment", "Experiment")) == (overheard("experiment", "true"), DERIVED_TEAM)


def test_two_contradicting_labels_are_both_declared() -> None:
    said = events(seen("outcome:failed", "outcome:worked"))
    assert set(said) == {overheard("outcome", "failed"), overheard("outcome", "worked"), DERIVED_TEAM}


def test_a_delivery_that_adds_a_label_counts_only_if_a_label_of_the_item_marks_an_experiment() -> None:
    assert interpreted(seen("bug"), observation("labelled", label="bug")).verdict == "ignored"
    assert interpreted(seen("experiment"), observation("labelled", label="bug")).verdict == "counted"


@pytest.mark.parametrize("name", ["experiment", "Experiment"])
def test_a_delivery_that_removes_the_experiment_label_counts(name: str) -> None:
    assert interpreted(seen(), observation("unlabelled", label=name)) == Meaning(
        "counted",
        "no longer marked as an experiment (experiment by label)",
        (DERIVED_TEAM, Withdrawn(ITEM, at(3), "experiment", "true", "label")),
    )


def test_removing_another_label_does_not_make_a_delivery_count() -> None:
    assert interpreted(seen("bug"), observation("unlabelled", label="outcome:failed")).verdict == "ignored"


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize(("name", "field", "value"), [one for one in STATING_LABELS if ":" in one[0]])
def test_a_scoped_label_means_the_same_as_one_with_a_single_colon(
    name: str, field: FieldName, value: str, provider: Provider
) -> None:
    scoped = name.replace(":", "::", 1)
    assert events(seen(scoped), provider=provider) == (overheard(field, value), DERIVED_TEAM)


@pytest.mark.parametrize("provider", ALL)
@pytest.mark.parametrize("name", ["experiment::running", "Experiment::Learned"])
def test_any_label_of_the_scope_experiment_marks_an_experiment(name: str, provider: Provider) -> None:
    assert events(seen(name), provider=provider) == (overheard("experiment", "true"), DERIVED_TEAM)
    assert events(observation("unlabelled", label=name), provider=provider) == (
        Withdrawn(ITEM, at(3), "experiment", "true", "label"),
    )


@pytest.mark.parametrize("provider", FORGES)
@pytest.mark.parametrize("name", ["experiment::running", "experiment::started"])
def test_a_scoped_label_starts_an_experiment(name: str, provider: Provider) -> None:
    assert Started(ITEM, at(3)) in events(observation("labelled", label=name), provider=provider)


@pytest.mark.parametrize("provider", FORGES)
@pytest.mark.parametrize("name", ["experiment:started", "Experiment:Started", "experiment:running"])
def test_the_started_label_starts_an_experiment_at_the_time_of_its_addition(name: str, provider: Provider) -> None:
    assert events(observation("labelled", label=name), provider=provider) == (Started(ITEM, at(3)),)


def test_removing_the_started_label_does_not_undo_the_start() -> None:
    assert events(observation("unlabelled", label="experiment:started")) == ()


@pytest.mark.parametrize("provider", FORGES)
@pytest.mark.parametrize(
    ("kind", "reason", "expected"),
    [
        ("created", "", (Proposed(ITEM, at(3)),)),
        ("assigned", "", (Started(ITEM, at(3)),)),
        ("closed", "", (Concluded(ITEM, at(3)),)),
        ("closed", "completed", (Concluded(ITEM, at(3)),)),
        ("closed", "not_planned", (Concluded(ITEM, at(3), Outcome.ABANDONED),)),
        ("closed", "Won't Do", (Concluded(ITEM, at(3), Outcome.ABANDONED),)),
        ("closed", "won't fix", (Concluded(ITEM, at(3), Outcome.ABANDONED),)),
        ("closed", "Not_Planned", (Concluded(ITEM, at(3), Outcome.ABANDONED),)),
        ("closed", "duplicate", (Concluded(ITEM, at(3)), Declared(ITEM, at(3), "excluded", "duplicate", "item"))),
        ("closed", "DUPLICATE", (Concluded(ITEM, at(3)), Declared(ITEM, at(3), "excluded", "duplicate", "item"))),
        ("reopened", "", (Reopened(ITEM, at(3)), Withdrawn(ITEM, at(3), "excluded", "duplicate", "item"))),
        ("deleted", "", (Declared(ITEM, at(3), "excluded", "deleted", "item"),)),
        ("active", "", (Active(ITEM, at(3, "00:00:00")),)),
    ],
)
def test_each_kind_of_observation_of_an_item_becomes_its_own_events(
    kind: Kind, reason: str, expected: tuple[LifecycleEvent, ...], provider: Provider
) -> None:
    reasons = (reason,) if reason else ()
    assert events(observation(kind, what="item", reason=reasons), provider=provider) == expected


@pytest.mark.parametrize("provider", FORGES)
@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("created", (Proposed(CHANGE, at(3)), Started(CHANGE, at(3)))),
        ("assigned", (Started(CHANGE, at(3)),)),
        ("closed", (Concluded(CHANGE, at(3)),)),
        ("merged", (Concluded(CHANGE, at(3), Outcome.WORKED),)),
        ("reopened", (Reopened(CHANGE, at(3)), Withdrawn(CHANGE, at(3), "excluded", "duplicate", "item"))),
    ],
)
def test_each_kind_of_observation_of_a_change_becomes_its_own_events(
    kind: Kind, expected: tuple[LifecycleEvent, ...], provider: Provider
) -> None:
    assert events(observation(kind, CHANGE, what="Change"), provider=provider) == expected


@pytest.mark.parametrize("kind", ["created", "assigned", "closed", "merged", "reopened", "deleted", "active"])
def test_an_event_on_an_unmarked_item_does_not_make_its_delivery_count(kind: Kind) -> None:
    assert interpreted(seen("bug"), observation(kind, what="item")).verdict == "ignored"


@pytest.mark.parametrize("provider", FORGES)
@pytest.mark.parametrize("branch", ["exp/cache", "experiment/cache", "EXP/Cache", "Experiment/ML-12"])
def test_a_change_from_a_branch_named_as_an_experiment_is_an_experiment(branch: str, provider: Provider) -> None:
    assert interpreted(change_seen(branch), provider=provider) == Meaning(
        "counted",
        "experiment by branch",
        (
            Declared(CHANGE, at(2), "experiment", "true", "branch"),
            Declared(CHANGE, at(2), "team", "acme/app", "derived"),
        ),
    )


@pytest.mark.parametrize("branch", ["cache-answers", "exp", "experiments/cache", "expo/cache", "feature/exp/cache"])
def test_a_delivery_of_a_change_that_is_neither_marked_nor_linked_is_ignored_and_the_reason_names_every_condition(
    branch: str,
) -> None:
    result = interpreted(change_seen(branch), stated(CHANGE, "body"))
    assert (result.verdict, result.reason) == (
        "ignored",
        (
            "no label `experiment`; the payload shows no labels; "
            "its branch is not `exp/*` or `experiment/*`; its body closes no item"
        ),
    )


def on_branch(kind: Kind, when: datetime, name: str = "exp/cache") -> Observed:
    return observation(kind, branch_ref(name), when, what="branch", project="Acme/App", branch=name)


def branch_ref(name: str = "exp/cache") -> Ref:
    return Ref(f"branch:acme/app@{name}")


@pytest.mark.parametrize("provider", FORGES)
@pytest.mark.parametrize("name", ["exp/cache", "EXPERIMENT/cache"])
def test_a_branch_named_as_an_experiment_is_an_experiment(name: str, provider: Provider) -> None:
    subject = branch_ref(name)
    assert interpreted(on_branch("seen", at(2), name), provider=provider) == Meaning(
        "counted",
        "experiment by branch",
        (
            Declared(subject, at(2), "experiment", "true", "branch"),
            Declared(subject, at(2), "team", "acme/app", "derived"),
        ),
    )


def test_a_delivery_of_an_ordinary_branch_is_ignored_and_the_reason_names_the_expected_patterns() -> None:
    assert interpreted(on_branch("seen", at(2), "main")).reason == "its branch is not `exp/*` or `experiment/*`"


@pytest.mark.parametrize("provider", FORGES)
def test_a_created_branch_is_proposed_and_not_started_and_no_longer_excluded_as_deleted(provider: Provider) -> None:
    assert events(on_branch("created", at(2)), provider=provider) == (
        Proposed(branch_ref(), at(2)),
        Withdrawn(branch_ref(), at(2), "excluded", "deleted", "item"),
    )


def test_a_branch_that_is_deleted_is_excluded() -> None:
    assert events(on_branch("deleted", at(2))) == (Declared(branch_ref(), at(2), "excluded", "deleted", "item"),)


def test_the_creation_of_an_item_does_not_withdraw_a_deletion() -> None:
    assert events(observation("created", what="item")) == (Proposed(ITEM, at(3)),)


def test_a_branch_that_a_change_replaced_is_no_longer_an_experiment() -> None:
    assert interpreted(on_branch("superseded", at(2))) == Meaning(
        "counted",
        "no longer marked as an experiment (experiment by branch)",
        (Withdrawn(branch_ref(), at(2), "experiment", "true", "branch"),),
    )


def test_replacing_a_branch_that_is_not_an_experiment_does_not_make_a_delivery_count() -> None:
    result = interpreted(change_seen("cache"), on_branch("superseded", at(2), "cache"), stated(CHANGE, "body"))
    assert (result.verdict, result.reason) == (
        "ignored",
        (
            "no label `experiment`; the payload shows no labels; "
            "its branch is not `exp/*` or `experiment/*`; its body closes no item"
        ),
    )


PUSH_1, PUSH_3, PUSH_5 = (on_branch("seen", at(day)) for day in (1, 3, 5))
OPENED_2, CLOSED_4, OPENED_6 = (on_branch("superseded", at(day)) for day in (2, 4, 6))
DELETED_7, CREATED_8, PUSH_8 = on_branch("deleted", at(7)), on_branch("created", at(8)), on_branch("seen", at(8))


@pytest.mark.parametrize(
    ("happened", "marked"),
    [
        ([PUSH_1], True),
        ([PUSH_1, OPENED_2], False),
        ([OPENED_2], False),
        # The second push marks the branch again. The branch is still no experiment of its own, because it is evidence
        # of the open change. When the change closes, the branch loses its mark.
        ([PUSH_1, OPENED_2, PUSH_3], True),
        ([PUSH_1, OPENED_2, PUSH_3, CLOSED_4], False),
        ([OPENED_2, CLOSED_4, PUSH_5], True),
        ([PUSH_1, OPENED_2, CLOSED_4, PUSH_5, OPENED_6], False),
        ([PUSH_1, DELETED_7], False),
        ([PUSH_1, DELETED_7, CREATED_8], True),
        ([PUSH_1, DELETED_7, CREATED_8, PUSH_8], True),
        ([PUSH_1, OPENED_2, CLOSED_4, DELETED_7, CREATED_8], False),
        ([PUSH_1, OPENED_2, CLOSED_4, DELETED_7, CREATED_8, PUSH_8], True),
    ],
)
def test_a_push_marks_a_branch_until_a_change_replaces_it_or_it_is_deleted_whatever_the_order_of_arrival(
    happened: list[Observed], *, marked: bool
) -> None:
    for heard in permutations(happened) if len(happened) < 6 else (happened, happened[::-1]):
        assert is_marked([event for one in heard for event in events(one)]) == marked


def test_a_labelled_change_is_an_experiment() -> None:
    assert overheard("experiment", "true", CHANGE) in events(change_seen("cache-answers", "experiment"))


def test_the_branch_of_an_item_does_not_make_the_item_an_experiment() -> None:
    assert interpreted(seen(branch="exp/cache")).verdict == "ignored"


def test_a_change_is_linked_to_the_items_that_it_closes() -> None:
    assert interpreted(stated(CHANGE, "body", ITEM, OTHER_ITEM)) == Meaning(
        "counted", "linked by body", (), (link(CHANGE, "body", ITEM, OTHER_ITEM),)
    )


def test_a_change_may_both_be_an_experiment_and_serve_an_item() -> None:
    result = interpreted(change_seen("exp/cache"), stated(CHANGE, "body", ITEM))
    assert (result.verdict, result.reason) == ("counted", "experiment by branch, linked by body")


def test_links_of_commits_to_their_change_do_not_make_a_delivery_count() -> None:
    result = interpreted(stated(HEAD, "head", CHANGE), stated(MERGE, "merge commit", CHANGE))
    assert result.links == (link(HEAD, "head", CHANGE), link(MERGE, "merge commit", CHANGE))
    assert result.verdict == "ignored"


@pytest.mark.parametrize("channel", ["branch", "title", "message"])
def test_a_key_in_a_text_makes_a_link_to_the_ticket(channel: str) -> None:
    assert interpreted(Mentioned(CHANGE, channel, "ML-12 cache answers, see OPS-3", at(2))) == Meaning(
        "counted", f"linked by {channel}", (), (link(CHANGE, channel, TICKET, Ref("jira:OPS-3")),)
    )


def test_a_text_without_a_key_withdraws_the_links_of_its_channel() -> None:
    result = interpreted(Mentioned(CHANGE, "title", "cache answers", at(2)))
    assert (result.verdict, result.links) == ("ignored", (link(CHANGE, "title"),))


def test_a_ticket_that_names_its_own_key_does_not_serve_itself() -> None:
    result = interpreted(Mentioned(TICKET, "title", "ML-12 again", at(2)), provider="jira")
    assert (result.verdict, result.links) == ("ignored", (LinkSet(TICKET, "title", TICKET, frozenset(), at(2)),))


def test_a_delivery_with_a_rename_counts() -> None:
    alias = Alias(ITEM, OTHER_ITEM, at(2))
    assert interpreted(Renamed(alias)) == Meaning("counted", "renamed", aliases=(alias,))


def test_an_id_passes_through_and_does_not_make_its_delivery_count() -> None:
    known = Identified(Ref("github:acme/app"), "github.com", "4242", at(2))
    alone = apply_rules(RULES, "github", [known], NO_PAYLOAD)
    beside = apply_rules(RULES, "github", [known, Observed("finished", CHANGE, at(2))], NO_PAYLOAD)
    of_nothing = apply_rules(RULES, "github", Nothing("a ping", (known,)), NO_PAYLOAD)
    assert [one.identities for one in (alone, beside, of_nothing)] == [(known,)] * 3
    assert [(one.verdict, one.aliases) for one in (alone, beside, of_nothing)] == [("ignored", ())] * 3
    assert of_nothing.reason == "a ping"


@pytest.mark.parametrize("provider", FORGES)
@pytest.mark.parametrize(
    ("conclusion", "result", "by"),
    [
        ("success", "success", "a run that succeeded"),
        ("SUCCESS", "success", "a run that succeeded"),
        ("failure", "failure", "a run that failed"),
        ("failed", "failure", "a run that failed"),
        ("timed_out", "failure", "a run that failed"),
        ("Timed_Out", "failure", "a run that failed"),
        ("passed", "success", "a run that succeeded"),
        ("blocked", "success", "a run that succeeded"),
        ("error", "failure", "a run that failed"),
        ("failing", "failure", "a run that failed"),
        ("startup_failure", "failure", "a run that failed"),
        ("UNSTABLE", "failure", "a run that failed"),
    ],
)
def test_a_run_that_succeeded_or_failed_is_a_signal(
    conclusion: str, result: Result, by: str, provider: Provider
) -> None:
    assert interpreted(observation("finished", HEAD, conclusion=conclusion), provider=provider) == Meaning(
        "counted", f"signalled by {by}", (Signalled(HEAD, at(3), result),)
    )


@pytest.mark.parametrize(
    "conclusion",
    [
        *("cancelled", "canceled", "skipped", "neutral", "stale", "action_required", "null", ""),
        *("unauthorized", "not_run", "NOT_BUILT", "ABORTED", "on_hold"),
    ],
)
def test_a_run_that_neither_succeeded_nor_failed_is_ignored_with_the_reason(conclusion: str) -> None:
    run = observation("finished", HEAD, workflow="tests", conclusion=conclusion)
    assert interpreted(run) == Meaning(
        "ignored", f"no rule matches finished: workflow `tests`, conclusion `{conclusion}`"
    )


def test_a_run_without_a_conclusion_is_ignored_with_the_reason() -> None:
    assert interpreted(observation("finished", HEAD)) == Meaning("ignored", "no rule matches finished")


@pytest.mark.parametrize("provider", FORGES)
@pytest.mark.parametrize("environment", ["production", "Production"])
def test_a_successful_deployment_to_production_is_a_shipment(environment: str, provider: Provider) -> None:
    deployment = observation("deployed", MERGE, environment=environment, conclusion="Success")
    assert interpreted(deployment, provider=provider) == Meaning(
        "counted", "shipped by a deployment", (Shipped(MERGE, at(3)),)
    )


@pytest.mark.parametrize(
    ("environment", "conclusion"),
    [
        ("staging", "success"),
        ("production", "failure"),
        *((name, "success") for name in ("pre-production", "production-copy", "eu-1")),
    ],
)
def test_a_deployment_that_failed_or_went_to_another_environment_is_not_a_shipment(
    environment: str, conclusion: str
) -> None:
    deployment = observation("deployed", MERGE, environment=environment, conclusion=conclusion)
    assert interpreted(deployment) == Meaning(
        "ignored", f"no rule matches deployed: conclusion `{conclusion}`, environment `{environment}`"
    )


@pytest.mark.parametrize("item_type", ["Experiment", "Spike", "Hypothesis", "EXPERIMENT", "spike"])
def test_a_ticket_of_an_experiment_type_is_an_experiment(item_type: str) -> None:
    assert interpreted(ticket(item_type=item_type), provider="jira") == Meaning(
        "counted",
        "experiment by type",
        (
            Declared(TICKET, at(2), "team", "ml", "derived"),
            Declared(TICKET, at(2), "experiment", "true", "type"),
        ),
    )


def test_a_ticket_with_the_label_is_an_experiment_whatever_its_type() -> None:
    result = interpreted(ticket("Experiment"), provider="jira")
    assert (result.verdict, result.reason) == ("counted", "experiment by label")


def test_a_ticket_of_another_type_is_ignored_and_the_reason_names_the_expected_types() -> None:
    assert interpreted(ticket(item_type="Bug"), provider="jira").reason == (
        "no label `experiment`; the payload shows no labels; "
        "its type Bug is not `Experiment` or `Spike` or `Hypothesis`"
    )


@pytest.mark.parametrize("item_type", ["Experiment", "Spike", "Hypothesis", "EXPERIMENT", "spike"])
def test_an_issue_of_an_experiment_type_of_github_is_an_experiment(item_type: str) -> None:
    assert interpreted(seen(item_type=item_type)) == Meaning(
        "counted", "experiment by issue type", (DERIVED_TEAM, Declared(ITEM, at(2), "experiment", "true", "type"))
    )


def test_an_issue_of_another_type_is_ignored_and_the_reason_names_the_expected_types() -> None:
    assert interpreted(seen(item_type="Bug")).reason == (
        "no label `experiment`; the payload shows no labels; "
        "its type Bug is not `Experiment` or `Spike` or `Hypothesis`"
    )


def test_the_type_of_an_item_of_gitlab_does_not_mark_an_experiment() -> None:
    assert interpreted(seen(item_type="Spike"), provider="gitlab").verdict == "ignored"


@pytest.mark.parametrize(("provider", "rule"), [("jira", "experiment by type"), ("github", "experiment by issue type")])
@pytest.mark.parametrize(
    ("kind", "event", "reason"),
    [("typed", Declared, "{}"), ("untyped", Withdrawn, "no longer marked as an experiment ({})")],
)
def test_the_addition_or_removal_of_an_experiment_type_marks_or_unmarks_an_item(
    kind: Kind, event: type[Declared | Withdrawn], reason: str, provider: Provider, rule: str
) -> None:
    assert interpreted(observation(kind, TICKET, item_type="spike"), provider=provider) == Meaning(
        "counted", reason.format(rule), (event(TICKET, at(3), "experiment", "true", "type"),)
    )


def test_a_ticket_that_was_created_is_proposed_and_not_started() -> None:
    assert events(observation("created", TICKET, what="item"), provider="jira") == (Proposed(TICKET, at(3)),)


def test_a_ticket_that_was_deleted_is_excluded() -> None:
    assert events(observation("deleted", TICKET, what="item"), provider="jira") == (
        Declared(TICKET, at(3), "excluded", "deleted", "item"),
    )


OPEN = {Reopened(TICKET, at(3)), Withdrawn(TICKET, at(3), "excluded", "duplicate", "item")}
ABANDONED = {
    Concluded(TICKET, at(3), Outcome.ABANDONED),
    Declared(TICKET, at(3), "outcome", "abandoned", "derived"),
}
FROM_DONE = {Reopened(TICKET, at(3), left="done"), Withdrawn(TICKET, at(3), "excluded", "duplicate", "item")}


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({"category_to": "in progress"}, {*OPEN, Started(TICKET, at(3))}),
        ({"status_from": "Done", "category_to": "In Progress"}, {*FROM_DONE, Started(TICKET, at(3))}),
        ({"status_from": "Done", "category_to": "new"}, FROM_DONE),
        ({"category_to": "new"}, OPEN),
        ({"category_to": "done"}, {Concluded(TICKET, at(3))}),
        ({"status_to": "Closed", "category_to": "Done"}, {Concluded(TICKET, at(3), status="closed")}),
        ({"category_to": "done", "resolution": "Fixed"}, {Concluded(TICKET, at(3))}),
        ({"category_to": "done", "resolution": "Won't Do"}, ABANDONED),
        ({"category_to": "done", "resolution": "won't fix"}, ABANDONED),
        (
            {"category_to": "done", "resolution": "DUPLICATE"},
            {Concluded(TICKET, at(3)), Declared(TICKET, at(3), "excluded", "duplicate", "item")},
        ),
        (
            {"resolution_from": "Duplicate", "resolution": "Done", "category_to": "done"},
            {Concluded(TICKET, at(3)), Withdrawn(TICKET, at(3), "excluded", "duplicate", "item")},
        ),
        (
            {"resolution_from": "duplicate"},
            {Withdrawn(TICKET, at(3), "excluded", "duplicate", "item")},
        ),
        ({"resolution_from": "Done", "resolution": "Duplicate"}, set()),
        (
            {"status_from": "To Do", "status_to": "Backlog", "category_to": "new"},
            {
                Reopened(TICKET, at(3), left="to do"),
                Withdrawn(TICKET, at(3), "excluded", "duplicate", "item"),
            },
        ),
        ({"status_to": "Done", "status_from": "In Progress"}, set()),
    ],
)
def test_the_category_of_the_entered_status_decides_on_the_events_of_a_moved_ticket(
    known: dict[str, str], expected: set[LifecycleEvent]
) -> None:
    assert set(events(moved(**known), provider="jira")) == expected


GIVEN_UP = [
    *(
        "Won't Do",
        "Won\u2019t Do",
        "WON`T  DO",
        "Wont do",
        " won\u00b4t fix ",
        "Won\u02bct\u00a0Fix",
        "\uff37\uff4f\uff4e\uff07\uff54 \uff24\uff4f",
        "wontfix",
    ),
    *("Declined", "Obsolete", "Cancelled", "canceled", "Rejected", "Abandoned", "Withdrawn", "Invalid", "Incomplete"),
    *("Cannot Reproduce", "Can\u2019t reproduce", "No longer needed", "Not planned", "Deferred"),
    *("Wird nicht erledigt", "Nicht reproduzierbar", "ABGEBROCHEN", "Ne sera pas corrigé", "Annule\u0301"),
    *(
        "No se hará",
        "No Reproducible",
        "Não será feito",
        "対応しない",
        "再現不可",
        "재현 불가",
        "无法重现",
        "Отклонено",
    ),
]
AS_DUPLICATES = [
    "Duplicate",
    "DUPLICATED",
    "Duplicate  issue",
    "Duplikat",
    "Doublon",
    "Duplicado",
    "重複",
    "복제",
    "重复",
]
ENDED = ["Done", "Fixed", "Released", "Won", "Closed", "Wont Do It Again", "Fertig", "Resuelta", "完了", "Learned" * 50]


def outcome_of(*observed: Observation) -> Outcome | None:
    created = observation("created", TICKET, at(1), what="item")
    return fold(TICKET, events(created, *observed, provider="jira"), ()).outcome


def ended(kind: Kind, *words: str) -> Observed:
    category: dict[str, Any] = {"category_to": "done"} if kind == "moved" else {}
    return observation(kind, TICKET, ending=words, **category)


@pytest.mark.parametrize("kind", ["moved", "closed"])
@pytest.mark.parametrize("word", GIVEN_UP)
def test_a_ticket_that_was_given_up_by_its_resolution_or_status_is_abandoned(kind: Kind, word: str) -> None:
    assert outcome_of(ended(kind, word)) is Outcome.ABANDONED
    assert outcome_of(ended(kind, "Done", word)) is Outcome.ABANDONED
    assert outcome_of(ended(kind, word, "Closed")) is Outcome.ABANDONED


@pytest.mark.parametrize("kind", ["moved", "closed"])
@pytest.mark.parametrize("word", AS_DUPLICATES)
def test_a_ticket_that_ended_as_a_duplicate_is_excluded(kind: Kind, word: str) -> None:
    for words in ((word,), ("Done", word), (word, "Cancelled")):
        happened = events(ended(kind, *words), provider="jira")
        assert value_of(declarations_in(happened), "excluded") == "duplicate"
    lost = replace(moved(resolution_from=word, resolution="Fixed", category_to="done"), at=at(4))
    assert value_of(declarations_in([*happened, *events(lost, provider="jira")]), "excluded") == ""


@pytest.mark.parametrize("kind", ["moved", "closed"])
@pytest.mark.parametrize("word", ENDED)
def test_a_ticket_that_ended_in_any_other_way_is_concluded_without_an_outcome(kind: Kind, word: str) -> None:
    assert outcome_of(ended(kind, word)) is Outcome.UNDECLARED


def seen_done(day: int) -> Observed:
    """The closing that a payload shows. If it tells no time of the closing, each payload infers a time of its own."""
    return observation("closed", TICKET, at(day), status_to="Done", ending=("Done",))


LEFT_DONE = observation("moved", TICKET, at(6), status_from="Done", status_to="Doing", category_to="in progress")


@pytest.mark.parametrize(
    ("happened", "concluded_at"),
    [
        ([seen_done(5), seen_done(4), seen_done(8)], at(4)),
        ([seen_done(5), seen_done(4), LEFT_DONE], None),
        ([seen_done(5), LEFT_DONE, seen_done(8), seen_done(7)], at(7)),
    ],
)
def test_the_earliest_closing_that_is_seen_since_the_last_reopening_counts_whatever_the_order(
    happened: list[Observation], concluded_at: datetime | None
) -> None:
    for heard in permutations([observation("created", TICKET, at(1), what="item"), *happened]):
        told = [event for one in heard for event in events(one, provider="jira")]
        assert fold(TICKET, told, ()).concluded_at == concluded_at


def test_a_ticket_that_is_seen_in_progress_is_started() -> None:
    assert events(observation("started", TICKET, status_to="Doing"), provider="jira") == (Started(TICKET, at(3)),)


def test_the_outcome_that_a_label_declares_outweighs_the_resolution() -> None:
    labelled = observation("labelled", TICKET, at(2), label="outcome:worked")
    assert outcome_of(labelled, ended("closed", "Cancelled")) is Outcome.WORKED


@pytest.mark.parametrize("provider", FORGES)
@pytest.mark.parametrize("category", ["in progress", "done", "new"])
def test_status_categories_have_no_meaning_for_other_providers_than_jira(category: str, provider: Provider) -> None:
    assert events(moved(category_to=category), provider=provider) == ()


def ticket_moved(day: int, left: str, entered: str, **known: str) -> Observed:
    traits: dict[str, Any] = {**known, **ending(status_to=entered, **known)}
    return observation("moved", TICKET, at(day), status_from=left, status_to=entered, **traits)


TO_BACKLOG = ticket_moved(2, "To Do", "Backlog", category_to="new")
TO_PROGRESS = ticket_moved(3, "Backlog", "In Progress", category_to="in progress")
TO_DONE = ticket_moved(4, "In Progress", "Done", category_to="done")
TO_WONT_DO = ticket_moved(4, "In Progress", "Done", category_to="done", resolution="Won't Do")
TO_DUPLICATE = ticket_moved(4, "In Progress", "Done", category_to="done", resolution="Duplicate")
TO_CLOSED = ticket_moved(5, "Done", "Closed", category_to="done")
FROM_CLOSED = ticket_moved(6, "Closed", "In Progress", category_to="in progress")
FROM_DONE_AGAIN = ticket_moved(6, "Done", "In Progress", category_to="in progress", resolution_from="Duplicate")
COMMAND = Commented(TICKET, at(2, "12:00:00"), "/experiment conclude failed", insider=True)


@pytest.mark.parametrize(
    ("happened", "concluded_at", "outcome"),
    [
        ([TO_BACKLOG, TO_PROGRESS], None, None),
        ([TO_BACKLOG, TO_PROGRESS, TO_DONE], at(4), Outcome.UNDECLARED),
        ([TO_PROGRESS, TO_WONT_DO], at(4), Outcome.ABANDONED),
        ([TO_DONE, TO_CLOSED], at(4), Outcome.UNDECLARED),
        ([TO_DONE, TO_CLOSED, FROM_CLOSED], None, None),
        ([TO_DONE, FROM_DONE_AGAIN], None, None),
        ([COMMAND, TO_BACKLOG, TO_PROGRESS], at(2, "12:00:00"), Outcome.FAILED),
        ([COMMAND, TO_PROGRESS, TO_DONE], at(2, "12:00:00"), Outcome.FAILED),
        ([COMMAND, TO_PROGRESS, TO_DONE, FROM_DONE_AGAIN], None, None),
    ],
)
def test_a_moved_ticket_is_open_or_concluded_whatever_the_order_in_which_its_deliveries_arrive(
    happened: list[Observation], concluded_at: datetime | None, outcome: Outcome | None
) -> None:
    for heard in permutations([observation("created", TICKET, at(1), what="item"), *happened]):
        experiment = fold(TICKET, [event for one in heard for event in events(one, provider="jira")], ())
        assert (experiment.concluded_at, experiment.outcome) == (concluded_at, outcome)


@pytest.mark.parametrize("after", [FROM_DONE_AGAIN, ticket_moved(5, "Done", "Done", resolution_from="Duplicate")])
def test_a_ticket_is_not_excluded_after_its_resolution_as_a_duplicate_is_removed(after: Observed) -> None:
    assert value_of(declarations_in(events(TO_DUPLICATE, provider="jira")), "excluded") == "duplicate"
    assert value_of(declarations_in(events(TO_DUPLICATE, after, provider="jira")), "excluded") == ""


def test_a_move_without_a_category_is_ignored_and_the_reason_names_the_statuses() -> None:
    assert interpreted(moved(status_from="Backlog", status_to="Selected"), provider="jira").reason == (
        "no rule matches moved: status_from `Backlog`, status_to `Selected`"
    )


def test_the_team_of_a_ticket_is_its_component_or_else_its_project() -> None:
    assert Declared(TICKET, at(2), "team", "search", "derived") in events(ticket(component="Search"), provider="jira")
    assert Declared(TICKET, at(2), "team", "ml", "derived") in events(ticket(), provider="jira")


def test_a_team_is_derived_from_the_first_component_in_addition_to_the_team_of_a_label() -> None:
    said = events(seen("team:cache", component=("Search", "Index")))
    assert [one for one in said if isinstance(one, Declared) and one.field == "team"] == [
        overheard("team", "cache"),
        Declared(ITEM, at(2), "team", "search", "derived"),
    ]


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("/experiment start", Started(ITEM, at(3), commanded=True)),
        ("/experiment reopen", Reopened(ITEM, at(3), commanded=True)),
        ("/experiment bold", Declared(ITEM, at(3), "risk", "bold", "comment")),
        ("/experiment team Search", Declared(ITEM, at(3), "team", "search", "comment")),
    ],
)
def test_a_command_by_an_insider_counts(text: str, event: LifecycleEvent) -> None:
    assert interpreted(Commented(ITEM, at(3), text, insider=True)) == Meaning(
        "counted", "command in a comment", (event,)
    )


PRIVATE = (
    "; GitHub reports private members of an organisation as CONTRIBUTOR or NONE, so make the membership public, or add "
    "the author as a collaborator"
)


@pytest.mark.parametrize(
    ("association", "told"),
    [
        ("CONTRIBUTOR", f", and the author of this one arrives as CONTRIBUTOR{PRIVATE}"),
        ("NONE", f", and the author of this one arrives as NONE{PRIVATE}"),
        ("FIRST_TIMER", ", and the author of this one arrives as FIRST_TIMER"),
        ("", "; the payload does not tell the author's association"),
    ],
)
def test_a_command_by_an_outsider_is_ignored_and_the_reason_names_the_association(association: str, told: str) -> None:
    why = f"only members, owners and collaborators may give commands{told}"
    comment = Commented(ITEM, at(3), "/experiment start", insider=False, association=association)
    assert interpreted(comment) == Meaning("ignored", f"refused: {why}", (Refused(ITEM, at(3), "comment", why),))


@pytest.mark.parametrize(
    ("earlier", "told"),
    [
        (None, "if the comment got its command by this edit, it has no effect: the edit of a comment gives no command"),
        ("Nice.", "the edit of a comment gives no command"),
        ("/experiment start\nNice.", ""),
    ],
)
def test_an_edit_that_may_have_added_a_command_is_answered(earlier: str | None, told: str) -> None:
    comment = Commented(ITEM, at(3), "/experiment start", insider=True, edited=True, earlier=earlier)
    answered = f"experiment by label; refused: {told}; write the command in a new comment"
    assert interpreted(seen("experiment"), comment).reason == (answered if told else "experiment by label")


@pytest.mark.parametrize(
    ("text", "insider", "told"),
    [
        ("/experiment start", True, True),
        ("/experiment start", False, False),
        ("/experiment strat", True, False),
        ("Nice.", True, False),
    ],
)
def test_the_deletion_of_a_comment_with_a_command_is_answered(text: str, insider: bool, told: bool) -> None:
    comment = Commented(ITEM, at(3), text, insider=insider, deleted=True)
    result = interpreted(seen("experiment"), comment)
    assert ("refused: the deletion of a comment takes no command back" in result.reason) == told
    assert not any(isinstance(event, Started) for event in result.events)


def test_a_delivery_that_counts_also_shows_its_refused_command() -> None:
    stranger = Commented(ITEM, at(3), "/experiment start", insider=False, association="NONE")
    reason = interpreted(seen("experiment"), stranger).reason
    assert reason.startswith("experiment by label; refused: only members, owners and collaborators may give commands")


@pytest.mark.parametrize("provider", ["gitlab", "jira"])
def test_a_command_is_ignored_if_the_payload_does_not_state_the_permissions_of_its_author(provider: Provider) -> None:
    why = (
        f"{provider} does not tell whether the author may give commands; "
        f"add `trust_comments: [{provider}]` to the rules file, or use a label"
    )
    assert interpreted(Commented(ITEM, at(3), "/experiment start", insider=None), provider=provider) == Meaning(
        "ignored", f"refused: {why}", (Refused(ITEM, at(3), "comment", why),)
    )


@pytest.mark.parametrize("text", ["Let us /experiment start now.", "Nice: /experiment conclude failed"])
def test_a_command_inside_a_line_is_refused_and_the_reason_says_where_commands_begin(text: str) -> None:
    result = interpreted(Commented(ITEM, at(3), text, insider=True))
    why = "a command stands at the beginning of its line, without formatting or other words before it"
    assert result == Meaning("ignored", f"refused: {why}", (Refused(ITEM, at(3), "comment", why),))


@pytest.mark.parametrize("text", ["See a/experiment start", "See /experiment", "/experiments"])
def test_other_words_inside_a_line_are_not_taken_for_a_command(text: str) -> None:
    result = interpreted(Commented(ITEM, at(3), text, insider=True))
    assert "beginning of its line" not in result.reason


def test_a_reason_begins_with_what_was_refused_if_the_delivery_is_ignored() -> None:
    seen_with = Observed("seen", ITEM, at(3), {"what": ("item",), "label": ("risk:blod",)})
    reason = interpreted(seen_with).reason
    assert reason.startswith("refused: label `risk:blod`: ")
    assert "; no label `experiment`; labels were risk:blod" in reason


def test_a_comment_without_a_command_is_activity_that_does_not_count() -> None:
    result = interpreted(observation("active"), Commented(ITEM, at(3), "Nice.", insider=True))
    assert result == Meaning("ignored", "the comment contains no command", (Active(ITEM, at(3, "00:00:00")),))


def test_a_delivery_without_observations_is_ignored_with_the_reason_of_the_provider() -> None:
    nothing = Nothing("a ping: the webhook is connected")
    meant = apply_rules(RULES, "github", nothing, NO_PAYLOAD)
    assert (meant.verdict, meant.reason, meant.events) == ("ignored", "a ping: the webhook is connected", ())


def test_a_delivery_that_marks_no_experiment_is_ignored_and_the_reason_names_the_matching_rules() -> None:
    assert interpreted(observation("created", what="item")) == Meaning(
        "ignored", "nothing in this delivery marks an experiment: proposed by creation", (Proposed(ITEM, at(3)),)
    )


def test_a_delivery_counts_if_any_observation_counts_and_keeps_the_events_of_all_observations_in_order() -> None:
    result = interpreted(seen("experiment"), observation("created", what="item"), stated(CHANGE, "body", ITEM))
    assert result == Meaning(
        "counted",
        "experiment by label, proposed by creation, linked by body",
        (overheard("experiment", "true"), DERIVED_TEAM, Proposed(ITEM, at(3))),
        (link(CHANGE, "body", ITEM),),
    )


def test_a_delivery_that_takes_a_mark_or_a_value_away_says_so() -> None:
    unmarked = interpreted(seen(), observation("unlabelled", label="experiment"))
    assert (unmarked.verdict, unmarked.reason) == (
        "counted",
        "no longer marked as an experiment (experiment by label)",
    )
    both = interpreted(
        seen("experiment"),
        observation("unlabelled", label="outcome:failed"),
    )
    assert both.reason == "experiment by label, outcome withdrawn (outcome by label)"
