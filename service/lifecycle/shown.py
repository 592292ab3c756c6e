"""Shown states: a state that a payload shows ends what earlier payloads stated and what this state contradicts.

Senders lose deliveries and do not repeat them, so the delivery that reports the removal of a label or a reopening may
be missing. Every later payload shows the result. A report at the same time as a state wins over this state: times are
exact to the second only, so payloads with the same time may show different states.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from hashlib import sha256
from typing import TypeAlias, TypeVar

from service.lifecycle.events import Concluded, Declaration, Declared, LifecycleEvent, Reopened, Shown, Withdrawn

_DUPLICATE = "duplicate"
"""The reason of an exclusion that ends when the item is open again."""
_LENGTH = 12
_Key = TypeVar("_Key", bound=Hashable)
_ByTime: TypeAlias = Mapping[datetime, frozenset[str]]


@lru_cache(maxsize=4096)
def key_of(name: str) -> str:
    """The key by which a state names a label or a type. Names that differ only in case have the same key."""
    return sha256(name.lower().encode("utf-8", "surrogatepass")).hexdigest()[:_LENGTH]


def lost_withdrawals(declarations: Sequence[Declaration], others: Sequence[LifecycleEvent]) -> list[Withdrawn]:
    """The withdrawals that states imply and that no delivery reports.

    Args:
        declarations: the declarations about one subject.
        others: the other events of this subject.
    """
    states = [event for event in others if isinstance(event, Shown)]
    if not states:
        return []
    return [
        *_lost_labels(declarations, states),
        *_lost_types(declarations, states),
        *_lost_duplicates(declarations, others),
    ]


def first_absence(
    label: str, reported: Collection[datetime], present: Iterable[datetime], states: Iterable[Shown]
) -> datetime | None:
    """The time of the first state without a label since the label was last there; None if no state lacks it since.

    Args:
        reported: the times of everything that is stated about the label.
        present: the times at which the label was there.
    """
    listed, key = _by_time(states, lambda state: state.labels), key_of(label)
    return _ended((at for at in sorted(listed) if key not in listed[at] and at not in reported), present)


def reopenings(events: Iterable[LifecycleEvent]) -> list[datetime]:
    """The times of states that show an item open again although no delivery reports its reopening.

    The item was closed, or a ticket was in a status that concluded it, and the state has another status. Only a
    concluded item can be open again.
    """
    told = [event for event in events if isinstance(event, Concluded | Reopened | Shown)]
    if not any(isinstance(event, Concluded) for event in told):
        return []
    by_time: defaultdict[datetime, list[Concluded | Reopened | Shown]] = defaultdict(list)
    for event in told:
        if not isinstance(event, Shown) or event.is_open is not None:
            by_time[event.occurred_at].append(event)
    found: list[datetime] = []
    closed, final = False, frozenset[str]()
    for at, changes in sorted(by_time.items()):
        states = [one for one in changes if isinstance(one, Shown)]
        statuses = frozenset(state.status for state in states if state.status)
        if any(not state.is_open for state in states):
            closed = True
        elif any(isinstance(one, Reopened) and not one.left for one in changes):
            closed, final = False, frozenset()
        if any(isinstance(one, Concluded) for one in changes):
            by_status = any(isinstance(one, Concluded) and one.status for one in changes)
            final |= statuses if by_status else frozenset()
        elif states and all(state.is_open for state in states) and (closed or (final and not statuses <= final)):
            found.append(at)
            closed, final = False, frozenset()
    return found


def _lost_labels(declarations: Iterable[Declaration], states: Iterable[Shown]) -> Iterator[Withdrawn]:
    # Most items keep their labels, so look first for labels that a state lacks.
    lists = {state.labels for state in states if state.labels is not None}
    labels = {one.label for one in declarations if one.channel == "label" and one.label}
    lost = {label: key for label in labels if not all((key := key_of(label)) in listed for listed in lists)}
    if not lost:
        return
    listed = _by_time(states, lambda state: state.labels)
    labelled = (one for one in declarations if one.channel == "label" and one.label in lost)
    for (field, value, label), group in _grouped(labelled, lambda one: (one.field, one.value, one.label)).items():
        reported = {one.occurred_at for one in group}
        absent = (at for at in sorted(listed) if lost[label] not in listed[at] and at not in reported)
        if ended := _ended(absent, _declared(group)):
            yield Withdrawn(group[0].subject, ended, field, value, "label", label)


def _lost_types(declarations: Iterable[Declaration], states: Iterable[Shown]) -> Iterator[Withdrawn]:
    if len({state.item_type for state in states} - {None}) <= 1:
        return
    types = _by_time(states, _type_of)
    typed = (one for one in declarations if one.channel == "type")
    for (field, value), group in _grouped(typed, lambda one: (one.field, one.value)).items():
        # A declaration does not name its type, but the state at the same time does.
        declaring = frozenset[str]().union(*(types.get(at, ()) for at in _declared(group)))
        reported = {one.occurred_at for one in group}
        absent = (at for at in sorted(types) if declaring and declaring.isdisjoint(types[at]) and at not in reported)
        if ended := _ended(absent, _declared(group)):
            yield Withdrawn(group[0].subject, ended, field, value, "type")


def _lost_duplicates(declarations: Iterable[Declaration], others: Iterable[LifecycleEvent]) -> Iterator[Withdrawn]:
    stated = [one for one in declarations if (one.field, one.value, one.channel) == ("excluded", _DUPLICATE, "item")]
    present = _declared(stated)
    if present and (ended := _ended(reopenings(others), present)):
        yield Withdrawn(stated[0].subject, ended, "excluded", _DUPLICATE, "item")


def _ended(absent: Iterable[datetime], present: Iterable[datetime]) -> datetime | None:
    """The first absence after the last presence that an absence follows.

    Args:
        absent: the times of absences, in order.
    """
    missing = list(absent)
    if not missing or not (before := [at for at in present if at < missing[-1]]):
        return None
    return missing[bisect_right(missing, max(before))]


def _by_time(states: Iterable[Shown], read: Callable[[Shown], Collection[str] | None]) -> _ByTime:
    """The labels or types that the states show, by time. States that omit them are left out, and equal times united."""
    found: dict[datetime, frozenset[str]] = {}
    for state in states:
        if (known := read(state)) is not None:
            found[state.occurred_at] = found.get(state.occurred_at, frozenset()).union(known)
    return found


def _type_of(state: Shown) -> Collection[str] | None:
    return None if state.item_type is None else (state.item_type,)


def _declared(group: Iterable[Declaration]) -> list[datetime]:
    return [one.occurred_at for one in group if isinstance(one, Declared)]


def _grouped(declarations: Iterable[Declaration], key: Callable[[Declaration], _Key]) -> dict[_Key, list[Declaration]]:
    groups: defaultdict[_Key, list[Declaration]] = defaultdict(list)
    for one in declarations:
        groups[key(one)].append(one)
    return groups
