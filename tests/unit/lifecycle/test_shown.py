"""A state that a payload shows ends what earlier payloads stated and what this state contradicts."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.declarations import declarations_in, value_of
from service.lifecycle.events import (
    Concluded,
    Declared,
    LifecycleEvent,
    Proposed,
    Refused,
    Reopened,
    Shown,
    Withdrawn,
)
from service.lifecycle.exclusions import Exclusion, find_exclusion
from service.lifecycle.experiment import Experiment, fold, is_marked
from service.lifecycle.fields import FieldName
from service.lifecycle.futility import standing_refusals
from service.lifecycle.references import Ref
from service.lifecycle.shown import key_of, reopenings
from service.lifecycle.taxonomy import Outcome, State
from tests.support.builders import at

ITEM = Ref("github:acme/app#45")
MARK = "experiment"


def labelled(day: int, label: str = MARK, field: FieldName = "experiment", value: str = "true") -> Declared:
    return Declared(ITEM, at(day), field, value, "label", label=label)


def unlabelled(day: int, label: str = MARK) -> Withdrawn:
    return Withdrawn(ITEM, at(day), "experiment", "true", "label", label)


def listed(day: int, label: str = MARK) -> Declared:
    return Declared(ITEM, at(day), "experiment", "true", "label", overheard=True, label=label)


def shown(day: int, *labels: str) -> Shown:
    return Shown(ITEM, at(day), tuple(sorted(map(key_of, labels))))


def typed(day: int) -> Declared:
    return Declared(ITEM, at(day), "experiment", "true", "type")


def shown_type(day: int, name: str) -> Shown:
    return Shown(ITEM, at(day), item_type=key_of(name) if name else "")


def is_open(day: int, status: str = "", *, subject: Ref = ITEM) -> Shown:
    return Shown(subject, at(day), is_open=True, status=status)


def is_closed(day: int, status: str = "") -> Shown:
    return Shown(ITEM, at(day), is_open=False, status=status)


def closed(day: int, outcome: Outcome | None = None) -> Concluded:
    return Concluded(ITEM, at(day), outcome)


def excluded(*own: LifecycleEvent) -> Exclusion | None:
    return find_exclusion(own)


def marked(*own: LifecycleEvent) -> bool:
    return is_marked(own)


def folded(*own: LifecycleEvent, evidence: Sequence[LifecycleEvent] = ()) -> Experiment:
    return fold(ITEM, [Proposed(ITEM, at(1)), *own], evidence)


def test_a_label_that_a_later_payload_does_not_list_no_longer_marks_an_experiment() -> None:
    own: list[LifecycleEvent] = [labelled(2), shown(2, MARK), shown(4), shown(6)]
    assert not is_marked(own)
    assert find_exclusion(own) == Exclusion("unmarked", at(4))


def test_a_label_that_was_only_listed_ends_when_a_later_payload_does_not_list_it() -> None:
    own: list[LifecycleEvent] = [listed(2), shown(2, MARK), shown(4, "bug")]
    assert find_exclusion(own) == Exclusion("unmarked", at(4))


@pytest.mark.parametrize("field", ["team", "risk", "outcome", "failure_category", "shared"])
def test_every_field_that_a_label_gives_ends_with_the_label(field: FieldName) -> None:
    own: list[LifecycleEvent] = [labelled(2, f"{field}:x", field, "x"), shown(2, f"{field}:x"), shown(3, MARK)]
    assert value_of(declarations_in(own[:2]), field) == "x"
    assert value_of(declarations_in(own), field) == ""


def test_one_of_two_labels_with_the_same_value_keeps_the_value() -> None:
    own: list[LifecycleEvent] = [labelled(2), labelled(2, "bet"), shown(4, "bet")]
    assert is_marked(own)
    assert not marked(*own, shown(5))


def test_a_label_counts_although_a_payload_writes_it_in_capitals() -> None:
    assert marked(labelled(2), shown(4, "Experiment"))


def test_a_payload_that_does_not_tell_the_labels_ends_no_label() -> None:
    assert marked(labelled(2), is_open(4), shown_type(5, "Task"))


def test_an_addition_counts_although_payloads_of_the_same_second_do_not_list_the_label() -> None:
    assert marked(labelled(4), shown(4), shown(4, "bug"), shown(3))


def test_a_removal_counts_although_payloads_of_the_same_second_list_the_label() -> None:
    own: list[LifecycleEvent] = [labelled(2), unlabelled(4), listed(4), shown(4, MARK), shown(4), shown(5)]
    assert find_exclusion(own) == Exclusion("unmarked", at(4))


def test_a_label_stays_if_one_of_two_payloads_of_the_same_second_lists_it() -> None:
    assert marked(labelled(2), listed(4), shown(4, MARK), shown(4))


@pytest.mark.parametrize(("before", "after"), [("worked", "failed"), ("failed", "worked")])
def test_a_replacement_of_labels_within_one_second_counts_whatever_the_payloads_list(before: str, after: str) -> None:
    def outcome(day: int, value: str, *, overheard: bool = False) -> Declared:
        return Declared(ITEM, at(day), "outcome", value, "label", overheard, f"outcome:{value}")

    own: list[LifecycleEvent] = [
        closed(2),
        outcome(3, before),
        outcome(4, after),
        Withdrawn(ITEM, at(4), "outcome", before, "label", f"outcome:{before}"),
        outcome(4, before, overheard=True),
        outcome(4, after, overheard=True),
        shown(4, f"outcome:{before}", f"outcome:{after}"),
        shown(4, f"outcome:{after}"),
        shown(5, f"outcome:{after}"),
    ]
    assert folded(*own).outcome == after


def test_a_label_that_is_listed_again_after_its_absence_counts_from_then_on() -> None:
    own: list[LifecycleEvent] = [labelled(2), shown(4), listed(6), shown(6, MARK)]
    assert is_marked(own)
    assert excluded(*own, shown(8), shown(9)) == Exclusion("unmarked", at(8))


def test_a_label_whose_addition_was_lost_after_a_removal_counts_when_a_payload_lists_it() -> None:
    assert marked(labelled(2), unlabelled(3), listed(5), shown(5, MARK))


def test_an_addition_after_an_absence_dates_the_label() -> None:
    own: list[LifecycleEvent] = [labelled(2, "learning", "shared"), shown(3), labelled(6, "learning", "shared")]
    assert folded(*own).shared_at == at(6)


def test_a_removal_that_was_reported_dates_the_exclusion_although_later_payloads_show_it_too() -> None:
    assert excluded(labelled(2), unlabelled(3), shown(5)) == Exclusion("unmarked", at(3))


def test_a_label_that_an_earlier_release_stored_without_its_name_stays() -> None:
    assert marked(Declared(ITEM, at(2), "experiment", "true", "label"), shown(4))


def test_a_mark_by_comment_or_branch_does_not_end_with_the_labels() -> None:
    for channel in ("comment", "branch", "api"):
        assert marked(Declared(ITEM, at(2), "experiment", "true", channel), shown(4))


def test_a_type_that_a_later_payload_does_not_show_no_longer_marks_an_experiment() -> None:
    own: list[LifecycleEvent] = [typed(2), shown_type(2, "Experiment"), shown_type(4, "Task")]
    assert find_exclusion(own) == Exclusion("unmarked", at(4))
    assert excluded(typed(2), shown_type(2, "Experiment"), shown_type(4, "")) == Exclusion("unmarked", at(4))


def test_a_type_stays_while_payloads_show_a_type_that_marks() -> None:
    assert marked(typed(2), shown_type(2, "Spike"), typed(4), shown_type(4, "Experiment"), shown_type(5, "Spike"))


def test_a_type_stays_if_no_payload_tells_which_type_marked_the_item() -> None:
    assert marked(typed(2), shown_type(4, "Task"))


def test_an_item_that_was_closed_and_that_a_later_payload_shows_open_is_reopened() -> None:
    experiment = folded(closed(2), is_closed(2), is_open(5), is_open(7))
    assert experiment.state is not State.CONCLUDED
    assert experiment.outcome is None


def test_a_lost_reopening_ends_the_values_that_a_comment_stated_before_it() -> None:
    said = Declared(ITEM, at(3), "outcome", "worked", "comment")
    experiment = folded(closed(2), is_closed(2), said, is_open(5), closed(8), is_closed(8))
    assert (experiment.concluded_at, experiment.outcome) == (at(8), Outcome.UNDECLARED)


def test_a_payload_that_shows_an_item_open_in_the_second_of_its_closing_does_not_reopen_it() -> None:
    assert folded(closed(2), is_open(2), is_closed(2)).concluded_at == at(2)
    assert folded(closed(2), is_closed(2), closed(5), is_open(5), is_closed(5)).concluded_at == at(2)


def test_a_conclusion_by_command_or_api_stays_while_the_item_is_open() -> None:
    assert folded(is_open(1), closed(2), is_open(5)).concluded_at == at(2)
    assert folded(is_closed(2), Reopened(ITEM, at(3)), is_open(4), closed(5), is_open(6)).concluded_at == at(5)


def test_a_conclusion_counts_again_if_a_later_payload_shows_that_the_item_is_closed_after_all() -> None:
    assert folded(closed(2), is_closed(2), is_open(5), is_closed(7)).concluded_at == at(2)


def test_a_closing_after_a_lost_reopening_is_the_conclusion() -> None:
    experiment = folded(closed(2), is_closed(2), is_open(5), closed(6, Outcome.WORKED), is_closed(7))
    assert (experiment.concluded_at, experiment.outcome) == (at(6), Outcome.WORKED)


def test_a_state_of_evidence_does_not_reopen_the_experiment() -> None:
    change = Ref("github:acme/app!7")
    evidence = [Shown(change, at(3), is_open=False), is_open(5, subject=change)]
    assert folded(closed(2), is_closed(2), evidence=evidence).concluded_at == at(2)


def test_an_exclusion_as_duplicate_ends_when_the_item_is_open_again() -> None:
    duplicate = Declared(ITEM, at(2), "excluded", "duplicate", "item")
    own: list[LifecycleEvent] = [labelled(1), duplicate, closed(2), is_closed(2)]
    assert find_exclusion(own) == Exclusion("duplicate", at(2))
    assert excluded(*own, is_open(5)) is None


def test_an_exclusion_for_another_reason_does_not_end_when_the_item_is_open_again() -> None:
    deleted = Declared(ITEM, at(2), "excluded", "deleted", "item")
    assert excluded(labelled(1), deleted, closed(2), is_closed(2), is_open(5)) == Exclusion("deleted", at(2))


def test_a_ticket_that_left_its_final_status_under_a_new_name_is_open() -> None:
    entered = Concluded(ITEM, at(2), status="done")
    assert folded(entered, is_closed(2, "5"), Reopened(ITEM, at(5), left="released"), is_open(5, "3")).outcome is None


def test_a_ticket_that_left_an_open_status_that_concluded_it_by_a_lost_move_is_open() -> None:
    entered = Concluded(ITEM, at(2), status="accepted")
    assert folded(entered, is_open(2, "7"), is_open(4, "7")).concluded_at == at(2)
    assert folded(entered, is_open(2, "7"), is_open(4, "3")).concluded_at is None


def test_a_ticket_that_a_command_concluded_stays_concluded_while_it_moves_between_open_statuses() -> None:
    said = Concluded(ITEM, at(2), Outcome.WORKED, commanded=True)
    assert folded(said, is_open(2, "1"), Reopened(ITEM, at(4), left="to do"), is_open(4, "3")).concluded_at == at(2)


def test_a_refused_label_that_a_later_payload_does_not_list_is_no_longer_without_effect() -> None:
    refused = Refused(ITEM, at(2), "label", "did you mean experiment?", overheard=True, label="experimnt")
    assert standing_refusals([refused, shown(2, "experimnt")]) == [refused]
    assert standing_refusals([refused, shown(2, "experimnt"), shown(3)]) == []


def test_a_refused_label_of_the_second_of_a_payload_without_it_stays() -> None:
    refused = Refused(ITEM, at(2), "label", "did you mean experiment?", label="experimnt")
    assert standing_refusals([refused, shown(2), shown(1)]) == [refused]


def test_a_reopening_that_was_reported_is_not_found_again() -> None:
    assert reopenings([closed(2), is_closed(2), Reopened(ITEM, at(3)), is_open(3), is_open(4)]) == []


MOMENTS = st.builds(lambda day, second: at(day) + timedelta(seconds=second), st.integers(2, 6), st.integers(0, 1))
LABELS = st.sampled_from(["experiment", "bet"])


@st.composite
def _statements(draw: st.DrawFn) -> LifecycleEvent:
    when: datetime = draw(MOMENTS)
    label = draw(LABELS)
    match draw(st.sampled_from(["labelled", "listed", "unlabelled", "shown", "closed", "reopened", "duplicate"])):
        case "labelled":
            return Declared(ITEM, when, "experiment", "true", "label", label=label)
        case "listed":
            return Declared(ITEM, when, "experiment", "true", "label", overheard=True, label=label)
        case "unlabelled":
            return Withdrawn(ITEM, when, "experiment", "true", "label", label)
        case "closed":
            return Concluded(ITEM, when, draw(st.sampled_from([None, Outcome.WORKED])), status=draw(_WORDS))
        case "reopened":
            return Reopened(ITEM, when, left=draw(_WORDS))
        case "duplicate":
            return Declared(ITEM, when, "excluded", "duplicate", "item")
        case _:
            return draw(_states)


_WORDS = st.sampled_from(["", "done"])
_states = st.builds(
    Shown,
    st.just(ITEM),
    MOMENTS,
    st.none() | st.lists(LABELS.map(key_of), unique=True).map(lambda keys: tuple(sorted(keys))),
    st.sampled_from([None, "", key_of("task")]),
    st.sampled_from([None, True, False]),
    st.sampled_from(["", "3", "5"]),
)


@given(st.data(), st.lists(_statements(), min_size=1, max_size=12))
def test_the_order_of_states_and_reports_makes_no_difference(data: st.DataObject, own: list[LifecycleEvent]) -> None:
    again = data.draw(st.permutations([*own, *own[:3]]))
    assert fold(ITEM, again, []) == fold(ITEM, own, [])
    assert is_marked(again) == is_marked(own)
    assert find_exclusion(again) == find_exclusion(own)
    assert standing_refusals(again) == standing_refusals(own)


@given(st.lists(_statements(), max_size=12), st.sampled_from([(), ("bet",), ("experiment", "bet")]))
def test_the_labels_of_the_newest_payload_alone_decide_the_mark(
    own: list[LifecycleEvent], labels: tuple[str, ...]
) -> None:
    newest: list[LifecycleEvent] = [shown(9, *labels), *(listed(9, label) for label in labels)]
    assert bool(declared_marks([*own, *newest])) == bool(labels)


def declared_marks(own: list[LifecycleEvent]) -> str:
    return value_of(declarations_in(own), "experiment")


@given(st.lists(_statements(), max_size=12))
def test_an_item_that_the_newest_payload_shows_open_after_a_closed_one_is_open(own: list[LifecycleEvent]) -> None:
    assert folded(*own, closed(8), is_closed(8), is_open(9)).concluded_at is None
