"""The grounds of an experiment: the events that decide its instants and the values of its fields."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from service.lifecycle.codec import event_id, kind_of
from service.lifecycle.conclusion import Conclusion, find_conclusion
from service.lifecycle.declarations import CurrentValue, current_values, declarations_in, latest
from service.lifecycle.events import (
    Active,
    Concluded,
    Declaration,
    LifecycleEvent,
    Proposed,
    Refused,
    Shipped,
    Shown,
    Signalled,
    Started,
)
from service.lifecycle.trust import is_command


@dataclass(frozen=True, slots=True)
class Grounds:
    """The events that decide an experiment.

    Attributes:
        counted: every event that counts for the experiment, in order of time.
        root_events: the events among `counted` that are on the root, or are commands in comments on its evidence.
        decisive: the events of `root_events`, in order of time.
        declarations: the declarations among `decisive`.
        proposed: the event that proposed the experiment, or None if no event proposed it.
        idea_at: the time of `proposed`, or the time of the earliest event.
        started: the event that started the experiment.
        conclusion: the current conclusion, and the last reopening.
        signalled: the first result.
        shared: the current declaration that the learning was shared.
        shipped: the event that reported the shipment.
    """

    counted: Sequence[LifecycleEvent]
    root_events: Collection[LifecycleEvent]
    decisive: Sequence[LifecycleEvent]
    declarations: Sequence[Declaration]
    proposed: Proposed | None
    idea_at: datetime
    started: Started | Signalled | None
    conclusion: Conclusion
    signalled: Signalled | None
    shared: CurrentValue | None
    shipped: Shipped | None


def find_grounds(own: Iterable[LifecycleEvent], evidence: Iterable[LifecycleEvent]) -> Grounds:
    """Find the events that decide an experiment. The order of the events does not matter.

    Args:
        own: all events on the root; at least one.
        evidence: all events on the subjects that serve the root.
    """
    applicable = [event for event in evidence if applies_to_experiment(event, own=False)]
    root_events = {*_effective(own), *filter(is_command, applicable)}
    counted = _in_order({*root_events, *applicable})
    decisive = [event for event in counted if event in root_events]
    declarations = declarations_in(decisive)
    proposed = next((event for event in decisive if isinstance(event, Proposed)), None)
    idea_at = proposed.occurred_at if proposed else _inferred_idea(counted)
    conclusion = find_conclusion(decisive)
    return Grounds(
        counted=counted,
        root_events=root_events,
        decisive=decisive,
        declarations=declarations,
        proposed=proposed,
        idea_at=idea_at,
        started=_find_start(decisive, counted, proposed),
        conclusion=conclusion,
        signalled=_find_first_signal(counted, idea_at, conclusion),
        shared=latest(current_values(declarations, "shared")),
        shipped=_find_shipment(counted, idea_at),
    )


def applies_to_experiment(event: LifecycleEvent, *, own: bool) -> bool:
    """Whether an event counts for the experiment.

    Every event on the root counts, except refusals. An event on evidence counts only if it is a command in a comment or
    a fact about the experiment.
    """
    return not isinstance(event, Refused) and (own or is_command(event) or _is_fact(event))


def _effective(events: Iterable[LifecycleEvent]) -> list[LifecycleEvent]:
    return [event for event in events if not isinstance(event, Refused)]


def _is_fact(event: LifecycleEvent) -> bool:
    """Whether an event on evidence, such as a result, is also a fact about the experiment that the evidence serves."""
    return isinstance(event, Started | Signalled | Shipped | Active) and not is_command(event)


def _inferred_idea(counted: Sequence[LifecycleEvent]) -> datetime:
    """The time of the earliest event. `Active` events, which give only the day, count only if there are no others."""
    dated = [event for event in counted if not isinstance(event, Active | Shown)] or counted
    return dated[0].occurred_at


def _in_order(events: Collection[LifecycleEvent]) -> list[LifecycleEvent]:
    """Sort events by time, kind and id. Ids are hashes and slow to compute, so compute them only to break ties."""
    ordered: list[LifecycleEvent] = []
    placed = sorted(((_order(event), event) for event in events), key=itemgetter(0))
    for _, at_once in groupby(placed, key=itemgetter(0)):
        tied = [event for _, event in at_once]
        ordered += sorted(tied, key=lambda event: event_id(event).int) if len(tied) > 1 else tied
    return ordered


def _order(event: LifecycleEvent) -> tuple[datetime, str, bool]:
    # A tracker may report in one delivery that an item was closed, and in a later delivery why. Each of the two
    # deliveries then has a `Concluded` event at the time of the closing. Sort the event with an outcome first, because
    # `find_conclusion` keeps the first event.
    undeclared = isinstance(event, Concluded) and event.outcome is None
    return event.occurred_at, kind_of(event), undeclared


def _find_start(
    decisive: Sequence[LifecycleEvent], counted: Sequence[LifecycleEvent], proposed: Proposed | None
) -> Started | Signalled | None:
    # Opening a change proposes and starts the change at once. Ignore that start: a wait of zero would mean nothing.
    idea_at = proposed.occurred_at if proposed else None
    by_proposal = {event for event in decisive if isinstance(event, Started) and event.occurred_at == idea_at}
    return next(
        (event for event in counted if isinstance(event, Started | Signalled) and event not in by_proposal), None
    )


def _find_first_signal(
    counted: Sequence[LifecycleEvent], idea_at: datetime, conclusion: Conclusion
) -> Signalled | None:
    concluded_at = conclusion.concluded.occurred_at if conclusion.concluded else None
    for event in counted:
        if isinstance(event, Signalled) and event.occurred_at >= idea_at:
            return event if concluded_at is None or event.occurred_at <= concluded_at else None
    return None


def _find_shipment(counted: Sequence[LifecycleEvent], idea_at: datetime) -> Shipped | None:
    return next((event for event in counted if isinstance(event, Shipped) and event.occurred_at >= idea_at), None)
