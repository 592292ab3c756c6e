"""Folding the events on a root and on its evidence gives an experiment."""

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.events import (
    Active,
    Concluded,
    DeclarationChannel,
    Declared,
    LifecycleEvent,
    Proposed,
    Reopened,
    Result,
    Shipped,
    Shown,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.experiment import Attempt, Experiment, Restart, fold, is_marked
from service.lifecycle.fields import FieldName
from service.lifecycle.references import Ref, experiment_id
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk, State
from tests.support.builders import at

ROOT = Ref("github:acme/app#45")
CHANGE = Ref("github:acme/app!7")
COMMIT = Ref("commit:" + "a" * 40)


def folded(*own: LifecycleEvent, evidence: tuple[LifecycleEvent, ...] = ()) -> Experiment:
    return fold(ROOT, own, evidence)


def signalled(when: datetime, result: Result = "success") -> Signalled:
    return Signalled(COMMIT, when, result)


def closed(when: datetime, outcome: Outcome | None = None) -> Concluded:
    return Concluded(ROOT, when, outcome)


def declared(field: FieldName, value: str, when: datetime, channel: DeclarationChannel = "label") -> Declared:
    return Declared(ROOT, when, field, value, channel)


def overheard(field: FieldName, value: str, when: datetime) -> Declared:
    return Declared(ROOT, when, field, value, "label", overheard=True)


def withdrawn(field: FieldName, value: str, when: datetime, channel: DeclarationChannel = "label") -> Withdrawn:
    return Withdrawn(ROOT, when, field, value, channel)


def test_the_earliest_proposal_dates_the_idea_even_if_other_events_precede_it() -> None:
    experiment = folded(
        overheard("experiment", "true", at(1)), Proposed(ROOT, at(3)), Proposed(ROOT, at(2)), Started(ROOT, at(4))
    )
    assert experiment.idea_at == at(2)
    assert not experiment.idea_inferred


def test_the_earliest_event_dates_an_inferred_idea_if_there_is_no_proposal() -> None:
    experiment = folded(closed(at(9)), declared("experiment", "true", at(3)))
    assert experiment.idea_at == at(3)
    assert experiment.idea_inferred


def test_a_signal_on_evidence_may_date_an_inferred_idea() -> None:
    experiment = folded(declared("experiment", "true", at(3)), evidence=(signalled(at(2)),))
    assert experiment.idea_at == at(2)
    assert experiment.idea_inferred


def test_the_proposal_of_a_change_that_serves_an_item_does_not_date_the_idea_of_the_item() -> None:
    experiment = folded(Proposed(ROOT, at(2)), evidence=(Proposed(CHANGE, at(1)),))
    assert experiment.idea_at == at(2)


def test_a_proposal_on_evidence_does_not_date_the_idea_of_an_item_without_a_proposal() -> None:
    experiment = folded(declared("experiment", "true", at(3)), evidence=(Proposed(CHANGE, at(1)),))
    assert experiment.idea_at == at(3)


def test_the_id_of_an_experiment_depends_only_on_its_root() -> None:
    assert folded(Proposed(ROOT, at(1))).id == experiment_id(ROOT)


def test_the_earliest_start_counts_whether_it_is_on_the_root_or_on_evidence() -> None:
    experiment = folded(Proposed(ROOT, at(1)), Started(ROOT, at(4)), evidence=(Started(CHANGE, at(3)),))
    assert experiment.started_at == at(3)
    assert experiment.state is State.RUNNING


def test_a_signal_before_the_first_start_dates_the_start() -> None:
    experiment = folded(Proposed(ROOT, at(1)), Started(ROOT, at(4)), evidence=(signalled(at(2), "failure"),))
    assert experiment.started_at == at(2)


def test_a_proposal_does_not_start_an_experiment() -> None:
    experiment = folded(Proposed(ROOT, at(1)), declared("experiment", "true", at(2)))
    assert experiment.started_at is None
    assert experiment.state is State.PROPOSED


def test_opening_a_change_does_not_start_an_experiment_if_the_change_is_the_experiment() -> None:
    experiment = folded(Proposed(ROOT, at(1)), Started(ROOT, at(1)))
    assert experiment.started_at is None
    assert experiment.state is State.PROPOSED


def test_the_next_start_or_signal_starts_an_experiment_if_a_change_is_the_experiment() -> None:
    experiment = folded(Proposed(ROOT, at(1)), Started(ROOT, at(1)), evidence=(signalled(at(2)),))
    assert experiment.started_at == at(2)


def test_a_start_at_the_time_of_a_later_proposal_counts() -> None:
    experiment = folded(Proposed(ROOT, at(1)), Proposed(ROOT, at(2)), Started(ROOT, at(2)))
    assert experiment.started_at == at(2)


def test_the_opening_of_a_linked_change_in_the_same_second_as_the_item_is_a_start() -> None:
    experiment = folded(Proposed(ROOT, at(1)), evidence=(Started(CHANGE, at(1)),))
    assert experiment.started_at == at(1)


def test_a_start_on_an_item_without_a_proposal_counts() -> None:
    assert folded(Started(ROOT, at(2))).started_at == at(2)


def test_the_first_signal_is_the_earliest_signal_with_either_result() -> None:
    experiment = folded(Proposed(ROOT, at(1)), evidence=(signalled(at(3), "success"), signalled(at(2), "failure")))
    assert experiment.first_signal_at == at(2)


def test_a_signal_on_the_item_itself_counts() -> None:
    experiment = folded(Proposed(ROOT, at(1)), Signalled(ROOT, at(2), "success"))
    assert experiment.first_signal_at == at(2)


def test_a_signal_before_the_idea_is_not_the_first_signal() -> None:
    experiment = folded(Proposed(ROOT, at(2)), evidence=(signalled(at(1)), signalled(at(3))))
    assert experiment.first_signal_at == at(3)


def test_a_signal_at_the_time_of_the_idea_counts() -> None:
    assert folded(Proposed(ROOT, at(2)), evidence=(signalled(at(2)),)).first_signal_at == at(2)


def test_a_signal_at_the_time_of_the_conclusion_counts() -> None:
    experiment = folded(Proposed(ROOT, at(1)), closed(at(5)), evidence=(signalled(at(5)),))
    assert experiment.first_signal_at == at(5)


def test_a_signal_after_the_conclusion_is_not_the_first_signal() -> None:
    experiment = folded(Proposed(ROOT, at(1)), closed(at(5)), evidence=(signalled(at(5, "09:00:01")),))
    assert experiment.first_signal_at is None


def test_a_signal_after_a_conclusion_counts_if_the_experiment_was_reopened() -> None:
    experiment = folded(
        Proposed(ROOT, at(1)), closed(at(5)), Reopened(ROOT, at(6)), closed(at(9)), evidence=(signalled(at(7)),)
    )
    assert experiment.first_signal_at == at(7)


def test_a_start_is_not_a_signal() -> None:
    assert folded(Proposed(ROOT, at(1)), Started(ROOT, at(2))).first_signal_at is None


def test_the_earliest_of_several_conclusions_counts() -> None:
    experiment = folded(
        Proposed(ROOT, at(1)), closed(at(6), Outcome.ABANDONED), closed(at(5), Outcome.WORKED), closed(at(7))
    )
    assert experiment.concluded_at == at(5)
    assert experiment.outcome is Outcome.WORKED
    assert experiment.state is State.CONCLUDED


def test_a_merged_change_does_not_conclude_the_item_that_it_serves() -> None:
    experiment = folded(Proposed(ROOT, at(1)), evidence=(Concluded(CHANGE, at(5), Outcome.WORKED),))
    assert experiment.concluded_at is None
    assert experiment.outcome is None


def test_a_reopened_experiment_is_open_and_has_no_outcome() -> None:
    experiment = folded(
        Proposed(ROOT, at(1)),
        Started(ROOT, at(2)),
        closed(at(5)),
        declared("failure_category", "basic", at(5)),
        Reopened(ROOT, at(6)),
    )
    assert experiment.state is State.RUNNING
    assert experiment.concluded_at is None
    assert experiment.outcome is None
    assert experiment.failure_category is None


def test_the_earliest_conclusion_after_the_last_reopening_counts() -> None:
    experiment = folded(
        Proposed(ROOT, at(1)),
        closed(at(2), Outcome.ABANDONED),
        Reopened(ROOT, at(3)),
        closed(at(4), Outcome.INCONCLUSIVE),
        Reopened(ROOT, at(5)),
        closed(at(6), Outcome.WORKED),
        closed(at(7), Outcome.FAILED),
    )
    assert experiment.concluded_at == at(6)
    assert experiment.outcome is Outcome.WORKED


def test_reopening_an_open_experiment_has_no_effect() -> None:
    experiment = folded(Proposed(ROOT, at(1)), Reopened(ROOT, at(2)), closed(at(3)))
    assert experiment.concluded_at == at(3)


def test_reopening_an_open_experiment_does_not_end_values_declared_by_comment() -> None:
    experiment = folded(
        Proposed(ROOT, at(1)),
        closed(at(2)),
        Reopened(ROOT, at(3)),
        declared("outcome", "worked", at(4), "comment"),
        Reopened(ROOT, at(5)),
        closed(at(6)),
    )
    assert experiment.outcome is Outcome.WORKED


def test_reopening_evidence_does_not_reopen_the_experiment() -> None:
    experiment = folded(Proposed(ROOT, at(1)), closed(at(2)), evidence=(Reopened(CHANGE, at(3)),))
    assert experiment.concluded_at == at(2)


def test_an_experiment_closed_and_reopened_in_one_second_is_open() -> None:
    assert folded(Proposed(ROOT, at(1)), Reopened(ROOT, at(2)), closed(at(2))).concluded_at is None


TICKET = Ref("jira:ML-12")


def entered(status: str, when: datetime, outcome: Outcome | None = None) -> Concluded:
    """The event of a ticket that enters the given final status."""
    return Concluded(TICKET, when, outcome, status=status)


def left(status: str, when: datetime) -> Reopened:
    """The event of a ticket that moves from the given status to a status that is not final."""
    return Reopened(TICKET, when, left=status)


def ticket(*own: LifecycleEvent, evidence: tuple[LifecycleEvent, ...] = ()) -> Experiment:
    return fold(TICKET, (Proposed(TICKET, at(1)), *own), evidence)


def test_a_ticket_is_reopened_when_it_leaves_the_status_that_concluded_it() -> None:
    experiment = ticket(entered("done", at(3)), left("done", at(4)))
    assert experiment.concluded_at is None
    assert experiment.outcome is None


def test_a_ticket_is_not_reopened_when_it_leaves_a_status_that_did_not_conclude_it() -> None:
    assert ticket(entered("done", at(3)), left("selected", at(4))).concluded_at == at(3)


def test_a_ticket_that_moves_between_open_statuses_before_it_is_done_is_concluded_once() -> None:
    experiment = ticket(left("backlog", at(2)), entered("done", at(3)))
    assert experiment.concluded_at == at(3)


def test_a_ticket_concluded_by_command_stays_concluded_when_it_moves_between_open_statuses() -> None:
    concluded = Concluded(TICKET, at(3), Outcome.FAILED, commanded=True)
    experiment = ticket(concluded, left("to do", at(4)), left("in progress", at(5)))
    assert (experiment.concluded_at, experiment.outcome) == (at(3), Outcome.FAILED)


def test_a_ticket_concluded_by_command_on_evidence_stays_concluded_when_it_moves_between_open_statuses() -> None:
    concluded = Concluded(CHANGE, at(3), Outcome.FAILED, commanded=True)
    assert ticket(left("to do", at(4)), evidence=(concluded,)).concluded_at == at(3)


def test_a_ticket_concluded_by_command_and_later_by_status_is_open_after_it_leaves_the_status() -> None:
    concluded = Concluded(TICKET, at(3), Outcome.FAILED, commanded=True)
    assert ticket(concluded, entered("done", at(4)), left("done", at(5))).concluded_at is None


def test_the_first_of_two_final_statuses_concludes_a_ticket_and_leaving_the_last_status_reopens_the_ticket() -> None:
    closed_twice = (entered("done", at(3)), entered("closed", at(4)))
    assert ticket(*closed_twice).concluded_at == at(3)
    assert ticket(*closed_twice, left("closed", at(5))).concluded_at is None


def test_a_reopened_ticket_that_is_done_again_has_the_time_of_the_second_conclusion() -> None:
    experiment = ticket(entered("done", at(3)), left("done", at(4)), entered("done", at(5)))
    assert experiment.concluded_at == at(5)


def test_a_ticket_is_not_reopened_again_when_it_leaves_a_status_that_concluded_it_before_its_last_reopening() -> None:
    experiment = ticket(entered("done", at(3)), left("done", at(4)), entered("closed", at(5)), left("done", at(6)))
    assert experiment.concluded_at == at(5)


def test_a_reopening_without_a_status_reopens_a_ticket_that_any_status_concluded() -> None:
    assert ticket(entered("done", at(3)), Reopened(TICKET, at(4))).concluded_at is None
    commanded = Reopened(CHANGE, at(4), commanded=True)
    assert ticket(entered("done", at(3)), evidence=(commanded,)).concluded_at is None


def test_a_ticket_that_enters_and_leaves_its_final_status_in_one_second_is_open() -> None:
    assert ticket(entered("done", at(3)), left("done", at(3))).concluded_at is None


@pytest.mark.parametrize("status", ["done", "selected"])
def test_a_value_declared_by_comment_ends_when_the_ticket_is_reopened_and_not_when_it_moves_otherwise(
    status: str,
) -> None:
    said = Declared(TICKET, at(2), "outcome", "worked", "comment")
    experiment = ticket(entered("done", at(3)), said, left(status, at(4)), entered("done", at(5)))
    assert experiment.outcome is (Outcome.UNDECLARED if status == "done" else Outcome.WORKED)


def test_a_move_between_open_statuses_counts_as_activity() -> None:
    assert ticket(left("backlog", at(4))).last_activity_at == at(4)


def test_the_outcome_of_an_experiment_closed_without_an_outcome_is_undeclared() -> None:
    experiment = folded(Proposed(ROOT, at(1)), closed(at(2)))
    assert experiment.outcome is Outcome.UNDECLARED
    assert experiment.failure_category is None


def test_the_outcome_of_the_conclusion_counts_if_no_outcome_is_declared() -> None:
    assert folded(Proposed(ROOT, at(1)), closed(at(2), Outcome.ABANDONED)).outcome is Outcome.ABANDONED


def test_a_declared_outcome_outranks_the_outcome_of_the_conclusion() -> None:
    experiment = folded(Proposed(ROOT, at(1)), declared("outcome", "failed", at(2)), closed(at(3), Outcome.WORKED))
    assert experiment.outcome is Outcome.FAILED


def test_an_outcome_declared_before_the_conclusion_does_not_count_until_the_conclusion() -> None:
    open_loop = folded(Proposed(ROOT, at(1)), declared("outcome", "worked", at(2)))
    assert open_loop.outcome is None
    assert open_loop.state is State.PROPOSED


def test_an_outcome_declared_after_the_conclusion_counts() -> None:
    experiment = folded(Proposed(ROOT, at(1)), closed(at(2)), declared("outcome", "inconclusive", at(20)))
    assert experiment.outcome is Outcome.INCONCLUSIVE
    assert experiment.concluded_at == at(2)


def test_the_later_of_two_outcome_labels_counts() -> None:
    experiment = folded(closed(at(2)), declared("outcome", "worked", at(4)), declared("outcome", "abandoned", at(3)))
    assert experiment.outcome is Outcome.WORKED


def test_the_alphabetically_first_of_two_outcome_labels_added_in_the_same_second_counts() -> None:
    experiment = folded(closed(at(2)), declared("outcome", "worked", at(3)), declared("outcome", "inconclusive", at(3)))
    assert experiment.outcome is Outcome.INCONCLUSIVE


def test_the_earlier_of_two_outcome_labels_counts_after_the_later_is_removed() -> None:
    experiment = folded(
        closed(at(2)),
        declared("outcome", "failed", at(3)),
        declared("outcome", "worked", at(4)),
        withdrawn("outcome", "worked", at(5)),
    )
    assert experiment.outcome is Outcome.FAILED


def test_the_outcome_of_the_conclusion_counts_after_a_declared_outcome_is_withdrawn() -> None:
    experiment = folded(
        declared("outcome", "failed", at(2)), closed(at(3), Outcome.WORKED), withdrawn("outcome", "failed", at(4))
    )
    assert experiment.outcome is Outcome.WORKED


def test_a_conclusion_without_an_outcome_is_undeclared_after_the_declared_outcome_is_withdrawn() -> None:
    experiment = folded(declared("outcome", "failed", at(2)), closed(at(3)), withdrawn("outcome", "failed", at(4)))
    assert experiment.outcome is Outcome.UNDECLARED
    assert experiment.failure_category is None


def test_a_withdrawal_on_one_channel_does_not_withdraw_a_value_on_another_channel() -> None:
    experiment = folded(
        declared("outcome", "failed", at(2), "comment"), closed(at(3)), withdrawn("outcome", "failed", at(4), "label")
    )
    assert experiment.outcome is Outcome.FAILED


def test_an_outcome_label_on_evidence_does_not_count() -> None:
    experiment = folded(closed(at(2)), evidence=(Declared(CHANGE, at(1), "outcome", "worked", "label"),))
    assert experiment.outcome is Outcome.UNDECLARED


@pytest.mark.parametrize(
    ("outcome", "answered"),
    [
        (Outcome.WORKED, True),
        (Outcome.FAILED, True),
        (Outcome.INCONCLUSIVE, True),
        (Outcome.UNDECLARED, True),
        (Outcome.ABANDONED, False),
    ],
)
def test_every_conclusion_except_an_abandoned_one_is_an_answer(outcome: Outcome, *, answered: bool) -> None:
    assert folded(closed(at(2), outcome)).answered is answered


def test_an_open_experiment_is_not_answered() -> None:
    assert not folded(Proposed(ROOT, at(1)), declared("outcome", "worked", at(2))).answered


def test_a_failure_without_a_category_is_unclassified() -> None:
    assert folded(closed(at(2), Outcome.FAILED)).failure_category is FailureCategory.UNCLASSIFIED


def test_a_conclusion_without_an_outcome_but_with_a_failure_category_is_failed() -> None:
    experiment = folded(closed(at(2)), declared("failure_category", "intelligent", at(1)))
    assert experiment.outcome is Outcome.FAILED
    assert experiment.failure_category is FailureCategory.INTELLIGENT


def test_a_category_does_not_outrank_a_declared_outcome() -> None:
    experiment = folded(
        closed(at(2)), declared("outcome", "worked", at(1)), declared("failure_category", "basic", at(3))
    )
    assert experiment.outcome is Outcome.WORKED
    assert experiment.failure_category is None


def test_a_category_does_not_outrank_the_outcome_of_the_conclusion() -> None:
    experiment = folded(closed(at(2), Outcome.ABANDONED), declared("failure_category", "basic", at(3)))
    assert experiment.outcome is Outcome.ABANDONED
    assert experiment.failure_category is None


def test_a_category_declared_after_the_conclusion_counts() -> None:
    experiment = folded(closed(at(2), Outcome.FAILED), declared("failure_category", "complex", at(20)))
    assert experiment.failure_category is FailureCategory.COMPLEX


def test_a_changed_failure_category_replaces_the_first_one() -> None:
    experiment = folded(
        closed(at(2), Outcome.FAILED),
        declared("failure_category", "basic", at(3)),
        withdrawn("failure_category", "basic", at(4)),
        declared("failure_category", "complex", at(4)),
    )
    assert experiment.failure_category is FailureCategory.COMPLEX


def test_a_withdrawn_category_leaves_the_failure_unclassified() -> None:
    experiment = folded(
        closed(at(2), Outcome.FAILED),
        declared("failure_category", "basic", at(3)),
        withdrawn("failure_category", "basic", at(4)),
    )
    assert experiment.failure_category is FailureCategory.UNCLASSIFIED


@pytest.mark.parametrize("channel", ["comment", "api"])
def test_a_reopening_ends_an_outcome_declared_by_comment_or_api(channel: DeclarationChannel) -> None:
    experiment = folded(
        declared("outcome", "failed", at(2), channel), closed(at(3)), Reopened(ROOT, at(4)), closed(at(5))
    )
    assert experiment.outcome is Outcome.UNDECLARED


@pytest.mark.parametrize("channel", ["comment", "api"])
def test_a_reopening_ends_a_failure_category_declared_by_comment_or_api(channel: DeclarationChannel) -> None:
    experiment = folded(
        closed(at(3)),
        declared("failure_category", "basic", at(3), channel),
        Reopened(ROOT, at(4)),
        closed(at(5), Outcome.FAILED),
    )
    assert experiment.failure_category is FailureCategory.UNCLASSIFIED


def test_a_category_declared_by_comment_no_longer_implies_a_failure_after_a_reopening() -> None:
    experiment = folded(
        closed(at(3)), declared("failure_category", "basic", at(3), "comment"), Reopened(ROOT, at(4)), closed(at(5))
    )
    assert experiment.outcome is Outcome.UNDECLARED


@pytest.mark.parametrize("channel", ["comment", "api"])
def test_an_outcome_declared_by_comment_or_api_after_a_reopening_counts(channel: DeclarationChannel) -> None:
    experiment = folded(
        declared("outcome", "failed", at(2), channel),
        closed(at(3)),
        Reopened(ROOT, at(4)),
        closed(at(5)),
        declared("outcome", "worked", at(6), channel),
    )
    assert experiment.outcome is Outcome.WORKED


def test_an_outcome_declared_again_by_comment_after_a_reopening_counts() -> None:
    experiment = folded(
        declared("outcome", "failed", at(2), "comment"),
        closed(at(3)),
        Reopened(ROOT, at(4)),
        declared("outcome", "failed", at(5), "comment"),
        closed(at(5)),
    )
    assert experiment.outcome is Outcome.FAILED


def test_a_reopening_does_not_end_values_that_labels_declare() -> None:
    experiment = folded(
        declared("outcome", "failed", at(2)),
        declared("failure_category", "intelligent", at(2)),
        closed(at(3)),
        Reopened(ROOT, at(4)),
        closed(at(5)),
    )
    assert experiment.outcome is Outcome.FAILED
    assert experiment.failure_category is FailureCategory.INTELLIGENT


def test_a_label_counts_again_after_a_reopening_ends_the_later_comment_that_replaced_it() -> None:
    experiment = folded(
        declared("outcome", "failed", at(2)),
        declared("outcome", "worked", at(3), "comment"),
        closed(at(3)),
        Reopened(ROOT, at(4)),
        closed(at(5)),
    )
    assert experiment.outcome is Outcome.FAILED


def test_the_second_of_two_reopenings_ends_values_declared_by_comment_between_them() -> None:
    experiment = folded(
        closed(at(2)),
        Reopened(ROOT, at(3)),
        declared("outcome", "failed", at(4), "comment"),
        closed(at(4)),
        Reopened(ROOT, at(5)),
        closed(at(6)),
    )
    assert experiment.outcome is Outcome.UNDECLARED


@pytest.mark.parametrize(("before", "after"), [("worked", "failed"), ("failed", "worked")])
def test_the_new_label_counts_when_it_replaces_another_label_within_one_second(before: str, after: str) -> None:
    experiment = folded(
        closed(at(2)),
        declared("outcome", before, at(3)),
        withdrawn("outcome", before, at(4)),
        declared("outcome", after, at(4)),
    )
    assert experiment.outcome == after


@pytest.mark.parametrize(("before", "after"), [("worked", "failed"), ("failed", "worked")])
def test_a_payload_with_the_old_labels_does_not_undo_a_replacement_of_labels_in_the_same_second(
    before: str, after: str
) -> None:
    experiment = folded(
        closed(at(2)),
        overheard("outcome", before, at(3)),
        overheard("outcome", before, at(4)),
        overheard("outcome", after, at(4)),
        withdrawn("outcome", before, at(4)),
        declared("outcome", after, at(4)),
    )
    assert experiment.outcome == after


def test_a_label_that_was_added_and_removed_twice_does_not_count() -> None:
    experiment = folded(
        closed(at(6)),
        declared("outcome", "failed", at(1)),
        withdrawn("outcome", "failed", at(2)),
        declared("outcome", "failed", at(3)),
        withdrawn("outcome", "failed", at(4)),
    )
    assert experiment.outcome is Outcome.UNDECLARED


def test_a_label_removed_and_added_in_one_second_counts() -> None:
    experiment = folded(
        closed(at(2)),
        declared("outcome", "failed", at(1)),
        withdrawn("outcome", "failed", at(4)),
        declared("outcome", "failed", at(4)),
    )
    assert experiment.outcome is Outcome.FAILED


def test_a_label_counts_if_a_payload_lists_it_without_an_explicit_addition() -> None:
    assert folded(closed(at(2)), overheard("outcome", "worked", at(1))).outcome is Outcome.WORKED


def test_a_label_that_a_payload_lists_after_its_removal_was_added_again() -> None:
    removed = closed(at(2)), declared("outcome", "worked", at(3)), withdrawn("outcome", "worked", at(4))
    assert folded(*removed, overheard("outcome", "worked", at(4))).outcome is Outcome.UNDECLARED
    assert folded(*removed, overheard("outcome", "worked", at(5))).outcome is Outcome.WORKED


def test_a_label_that_a_payload_listed_does_not_count_after_its_removal() -> None:
    experiment = folded(closed(at(2)), overheard("outcome", "worked", at(1)), withdrawn("outcome", "worked", at(4)))
    assert experiment.outcome is Outcome.UNDECLARED


def test_an_explicit_addition_dates_a_label_even_if_an_earlier_payload_listed_the_label() -> None:
    experiment = folded(
        overheard("shared", "true", at(2)), declared("shared", "true", at(5)), overheard("shared", "true", at(7))
    )
    assert experiment.shared_at == at(5)


def test_the_removal_of_a_label_does_not_remove_another_label_that_a_payload_listed() -> None:
    experiment = folded(overheard("outcome", "worked", at(1)), withdrawn("outcome", "failed", at(2)), closed(at(3)))
    assert experiment.outcome is Outcome.WORKED


def test_an_item_without_declarations_has_no_team_title_url_or_risk() -> None:
    experiment = folded(Proposed(ROOT, at(1)))
    assert (experiment.team, experiment.title, experiment.url, experiment.risk) == ("", "", "", None)


@pytest.mark.parametrize("derived_at", [at(1), at(9)])
def test_a_derived_team_counts_only_if_no_team_is_declared(derived_at: datetime) -> None:
    derived = declared("team", "acme/app", derived_at, "derived")
    assert folded(derived).team == "acme/app"
    assert folded(derived, declared("team", "search", at(5))).team == "search"


def test_a_derived_team_counts_again_after_the_team_label_is_removed() -> None:
    experiment = folded(
        declared("team", "acme/app", at(1), "derived"),
        declared("team", "search", at(2)),
        withdrawn("team", "search", at(3)),
    )
    assert experiment.team == "acme/app"


def test_the_later_of_two_derived_teams_counts() -> None:
    experiment = folded(declared("team", "acme/web", at(2), "derived"), declared("team", "acme/app", at(1), "derived"))
    assert experiment.team == "acme/web"


def test_the_later_declaration_counts_whatever_its_channel() -> None:
    label = declared("team", "search", at(2))
    assert folded(label, declared("team", "ads", at(1), "comment")).team == "search"
    assert folded(label, declared("team", "ads", at(3), "comment")).team == "ads"


def test_the_alphabetically_first_value_counts_if_two_channels_declare_at_the_same_time() -> None:
    experiment = folded(declared("team", "search", at(2), "comment"), declared("team", "ads", at(2)))
    assert experiment.team == "ads"


def test_a_value_declared_again_by_comment_takes_the_time_of_the_second_comment() -> None:
    experiment = folded(
        declared("team", "search", at(1), "comment"),
        declared("team", "ads", at(2)),
        declared("team", "search", at(3), "comment"),
    )
    assert experiment.team == "search"


def test_a_label_that_two_payloads_list_is_dated_by_the_first_payload() -> None:
    experiment = folded(
        overheard("team", "search", at(1)),
        declared("team", "ads", at(2), "comment"),
        overheard("team", "search", at(3)),
    )
    assert experiment.team == "ads"


def test_a_label_that_was_removed_and_added_again_takes_the_time_of_the_second_addition() -> None:
    experiment = folded(
        declared("team", "search", at(1)),
        declared("team", "ads", at(2), "comment"),
        withdrawn("team", "search", at(3)),
        declared("team", "search", at(4)),
    )
    assert experiment.team == "search"


def test_a_value_that_a_later_comment_replaced_does_not_return_when_the_later_value_is_withdrawn() -> None:
    experiment = folded(
        declared("team", "acme/app", at(1), "derived"),
        declared("team", "search", at(2), "comment"),
        declared("team", "ads", at(3), "comment"),
        withdrawn("team", "ads", at(4), "comment"),
    )
    assert experiment.team == "acme/app"


def test_the_newest_title_and_url_count() -> None:
    experiment = folded(
        declared("title", "Answer from the cache", at(3), "item"),
        declared("title", "Ask the cache", at(2), "item"),
        declared("url", "https://github.com/acme/app/issues/45", at(2), "item"),
    )
    assert experiment.title == "Answer from the cache"
    assert experiment.url == "https://github.com/acme/app/issues/45"


def test_a_title_that_is_changed_back_to_an_earlier_title_counts() -> None:
    experiment = folded(
        declared("title", "Ask the cache", at(1), "item"),
        declared("title", "Answer from the cache", at(2), "item"),
        declared("title", "Ask the cache", at(3), "item"),
    )
    assert experiment.title == "Ask the cache"


def test_the_last_declared_risk_counts() -> None:
    experiment = folded(declared("risk", "safe", at(1)), declared("risk", "bold", at(2)))
    assert experiment.risk is Risk.BOLD


def test_a_learning_is_shared_when_the_label_was_first_added() -> None:
    experiment = folded(overheard("shared", "true", at(6)), overheard("shared", "true", at(4)))
    assert experiment.shared_at == at(4)


def test_a_learning_that_is_shared_again_has_the_time_of_the_second_sharing() -> None:
    experiment = folded(
        declared("shared", "true", at(4)), withdrawn("shared", "true", at(5)), declared("shared", "true", at(6))
    )
    assert experiment.shared_at == at(6)


def test_a_withdrawn_learning_is_not_shared() -> None:
    experiment = folded(declared("shared", "true", at(4)), withdrawn("shared", "true", at(5)))
    assert experiment.shared_at is None


def test_the_last_activity_is_the_latest_event_of_the_item() -> None:
    experiment = folded(Proposed(ROOT, at(1)), withdrawn("shared", "true", at(8)), closed(at(5)))
    assert experiment.last_activity_at == at(8)


def test_the_last_activity_may_be_a_signal_on_evidence() -> None:
    experiment = folded(Proposed(ROOT, at(1)), closed(at(5)), evidence=(signalled(at(8)),))
    assert experiment.last_activity_at == at(8)


def test_a_conclusion_on_evidence_is_not_activity_of_the_experiment() -> None:
    experiment = folded(Proposed(ROOT, at(1)), evidence=(Concluded(CHANGE, at(8), None),))
    assert experiment.last_activity_at == at(1)


def test_the_instants_of_an_experiment_omit_the_milestones_that_it_has_not_reached() -> None:
    experiment = folded(Proposed(ROOT, at(1)), closed(at(5)), declared("shared", "true", at(6)))
    assert experiment.instants == (at(1), at(5), at(6))


def test_an_item_without_a_mark_is_not_an_experiment() -> None:
    assert not is_marked([Proposed(ROOT, at(1)), declared("outcome", "worked", at(2))])


@pytest.mark.parametrize("channel", ["label", "type", "branch", "api"])
def test_a_mark_on_any_channel_makes_an_experiment(channel: DeclarationChannel) -> None:
    assert is_marked([declared("experiment", "true", at(1), channel)])


def test_a_mark_that_a_payload_lists_makes_an_experiment() -> None:
    assert is_marked([overheard("experiment", "true", at(1))])


def test_an_item_is_an_experiment_while_it_has_a_mark() -> None:
    unmarked: list[LifecycleEvent] = [declared("experiment", "true", at(1)), withdrawn("experiment", "true", at(2))]
    assert not is_marked(unmarked)
    assert is_marked([*unmarked, declared("experiment", "true", at(3))])


def test_removing_the_label_does_not_remove_the_mark_by_branch() -> None:
    assert is_marked(
        [
            declared("experiment", "true", at(1), "branch"),
            declared("experiment", "true", at(1)),
            withdrawn("experiment", "true", at(2)),
        ]
    )


def test_an_excluded_item_is_not_an_experiment_until_the_exclusion_is_withdrawn() -> None:
    excluded: list[LifecycleEvent] = [
        declared("experiment", "true", at(1)),
        declared("excluded", "duplicate", at(2), "item"),
    ]
    assert not is_marked(excluded)
    assert is_marked([*excluded, withdrawn("excluded", "duplicate", at(3), "item")])


def test_a_closing_counts_with_its_outcome_even_if_another_payload_of_the_closing_has_no_outcome() -> None:
    for number in range(1, 20):
        root = Ref(f"github:acme/app#{number}")
        conclusions = [Concluded(root, at(5)), Concluded(root, at(5), Outcome.ABANDONED)]
        assert fold(root, [Proposed(root, at(2)), *conclusions], []).outcome is Outcome.ABANDONED


def test_removing_one_of_two_labels_with_the_same_value_does_not_withdraw_the_value() -> None:
    def by(label: str, when: datetime) -> Declared:
        return Declared(ROOT, when, "experiment", "true", "label", label=label)

    gone = Withdrawn(ROOT, at(5), "experiment", "true", "label", label="bet")
    assert is_marked([by("experiment", at(2)), by("bet", at(3)), gone])
    assert not is_marked([by("bet", at(3)), gone])


def test_the_earlier_of_two_labels_with_the_same_value_dates_the_value() -> None:
    labels = [Declared(ROOT, at(day), "shared", "true", "label", label=f"label {day}") for day in (6, 4)]
    assert folded(Proposed(ROOT, at(2)), *labels).shared_at == at(4)


def test_the_first_deployment_after_the_idea_dates_the_shipment() -> None:
    shipments = tuple(Shipped(COMMIT, at(day)) for day in (1, 9, 7))
    assert folded(Proposed(ROOT, at(2)), evidence=shipments).shipped_at == at(7)
    assert folded(Proposed(ROOT, at(2)), evidence=shipments[:1]).shipped_at is None


def test_activity_on_evidence_changes_only_the_last_activity() -> None:
    talked_about = folded(Proposed(ROOT, at(2)), evidence=(Active(CHANGE, at(9, "00:00:00")),))
    assert talked_about.last_activity_at == at(9, "00:00:00")
    assert (talked_about.started_at, talked_about.state) == (None, State.PROPOSED)


def test_activity_dates_an_idea_only_if_the_item_has_no_other_event() -> None:
    assert folded(Active(ROOT, at(3, "00:00:00")), closed(at(3))).idea_at == at(3)
    assert folded(Active(ROOT, at(3, "00:00:00"))).idea_at == at(3, "00:00:00")


def test_a_command_on_evidence_applies_to_the_experiment() -> None:
    commands = (
        Started(CHANGE, at(3), commanded=True),
        Concluded(CHANGE, at(5), Outcome.FAILED, commanded=True),
        Declared(CHANGE, at(5), "failure_category", "basic", "comment"),
        Declared(CHANGE, at(6), "team", "search", "comment"),
    )
    experiment = folded(Proposed(ROOT, at(2)), evidence=commands)
    assert (experiment.started_at, experiment.concluded_at) == (at(3), at(5))
    assert (experiment.outcome, experiment.failure_category) == (Outcome.FAILED, FailureCategory.BASIC)
    assert experiment.team == "search"


def test_a_reopen_command_on_evidence_reopens_the_experiment() -> None:
    experiment = folded(Proposed(ROOT, at(2)), closed(at(3)), evidence=(Reopened(CHANGE, at(4), commanded=True),))
    assert experiment.state is State.PROPOSED


def test_conclusions_reopenings_and_declarations_on_evidence_count_only_by_command() -> None:
    own_affairs = (
        Proposed(CHANGE, at(1)),
        Concluded(CHANGE, at(5), Outcome.WORKED),
        Reopened(CHANGE, at(6)),
        Declared(CHANGE, at(5), "outcome", "failed", "label"),
        Declared(CHANGE, at(5), "title", "Another title", "item"),
        Declared(CHANGE, at(5), "team", "ads", "label"),
    )
    assert folded(Proposed(ROOT, at(2)), evidence=own_affairs) == folded(Proposed(ROOT, at(2)))


INSTANTS = st.sampled_from([at(day) for day in range(1, 6)])
STATEMENTS: list[tuple[FieldName, str]] = [
    ("experiment", "true"),
    ("excluded", "duplicate"),
    ("title", "Ask the cache"),
    ("title", "Answer from the cache"),
    ("team", "search"),
    ("team", "ads"),
    ("risk", "bold"),
    ("risk", "safe"),
    ("outcome", "worked"),
    ("outcome", "failed"),
    ("failure_category", "basic"),
    ("failure_category", "complex"),
    ("shared", "true"),
]
CHANNELS: list[DeclarationChannel] = ["label", "branch", "item", "comment", "api", "derived"]
STATUSES = st.sampled_from(["", "done", "closed"])
OUTCOMES = st.sampled_from([None, Outcome.WORKED, Outcome.FAILED, Outcome.ABANDONED])


def instants_of(subject: Ref) -> st.SearchStrategy[LifecycleEvent]:
    return st.one_of(
        st.builds(Proposed, st.just(subject), INSTANTS),
        st.builds(Started, st.just(subject), INSTANTS, st.booleans()),
        st.builds(Signalled, st.just(subject), INSTANTS, st.sampled_from(["success", "failure"])),
        st.builds(Concluded, st.just(subject), INSTANTS, OUTCOMES, st.booleans(), STATUSES),
        st.builds(Reopened, st.just(subject), INSTANTS, st.booleans(), STATUSES),
        st.builds(Shipped, st.just(subject), INSTANTS),
        st.builds(Active, st.just(subject), INSTANTS),
        st.builds(
            Shown,
            st.just(subject),
            INSTANTS,
            st.sampled_from([None, ()]),
            st.sampled_from([None, "", "5cf9d5"]),
            st.sampled_from([None, True, False]),
            st.sampled_from(["", "3", "5"]),
        ),
    )


@st.composite
def declarations(draw: st.DrawFn) -> LifecycleEvent:
    field, value = draw(st.sampled_from(STATEMENTS))
    when, channel = draw(INSTANTS), draw(st.sampled_from(CHANNELS))
    if draw(st.booleans()):
        return Withdrawn(ROOT, when, field, value, channel)
    return Declared(ROOT, when, field, value, channel, overheard=channel == "label" and draw(st.booleans()))


OWN = st.lists(st.one_of(instants_of(ROOT), declarations()), min_size=1, max_size=12)
EVIDENCE = st.lists(st.one_of(instants_of(CHANGE), instants_of(COMMIT)), max_size=6)


@given(st.data(), OWN, EVIDENCE)
def test_neither_the_order_nor_duplicates_of_the_events_change_the_experiment(
    data: st.DataObject, own: list[LifecycleEvent], evidence: list[LifecycleEvent]
) -> None:
    again = data.draw(st.permutations([*own, *data.draw(st.lists(st.sampled_from(own)))]))
    evidence_again = data.draw(st.permutations([*evidence, *evidence[:2]]))
    assert fold(ROOT, again, evidence_again) == fold(ROOT, own, evidence)
    assert is_marked(again) == is_marked(own)


@given(OWN, EVIDENCE)
def test_only_failures_have_a_category_and_only_conclusions_an_outcome(
    own: list[LifecycleEvent], evidence: list[LifecycleEvent]
) -> None:
    experiment = fold(ROOT, own, evidence)
    assert (experiment.outcome is None) == (experiment.concluded_at is None)
    assert (experiment.failure_category is None) == (experiment.outcome is not Outcome.FAILED)


@given(OWN, EVIDENCE)
def test_every_instant_of_an_experiment_is_the_time_of_an_event(
    own: list[LifecycleEvent], evidence: list[LifecycleEvent]
) -> None:
    happened = {event.occurred_at for event in [*own, *evidence]}
    assert happened.issuperset(fold(ROOT, own, evidence).instants)


def serving(*own: LifecycleEvent, evidence: tuple[LifecycleEvent, ...] = ()) -> Attempt:
    subjects = {event.subject for event in (*own, *evidence)}
    return Attempt((*own, *evidence), lambda event: event.subject in subjects)


def taken_up(*own: LifecycleEvent, attempts: list[Attempt]) -> tuple[Restart, ...]:
    """The restarts of `ROOT` that the given attempts cause.

    An attempt is another marked subject, such as a change, that is evidence of `ROOT`.
    """
    evidence = [event for attempt in attempts for event in attempt.own]
    return fold(ROOT, own, evidence, attempts).restarts


BEGUN = (Proposed(ROOT, at(2)), Started(ROOT, at(2)))


def proposed_change(when: datetime) -> Attempt:
    return serving(Proposed(CHANGE, when))


def test_a_marked_change_restarts_the_item_that_it_serves_after_a_time_without_activity() -> None:
    again = taken_up(Proposed(ROOT, at(2)), Started(ROOT, at(5)), attempts=[proposed_change(at(9))])
    assert again == (Restart(at(9), concluded=False, quiet=timedelta(days=4)),)


def test_a_restart_after_the_first_conclusion_counts_even_if_the_experiment_is_reopened_and_closed_again() -> None:
    own = (Proposed(ROOT, at(2)), closed(at(4)), Reopened(ROOT, at(10)), closed(at(12)))
    again = taken_up(*own, attempts=[proposed_change(at(9)), proposed_change(at(11))])
    assert again == (
        Restart(at(9), concluded=True, quiet=timedelta(days=5)),
        Restart(at(11), concluded=False, quiet=timedelta(days=1)),
    )


def test_a_change_proposed_before_the_item_or_at_the_same_time_does_not_restart_the_item() -> None:
    assert taken_up(Proposed(ROOT, at(5)), attempts=[proposed_change(at(4)), proposed_change(at(5))]) == ()


def test_a_change_without_a_proposal_does_not_restart_the_item() -> None:
    assert taken_up(Proposed(ROOT, at(2)), attempts=[serving(Started(CHANGE, at(9)))]) == ()


def test_the_earliest_of_several_proposals_of_a_change_dates_the_restart() -> None:
    again = taken_up(*BEGUN, attempts=[serving(Proposed(CHANGE, at(9)), Proposed(CHANGE, at(7)))])
    assert again == (Restart(at(7), concluded=False, quiet=timedelta(days=5)),)


def test_an_event_on_the_restarting_change_does_not_shorten_the_time_without_activity() -> None:
    pushed = serving(Proposed(CHANGE, at(9)), Started(CHANGE, at(8)), evidence=(signalled(at(7)),))
    assert taken_up(*BEGUN, attempts=[pushed]) == (Restart(at(9), concluded=False, quiet=timedelta(days=7)),)


def test_an_event_on_an_earlier_change_shortens_the_time_without_activity() -> None:
    earlier = serving(Proposed(CHANGE, at(4)), Started(CHANGE, at(6)))
    later = serving(Proposed(Ref("github:acme/app!8"), at(9)))
    assert taken_up(*BEGUN, attempts=[later, earlier]) == (
        Restart(at(4), concluded=False, quiet=timedelta(days=2)),
        Restart(at(9), concluded=False, quiet=timedelta(days=3)),
    )


def test_activity_on_the_day_of_a_restart_does_not_shorten_the_time_without_activity() -> None:
    own = (*BEGUN, Active(ROOT, at(8, "00:00:00")), Active(ROOT, at(9, "00:00:00")))
    assert taken_up(*own, attempts=[proposed_change(at(9))]) == (
        Restart(at(9), concluded=False, quiet=timedelta(days=1, hours=9)),
    )


def test_an_experiment_whose_idea_is_dated_by_the_start_of_a_change_is_not_restarted_by_the_change() -> None:
    change = serving(Started(CHANGE, at(2)), Proposed(CHANGE, at(9)))
    assert taken_up(declared("experiment", "true", at(10)), attempts=[change]) == ()


def test_a_change_starts_and_does_not_restart_an_experiment_that_has_not_started() -> None:
    assert taken_up(Proposed(ROOT, at(2)), attempts=[proposed_change(at(30))]) == ()
