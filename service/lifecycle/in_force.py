"""The fields of an experiment: which statement is in force, and which statements it overrules."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from service.lifecycle.conclusion import values_since_reopening
from service.lifecycle.declarations import CurrentValue, current_values, latest, newest_team
from service.lifecycle.events import Concluded, Declaration, Declared, LifecycleEvent
from service.lifecycle.fields import FieldName
from service.lifecycle.grounds import Grounds
from service.lifecycle.taxonomy import FailureCategory, Outcome

_INDEPENDENT: Sequence[FieldName] = ("experiment", "team", "risk", "shared", "title", "url")


@dataclass(frozen=True, slots=True)
class FieldStatement:
    """A value that an event states for a field.

    Attributes:
        event: the event. For the outcome this is a declaration of the outcome or of the failure category, or the
            conclusion itself.
        since: the time from which the value counts.
    """

    value: str
    event: LifecycleEvent
    since: datetime


@dataclass(frozen=True, slots=True)
class FieldInForce:
    """A field of an experiment.

    Attributes:
        value: the value; empty if the field has none. The outcome can be *undeclared*, the category *unclassified*.
        statement: the statement that gives the value, or None if no statement does.
        overruled: the current statements of other values, the latest first.
        waits: whether the statement takes effect only when the experiment is concluded.
    """

    field: FieldName
    value: str
    statement: FieldStatement | None = None
    overruled: Sequence[FieldStatement] = ()
    waits: bool = False


def fields_in_force(
    grounds: Grounds,
    outcome: Outcome | None,
    category: FailureCategory | None,
    renamed_teams: Mapping[str, str] = MappingProxyType({}),
) -> list[FieldInForce]:
    """The fields of an experiment, with the statements that are in force.

    The outcome and the failure category come first. A field without a value is left out, except an outcome that is
    undeclared and a category that is unclassified.

    Args:
        outcome: the outcome of the experiment, or None while it is open.
        category: the failure category, or None unless the outcome is *failed*.
        renamed_teams: the newest name of each derived team that has a former name of its project.
    """
    independent = [
        _in_force(field, newest_team(value, renamed_teams), value, values, grounds.declarations)
        for field in _INDEPENDENT
        if (value := latest(values := current_values(grounds.declarations, field)))
    ]
    return [*_outcome(grounds, outcome), *_category(grounds, outcome, category), *independent]


def _outcome(grounds: Grounds, outcome: Outcome | None) -> list[FieldInForce]:
    declared = values_since_reopening(grounds.conclusion, grounds.declarations, "outcome")
    stated = latest(declared)
    concluded = grounds.conclusion.concluded
    if concluded is None or outcome is None:
        return [_waiting("outcome", stated, grounds.declarations)] if stated else []
    by_conclusion = _stated_by(concluded)
    if stated:
        found = _in_force("outcome", outcome, stated, declared, grounds.declarations)
        # A command that concludes also declares its outcome: name this statement once.
        stated_twice = {(one.value, one.since) for one in found.overruled}
        others = [one for one in by_conclusion if one.value != outcome and (one.value, one.since) not in stated_twice]
        return [FieldInForce("outcome", outcome, found.statement, [*found.overruled, *others])]
    category = latest(values_since_reopening(grounds.conclusion, grounds.declarations, "failure_category"))
    implied = [_statement("failure_category", category, grounds.declarations)] if category else []
    return [FieldInForce("outcome", outcome, next(iter([*by_conclusion, *implied]), None))]


def _category(grounds: Grounds, outcome: Outcome | None, category: FailureCategory | None) -> list[FieldInForce]:
    declared = values_since_reopening(grounds.conclusion, grounds.declarations, "failure_category")
    stated = latest(declared)
    if outcome is None:
        return [_waiting("failure_category", stated, grounds.declarations)] if stated else []
    if category is None:
        return []
    if stated is None:
        return [FieldInForce("failure_category", category)]
    return [_in_force("failure_category", category, stated, declared, grounds.declarations)]


def _stated_by(concluded: Concluded) -> list[FieldStatement]:
    return [FieldStatement(concluded.outcome, concluded, concluded.occurred_at)] if concluded.outcome else []


def _waiting(field: FieldName, value: CurrentValue, declarations: Sequence[Declaration]) -> FieldInForce:
    return FieldInForce(field, value.value, _statement(field, value, declarations), waits=True)


def _in_force(
    field: FieldName,
    shown: str,
    value: CurrentValue,
    values: Sequence[CurrentValue],
    declarations: Sequence[Declaration],
) -> FieldInForce:
    others = sorted((other for other in values if other.value != value.value), key=lambda other: other.since)
    overruled = [_statement(field, other, declarations) for other in reversed(others)]
    return FieldInForce(field, shown, _statement(field, value, declarations), overruled)


def _statement(field: FieldName, value: CurrentValue, declarations: Sequence[Declaration]) -> FieldStatement:
    """The declaration that made a value current."""
    # Providers repeat what an item says in every delivery. A person who repeats a value renews it.
    since = value.since if value.channel in ("label", "comment", "api") else value.first
    made = [
        declaration
        for declaration in declarations
        if isinstance(declaration, Declared)
        and (declaration.field, declaration.value, declaration.channel) == (field, value.value, value.channel)
    ]
    event = next((one for one in made if one.occurred_at == since), made[0])
    return FieldStatement(value.value, event, since)
