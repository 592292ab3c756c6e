"""Thinning: the events of a busy subject that decide its experiment.

A subject may get thousands of events that say the same: each delivery about an item repeats its title and its labels,
and a pipeline may run every minute. Only some of these events can change the experiment, so folds leave the others out.

A series consists of the events that say the same. The first and the last `_ENDS` events of a series stay, and the first
and the last event of each day. So a series of at most twice `_ENDS` events stays complete. Thinning is a function of
the set of events, and may be repeated: thinning a thinned set and some more events gives the same set as thinning all
events at once. So neither the order of the events nor the time of thinning changes an experiment.
"""

from collections.abc import Collection, Iterator
from dataclasses import fields
from datetime import UTC, datetime
from itertools import groupby

from service.lifecycle.codec import KINDS
from service.lifecycle.events import Declared, LifecycleEvent, Refused, Shown, Withdrawn

_ENDS = 50
MOST_UNTHINNED = 2 * _ENDS
"""The events of a subject that has at most this many are not thinned."""
# A new value of these fields replaces the old one, and there may be any number of values.
_TEXTS = frozenset({"title", "url"})
_VALUE = frozenset({"value"})
_IGNORED = frozenset({"subject", "occurred_at", "reason"})
_STATED = {kind: [one.name for one in fields(kind) if one.name not in _IGNORED] for kind in KINDS.values()}


def thin(events: Collection[LifecycleEvent]) -> Collection[LifecycleEvent]:
    """The events of one subject without those that can hardly change an experiment.

    A day of a busy series keeps only its first and its last event. Some times of an experiment come from the event just
    before or just after another event, such as the start or a restart of the experiment. If that event is removed, the
    time comes from another event of the same day instead, so it changes by less than a day.
    """
    if len(events) <= MOST_UNTHINNED:
        return events
    series: dict[tuple[object, ...], list[LifecycleEvent]] = {}
    for event in events:
        series.setdefault(_series_of(event), []).append(event)
    return [event for one in series.values() for event in (one if len(one) <= MOST_UNTHINNED else _thinned(one))]


def _thinned(series: list[LifecycleEvent]) -> Iterator[LifecycleEvent]:
    ordered = sorted(series, key=_order)
    yield from ordered[:_ENDS]
    days = groupby(range(_ENDS, len(ordered) - _ENDS), key=lambda place: _day(ordered[place].occurred_at))
    for _, places in days:
        first, *others = places
        yield from (ordered[first], *(ordered[last] for last in others[-1:]))
    yield from ordered[-_ENDS:]


def _day(at: datetime) -> int:
    return at.astimezone(UTC).toordinal()


def _order(event: LifecycleEvent) -> tuple[datetime, str]:
    """The key that puts the events of a series into a total order."""
    match event:
        case Declared(value=text) | Withdrawn(value=text) | Refused(reason=text):
            return event.occurred_at, text
        case Shown(labels=labels, item_type=item_type, status=status):
            return event.occurred_at, f"{labels} {item_type} {status}"
        case _:
            return event.occurred_at, ""


def _series_of(event: LifecycleEvent) -> tuple[object, ...]:
    """The statement of an event, without its time."""
    if isinstance(event, Shown):
        # Each state replaces the earlier states that tell the same things.
        return Shown, event.is_open, event.labels is None, event.item_type is None, not event.status
    repeated = isinstance(event, Declared | Withdrawn) and event.field in _TEXTS
    left_out = _VALUE if repeated else ()
    stated = (getattr(event, name) for name in _STATED[type(event)] if name not in left_out)
    return (type(event), *stated)
