"""The default rules, row by row: observations in; events, links and the verdict with its reason out."""

from dataclasses import replace

import pytest

from service.lifecycle.events import (
    Concluded,
    Declared,
    Field,
    LifecycleEvent,
    Proposed,
    Reopened,
    Result,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.evidence import LinkSet, Ref
from service.lifecycle.taxonomy import Outcome
from service.observation import ChangeSeen, Happening, ItemChanged, ItemSeen, LabelChanged, Nothing, RunFinished
from service.rules.defaults import interpret
from service.rules.model import Interpretation
from tests.builders import at

ITEM, OTHER_ITEM = Ref("github:acme/app#45"), Ref("github:acme/app#46")
CHANGE = Ref("github:acme/app!7")
HEAD, MERGE = Ref("commit:" + "a" * 40), Ref("commit:" + "b" * 40)
DERIVED_TEAM = Declared(ITEM, at(2), "team", "acme/app", "derived")


def seen(*labels: str) -> ItemSeen:
    return ItemSeen(subject=ITEM, seen_at=at(2), project="Acme/App", title="", url="", labels=labels)


def happened(what: Happening, *, is_change: bool = False) -> ItemChanged:
    return ItemChanged(subject=CHANGE if is_change else ITEM, happened=what, at=at(3), is_change=is_change)


def label(name: str, *, added: bool = True) -> LabelChanged:
    return LabelChanged(subject=ITEM, label=name, added=added, at=at(3))


def change(branch: str = "cache-answers", *closes: Ref, commits: tuple[Ref, ...] = (HEAD,)) -> ChangeSeen:
    return ChangeSeen(subject=CHANGE, seen_at=at(2), branch=branch, commits=commits, closes=frozenset(closes))


def run(conclusion: str) -> RunFinished:
    return RunFinished(subject=HEAD, workflow="tests", conclusion=conclusion, at=at(4))


def overheard(field: Field, value: str) -> Declared:
    return Declared(ITEM, at(2), field, value, "label", overheard=True)


def link(evidence: Ref, channel: str, *targets: Ref) -> LinkSet:
    return LinkSet(evidence, channel, CHANGE, frozenset(targets), at(2))


STATING_LABELS: list[tuple[str, Field, str]] = [
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
    assert interpret([seen("experiment")]) == Interpretation(
        "counted", "experiment by label", (DERIVED_TEAM, overheard("experiment", "true"))
    )


def test_an_item_without_labels_is_ignored_and_its_events_are_kept() -> None:
    assert interpret([seen()]) == Interpretation("ignored", "no label `experiment`; it has no labels", (DERIVED_TEAM,))


def test_an_item_with_other_labels_is_ignored_and_the_reason_names_them() -> None:
    assert interpret([seen("bug", "Outcome:Worked")]) == Interpretation(
        "ignored",
        "no label `experiment`; labels were bug, Outcome:Worked",
        (DERIVED_TEAM, overheard("outcome", "worked")),
    )


def test_the_title_and_the_address_of_an_item_are_declared() -> None:
    item = replace(seen(), title="Answer from the cache", url="https://github.com/acme/app/issues/45")
    assert interpret([item]).events == (
        Declared(ITEM, at(2), "title", "Answer from the cache", "item"),
        Declared(ITEM, at(2), "url", "https://github.com/acme/app/issues/45", "item"),
        DERIVED_TEAM,
    )


@pytest.mark.parametrize(("name", "field", "value"), STATING_LABELS)
def test_a_label_that_hangs_there_is_overheard(name: str, field: Field, value: str) -> None:
    assert interpret([seen(name)]).events == (DERIVED_TEAM, overheard(field, value))


@pytest.mark.parametrize("name", [*SILENT_LABELS, "experiment:started"])
def test_a_label_that_means_nothing_or_no_state_is_not_overheard(name: str) -> None:
    assert interpret([seen(name)]).events == (DERIVED_TEAM,)


@pytest.mark.parametrize(("name", "field", "value"), STATING_LABELS)
def test_a_label_that_was_added_is_a_declaration(name: str, field: Field, value: str) -> None:
    assert interpret([label(name)]).events == (Declared(ITEM, at(3), field, value, "label"),)


@pytest.mark.parametrize(("name", "field", "value"), STATING_LABELS)
def test_a_label_that_was_removed_is_withdrawn(name: str, field: Field, value: str) -> None:
    assert interpret([label(name, added=False)]).events == (Withdrawn(ITEM, at(3), field, value, "label"),)


@pytest.mark.parametrize("added", [True, False])
@pytest.mark.parametrize("name", SILENT_LABELS)
def test_a_label_that_means_nothing_changes_nothing(name: str, *, added: bool) -> None:
    assert interpret([label(name, added=added)]).events == ()


def test_a_label_that_was_added_leaves_the_verdict_to_the_labels_that_hang_there() -> None:
    assert interpret([seen("bug"), label("bug")]).verdict == "ignored"
    assert interpret([seen("experiment"), label("bug")]).verdict == "counted"


@pytest.mark.parametrize("name", ["experiment", "Experiment"])
def test_the_delivery_that_takes_the_mark_away_counts(name: str) -> None:
    assert interpret([seen(), label(name, added=False)]) == Interpretation(
        "counted",
        "experiment un-marked by label",
        (DERIVED_TEAM, Withdrawn(ITEM, at(3), "experiment", "true", "label")),
    )


def test_the_delivery_that_takes_another_label_away_does_not_count_for_that() -> None:
    assert interpret([seen("bug"), label("outcome:failed", added=False)]).verdict == "ignored"


@pytest.mark.parametrize("name", ["experiment:started", "Experiment:Started"])
def test_the_started_label_is_a_start_at_the_time_it_was_put_on(name: str) -> None:
    assert interpret([label(name)]).events == (Started(ITEM, at(3)),)


def test_taking_the_started_label_away_undoes_no_start() -> None:
    assert interpret([label("experiment:started", added=False)]).events == ()


@pytest.mark.parametrize(
    ("what", "events"),
    [
        ("created", (Proposed(ITEM, at(3)),)),
        ("assigned", (Started(ITEM, at(3)),)),
        ("closed", (Concluded(ITEM, at(3), None),)),
        ("not planned", (Concluded(ITEM, at(3), Outcome.ABANDONED),)),
        ("duplicate", (Concluded(ITEM, at(3), None), Declared(ITEM, at(3), "excluded", "duplicate", "item"))),
        ("reopened", (Reopened(ITEM, at(3)), Withdrawn(ITEM, at(3), "excluded", "duplicate", "item"))),
    ],
)
def test_what_happens_to_an_item_is_an_event_of_it(what: Happening, events: tuple[LifecycleEvent, ...]) -> None:
    assert interpret([happened(what)]).events == events


@pytest.mark.parametrize(
    ("what", "events"),
    [
        ("created", (Proposed(CHANGE, at(3)), Started(CHANGE, at(3)))),
        ("assigned", (Started(CHANGE, at(3)),)),
        ("closed", (Concluded(CHANGE, at(3), None),)),
        ("merged", (Concluded(CHANGE, at(3), Outcome.WORKED),)),
        ("reopened", (Reopened(CHANGE, at(3)), Withdrawn(CHANGE, at(3), "excluded", "duplicate", "item"))),
    ],
)
def test_what_happens_to_a_change_is_an_event_of_it(what: Happening, events: tuple[LifecycleEvent, ...]) -> None:
    assert interpret([happened(what, is_change=True)]).events == events


@pytest.mark.parametrize("what", ["created", "assigned", "closed", "not planned", "duplicate", "merged", "reopened"])
def test_what_happens_to_an_unmarked_item_does_not_make_its_delivery_count(what: Happening) -> None:
    assert interpret([seen("bug"), happened(what)]).verdict == "ignored"


@pytest.mark.parametrize("branch", ["exp/cache", "experiment/cache", "EXP/Cache", "Experiment/ML-12"])
def test_a_change_from_an_experiments_branch_is_an_experiment(branch: str) -> None:
    assert interpret([change(branch)]) == Interpretation(
        "counted",
        "experiment by branch",
        (Declared(CHANGE, at(2), "experiment", "true", "branch"),),
        (link(CHANGE, "body"), link(HEAD, "commit", CHANGE)),
    )


@pytest.mark.parametrize("branch", ["cache-answers", "exp", "experiments/cache", "expo/cache", "feature/exp/cache", ""])
def test_a_change_from_another_branch_that_closes_nothing_is_ignored_with_both_reasons(branch: str) -> None:
    assert interpret([change(branch)]) == Interpretation(
        "ignored",
        f"its body closes no item; branch `{branch}` does not begin with exp/ or experiment/",
        (),
        (link(CHANGE, "body"), link(HEAD, "commit", CHANGE)),
    )


def test_a_change_that_closes_items_is_linked_to_them() -> None:
    assert interpret([change("cache-answers", ITEM, OTHER_ITEM)]) == Interpretation(
        "counted",
        "linked by closing keyword",
        (),
        (link(CHANGE, "body", ITEM, OTHER_ITEM), link(HEAD, "commit", CHANGE)),
    )


def test_a_change_may_be_an_experiment_and_serve_an_item_at_once() -> None:
    assert interpret([change("exp/cache", ITEM)]) == Interpretation(
        "counted",
        "experiment by branch, linked by closing keyword",
        (Declared(CHANGE, at(2), "experiment", "true", "branch"),),
        (link(CHANGE, "body", ITEM), link(HEAD, "commit", CHANGE)),
    )


def test_the_head_and_the_merge_commit_of_a_change_serve_it() -> None:
    assert interpret([change(commits=(HEAD, MERGE))]).links == (
        link(CHANGE, "body"),
        link(HEAD, "commit", CHANGE),
        link(MERGE, "commit", CHANGE),
    )


@pytest.mark.parametrize(
    ("conclusion", "result"),
    [("success", "success"), ("failure", "failure"), ("timed_out", "failure"), ("SUCCESS", "success")],
)
def test_a_run_that_came_to_a_result_is_a_signal(conclusion: str, result: Result) -> None:
    assert interpret([run(conclusion)]) == Interpretation(
        "counted", "signalled by a run", (Signalled(HEAD, at(4), result),)
    )


@pytest.mark.parametrize("conclusion", ["cancelled", "skipped", "neutral", "stale", "action_required"])
def test_a_run_that_came_to_no_result_is_ignored_with_the_reason(conclusion: str) -> None:
    assert interpret([run(conclusion)]) == Interpretation(
        "ignored", f"a run that ended with `{conclusion}` is no signal; success, failure, timed_out are"
    )


def test_a_run_without_a_conclusion_is_ignored_with_the_reason() -> None:
    assert interpret([run("")]) == Interpretation(
        "ignored", "a run that ended without a conclusion is no signal; success, failure, timed_out are"
    )


def test_a_delivery_that_says_nothing_is_ignored_with_the_providers_reason() -> None:
    assert interpret(Nothing("a ping: the webhook is connected")) == Interpretation(
        "ignored", "a ping: the webhook is connected"
    )


def test_a_delivery_counts_where_any_rule_matches_and_every_event_of_it_is_kept_in_order() -> None:
    assert interpret([seen("experiment"), happened("created"), change("exp/cache", ITEM)]) == Interpretation(
        "counted",
        "experiment by label, experiment by branch, linked by closing keyword",
        (
            DERIVED_TEAM,
            overheard("experiment", "true"),
            Proposed(ITEM, at(3)),
            Declared(CHANGE, at(2), "experiment", "true", "branch"),
        ),
        (link(CHANGE, "body", ITEM), link(HEAD, "commit", CHANGE)),
    )


def test_a_delivery_that_matches_no_rule_gives_every_reason() -> None:
    assert interpret([seen(), change()]).reason == (
        "no label `experiment`; it has no labels; its body closes no item; "
        "branch `cache-answers` does not begin with exp/ or experiment/"
    )
