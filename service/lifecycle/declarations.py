"""Declarations: the current values of each field, and the time from which each value counts."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from service.lifecycle.events import Declaration, Declared, LifecycleEvent, Withdrawn
from service.lifecycle.fields import FieldName
from service.lifecycle.shown import lost_withdrawals
from service.lifecycle.teams import fold_team


@dataclass(frozen=True, slots=True)
class CurrentValue:
    """A value that was declared and has not been withdrawn.

    Attributes:
        since: on channel *label*, the time of the first declaration since the last withdrawal. On every other channel,
            the time of the last declaration, because repeating a value renews it.
        first: the time of the first declaration since the last withdrawal.
    """

    value: str
    channel: str
    since: datetime
    first: datetime


def declarations_in(events: Iterable[LifecycleEvent]) -> list[Declaration]:
    """The events about one subject that are declarations, with the withdrawals that shown states imply."""
    declarations: list[Declaration] = []
    others: list[LifecycleEvent] = []
    for event in events:
        if isinstance(event, Declared | Withdrawn):
            declarations.append(event)
        else:
            others.append(event)
    declarations += lost_withdrawals(declarations, others)
    return declarations


def value_of(declarations: Sequence[Declaration], field: FieldName) -> str:
    """The value of a field, or an empty text if the field has no value."""
    last = latest(current_values(declarations, field))
    return last.value if last else ""


def newest_team(value: CurrentValue, renamed: Mapping[str, str]) -> str:
    """The value; or, if it is derived and is the former name of a project that names a team, the project's newest name.

    Args:
        renamed: the newest name of each former name, which is written as `fold_team` writes teams.
    """
    return renamed.get(fold_team(value.value), value.value) if value.channel == "derived" else value.value


def latest(values: Sequence[CurrentValue]) -> CurrentValue | None:
    """The latest value. Values on channel *derived* count only if there are no others.

    Tie-break: the alphabetically first value.
    """
    stated = [value for value in values if value.channel != "derived"] or values
    return max(sorted(stated, key=lambda value: value.value), key=lambda value: value.since, default=None)


def current_values(
    declarations: Iterable[Declaration], field: FieldName, *, several: bool = False
) -> list[CurrentValue]:
    """Every current value of a field.

    Args:
        several: whether a new value adds to the old ones, as a label does, instead of replacing them.
    """
    by_channel: defaultdict[str, defaultdict[str, list[Declaration]]] = defaultdict(lambda: defaultdict(list))
    for declaration in declarations:
        if declaration.field == field:
            by_channel[declaration.channel][declaration.value].append(declaration)
    current: list[CurrentValue] = []
    for channel, by_value in by_channel.items():
        # An item can have several labels at once; on every other channel a new value replaces the old one.
        values = by_value if several or channel == "label" else _last_declared(by_value)
        for value in values:
            standing = [_standing_since(channel, declarations) for declarations in _by_label(by_value[value])]
            if times := [times for times in standing if times]:
                first = min(map(min, times))
                renewed = min(map(max, times))
                current.append(CurrentValue(value, channel, first if channel == "label" else renewed, first))
    return current


def _by_label(declarations: Iterable[Declaration]) -> Iterable[Sequence[Declaration]]:
    """Group declarations by label. Declarations without a label form one group."""
    by_label: defaultdict[str, list[Declaration]] = defaultdict(list)
    for declaration in declarations:
        by_label[declaration.label].append(declaration)
    return by_label.values()


def _last_declared(by_value: Mapping[str, Sequence[Declaration]]) -> list[str]:
    """The value that was declared last, or no value if none was declared. Tie-break: the alphabetically first value."""
    declared = [
        (declaration.occurred_at, value)
        for value, declarations in sorted(by_value.items())
        for declaration in declarations
        if isinstance(declaration, Declared)
    ]
    return [max(declared, key=lambda timed: timed[0])[1]] if declared else []


def _standing_since(channel: str, declarations: Sequence[Declaration]) -> list[datetime]:
    """The times at which a value was declared since its last withdrawal.

    Declarations that are `overheard` date the value only if no other event since declares it.
    """
    declared: list[Declared] = []
    withdrawn: list[datetime] = []
    for declaration in declarations:
        match declaration:
            case Declared():
                declared.append(declaration)
            case Withdrawn():
                withdrawn.append(declaration.occurred_at)
            case _ as never:
                assert_never(never)
    last = max(withdrawn, default=None)
    standing = [one for one in declared if last is None or _outlasts(channel, one, last)]
    return [one.occurred_at for one in standing if not one.overheard] or [one.occurred_at for one in standing]


def _outlasts(channel: str, declared: Declared, withdrawn: datetime) -> bool:
    """Whether a declaration still counts after a withdrawal.

    Tie-break: if both have the same time, the declaration wins. There are two exceptions. An overheard declaration
    loses, because its payload only lists the label and does not report that the label was added. On channel `branch`
    the withdrawal wins: it means that a pull request was opened and replaces the branch.
    """
    if declared.occurred_at == withdrawn:
        return channel != "branch" and not declared.overheard
    return declared.occurred_at > withdrawn
