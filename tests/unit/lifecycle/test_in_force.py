"""Each field of an experiment has at most one statement in force, and knows the statements that it overrules."""

from service.lifecycle.conclusion import classify
from service.lifecycle.events import (
    Concluded,
    DeclarationChannel,
    Declared,
    LifecycleEvent,
    Proposed,
    Reopened,
    Withdrawn,
)
from service.lifecycle.fields import FieldName
from service.lifecycle.grounds import find_grounds
from service.lifecycle.in_force import FieldInForce, fields_in_force
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome
from tests.support.builders import at

ROOT = Ref("github:acme/app#45")


def declared(
    field: FieldName, value: str, day: int, channel: DeclarationChannel = "label", label: str = ""
) -> Declared:
    return Declared(ROOT, at(day), field, value, channel, label=label)


def fields(*own: LifecycleEvent) -> dict[str, FieldInForce]:
    grounds = find_grounds([Proposed(ROOT, at(1)), *own], ())
    found = fields_in_force(grounds, *classify(grounds.conclusion, grounds.declarations))
    assert len({one.field for one in found}) == len(found)
    return {one.field: one for one in found}


def test_a_label_overrules_an_inferred_team_and_both_statements_are_named() -> None:
    by_label, inferred = declared("team", "search", 3), declared("team", "acme/app", 4, "derived")
    team = fields(inferred, by_label)["team"]
    assert (team.value, team.statement and team.statement.event) == ("search", by_label)
    assert [one.event for one in team.overruled] == [inferred]


def test_a_statement_of_the_same_value_on_another_channel_is_not_overruled() -> None:
    assert not fields(declared("team", "search", 3), declared("team", "search", 4, "derived"))["team"].overruled


def test_a_withdrawn_value_is_neither_in_force_nor_overruled() -> None:
    withdrawn = Withdrawn(ROOT, at(4), "team", "ads", "label")
    assert "team" not in fields(declared("team", "ads", 3), withdrawn)


def test_a_declared_outcome_overrules_the_outcome_of_the_conclusion() -> None:
    merged = Concluded(ROOT, at(5), Outcome.WORKED)
    by_label = declared("outcome", "failed", 4)
    outcome = fields(merged, by_label)["outcome"]
    assert (outcome.value, outcome.statement and outcome.statement.event) == ("failed", by_label)
    assert [one.event for one in outcome.overruled] == [merged]


def test_without_a_declaration_the_conclusion_itself_states_the_outcome() -> None:
    merged = Concluded(ROOT, at(5), Outcome.WORKED)
    outcome = fields(merged)["outcome"]
    assert (outcome.value, outcome.statement and outcome.statement.event) == ("worked", merged)


def test_a_failure_category_alone_states_that_the_outcome_is_failed() -> None:
    category = declared("failure_category", "basic", 4)
    found = fields(Concluded(ROOT, at(5)), category)
    assert (found["outcome"].value, found["failure_category"].value) == ("failed", "basic")
    assert found["outcome"].statement is not None
    assert found["outcome"].statement.event == category


def test_an_undeclared_outcome_and_an_unclassified_failure_have_no_statement() -> None:
    undeclared = fields(Concluded(ROOT, at(5)))["outcome"]
    unclassified = fields(Concluded(ROOT, at(5), Outcome.FAILED))["failure_category"]
    assert (undeclared.value, undeclared.statement) == ("undeclared", None)
    assert (unclassified.value, unclassified.statement) == ("unclassified", None)


def test_a_declared_outcome_waits_for_the_conclusion() -> None:
    outcome = fields(declared("outcome", "failed", 4))["outcome"]
    assert (outcome.value, outcome.waits) == ("failed", True)
    assert not fields(declared("outcome", "failed", 4), Concluded(ROOT, at(5)))["outcome"].waits


def test_a_category_of_an_experiment_that_did_not_fail_is_not_in_force() -> None:
    found = fields(declared("failure_category", "basic", 4), declared("outcome", "worked", 4), Concluded(ROOT, at(5)))
    assert "failure_category" not in found


def test_a_comment_from_before_a_reopening_is_not_in_force_for_the_next_conclusion() -> None:
    commented = declared("outcome", "failed", 4, "comment")
    again = (Concluded(ROOT, at(4)), Reopened(ROOT, at(5)), Concluded(ROOT, at(6)))
    assert fields(commented, *again)["outcome"].statement is None
    assert fields(declared("outcome", "failed", 4), *again)["outcome"].statement is not None


def test_a_repeated_title_counts_since_it_was_first_given_and_a_repeated_comment_since_the_last() -> None:
    titles = [declared("title", "Cache", day, "item") for day in (3, 5)]
    comments = [declared("team", "search", day, "comment") for day in (3, 5)]
    found = fields(*titles, *comments)
    assert [one.statement and one.statement.since for one in (found["title"], found["team"])] == [at(3), at(5)]
