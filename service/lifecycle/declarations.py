"""Declarations: which of the values that were stated are in force, and since when."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from service.lifecycle.events import Declaration, Declared, LifecycleEvent, Withdrawn
from service.lifecycle.fields import FieldName


@dataclass(frozen=True, slots=True)
class CurrentValue:
    """A value that is stated and not taken back.

    Attributes:
        since: when it was stated first since it was taken back last, or, on a channel on which a repetition renews it,
            when it was repeated last.
        first: when it was stated first since it was taken back last.
    """

    value: str
    channel: str
    since: datetime
    first: datetime


def declarations_in(events: Iterable[LifecycleEvent]) -> list[Declaration]:
    """The declarations among events."""
    return [event for event in events if isinstance(event, Declaration)]


def value_of(declarations: Sequence[Declaration], field: FieldName) -> str:
    last = latest(current_values(declarations, field))
    return last.value if last else ""


def latest(values: Sequence[CurrentValue]) -> CurrentValue | None:
    """The value stated last, of two at once the alphabetically first; a derived one only where there is no other."""
    stated = [value for value in values if value.channel != "derived"] or values
    return max(sorted(stated, key=lambda value: value.value), key=lambda value: value.since, default=None)


def current_values(declarations: Iterable[Declaration], field: FieldName) -> list[CurrentValue]:
    """Every value of a field that is stated and not taken back, with the time since when it holds."""
    by_channel: defaultdict[str, defaultdict[str, list[Declaration]]] = defaultdict(lambda: defaultdict(list))
    for declaration in declarations:
        if declaration.field == field:
            by_channel[declaration.channel][declaration.value].append(declaration)
    found: list[CurrentValue] = []
    for channel, by_value in by_channel.items():
        # Several labels can hang side by side; on any other channel a new value replaces the old.
        values = by_value if channel == "label" else _stated_last(by_value)
        for value in values:
            standing = [_standing(channel, statements) for statements in _by_label(by_value[value])]
            if stated := [times for times in standing if times]:
                first = min(map(min, stated))
                renewed = min(map(max, stated))
                found.append(CurrentValue(value, channel, first if channel == "label" else renewed, first))
    return found


def _by_label(statements: Iterable[Declaration]) -> Iterable[Sequence[Declaration]]:
    """The statements of each label alone; those that no label made are together."""
    by_label: defaultdict[str, list[Declaration]] = defaultdict(list)
    for statement in statements:
        by_label[statement.label].append(statement)
    return by_label.values()


def _stated_last(by_value: Mapping[str, Sequence[Declaration]]) -> list[str]:
    """The value that was declared last, of two at once the alphabetically first; none where all was only withdrawn."""
    declared = [
        (statement.occurred_at, value)
        for value, statements in sorted(by_value.items())
        for statement in statements
        if isinstance(statement, Declared)
    ]
    return [max(declared, key=lambda stated: stated[0])[1]] if declared else []


def _standing(channel: str, statements: Sequence[Declaration]) -> list[datetime]:
    """When a value was stated on a channel since it was taken back last; empty where nobody stated it since."""
    named = [statement for statement in statements if not (isinstance(statement, Declared) and statement.overheard)]
    declared: list[datetime] = []
    withdrawn: list[datetime] = []
    for statement in named or statements:
        match statement:
            case Declared():
                declared.append(statement.occurred_at)
            case Withdrawn():
                withdrawn.append(statement.occurred_at)
            case _ as never:
                assert_never(never)
    # What is taken back and stated at one instant stands, but for a branch that gets its change: that is its successor.
    return [
        at for at in declared if not withdrawn or at > max(withdrawn) or (at == max(withdrawn) and channel != "branch")
    ]
