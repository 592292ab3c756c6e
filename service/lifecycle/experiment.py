"""The experiment: the result of folding the events on a root and on its evidence."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from uuid import UUID

from service.lifecycle.codec import event_id, kind_of
from service.lifecycle.conclusion import classify, find_conclusion
from service.lifecycle.declarations import current_values, declarations_in, latest, value_of
from service.lifecycle.events import (
    Active,
    Concluded,
    Declared,
    LifecycleEvent,
    Proposed,
    Refused,
    Reopened,
    Shipped,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.references import Ref, experiment_id
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk, State
from service.lifecycle.titles import title_key

_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, order=True)
class Restart:
    """A restart of an experiment: another marked subject began to serve it.

    Attributes:
        at: the time of the other subject's idea.
        concluded: whether the experiment was concluded at the time of the restart.
        quiet: how long the experiment had had no activity when it restarted.
    """

    at: datetime
    concluded: bool
    quiet: timedelta

    @property
    def quiet_seconds(self) -> float:
        return self.quiet.total_seconds()


@dataclass(frozen=True, slots=True)
class Attempt:
    """A marked subject that serves an experiment.

    Attributes:
        own: all events on the subject.
        evidence: all events on the subjects that serve the marked subject.
    """

    own: Collection[LifecycleEvent]
    evidence: Collection[LifecycleEvent] = ()


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment, from idea to answer. Instants are UTC; an unknown instant is None."""

    root: Ref
    title: str
    url: str
    team: str
    """The team's name in lower case; empty if no event names a team."""
    risk: Risk | None
    idea_at: datetime
    idea_inferred: bool
    """Whether `idea_at` is only the time of the earliest event, because no event proposed the experiment."""
    started_at: datetime | None
    first_signal_at: datetime | None
    concluded_at: datetime | None
    outcome: Outcome | None
    """The outcome is None while the experiment is open."""
    failure_category: FailureCategory | None
    """The category is None unless the outcome is *failed*."""
    shared_at: datetime | None
    shipped_at: datetime | None
    last_activity_at: datetime
    restarts: tuple[Restart, ...] = ()
    """The restarts, in order of time."""

    @property
    def id(self) -> UUID:
        return experiment_id(self.root)

    @property
    def title_key(self) -> UUID | None:
        """The key that experiments with equal titles share."""
        return title_key(self.title)

    @property
    def state(self) -> State:
        if self.concluded_at is not None:
            return State.CONCLUDED
        return State.RUNNING if self.started_at is not None else State.PROPOSED

    @property
    def instants(self) -> tuple[datetime, ...]:
        """The experiment's known instants, without None."""
        known = (
            self.idea_at,
            self.started_at,
            self.first_signal_at,
            self.concluded_at,
            self.shared_at,
            self.shipped_at,
        )
        return tuple(instant for instant in known if instant is not None)

    @property
    def answered(self) -> bool:
        """Whether the experiment was concluded and not abandoned. The outcome *undeclared* counts as an answer."""
        return self.outcome is not None and self.outcome is not Outcome.ABANDONED


def is_marked(own: Iterable[LifecycleEvent]) -> bool:
    """Whether a subject's own events mark it as an experiment that is not excluded."""
    declarations = declarations_in(own)
    return bool(current_values(declarations, "experiment")) and not current_values(declarations, "excluded")


def fold(
    root: Ref,
    own: Iterable[LifecycleEvent],
    evidence: Iterable[LifecycleEvent],
    attempts: Iterable[Attempt] = (),
) -> Experiment:
    """Fold events into an experiment. The order of the events does not matter.

    An event on evidence counts only if it is a start, a result, a shipment, other activity, or a command in a comment.
    For example, merging a change does not conclude the item that the change serves.

    Args:
        root: the experiment's own subject; the caller checks that it is a root (`is_marked`, `Graph.is_root`).
        own: all events on the root; at least one.
        evidence: all events on the subjects that serve the root.
        attempts: the marked subjects that serve the root; `evidence` contains their events too.
    """
    applicable = [event for event in evidence if applies_to_experiment(event, own=False)]
    root_events = {*_effective(own), *filter(_is_command, applicable)}
    counted = _in_order({*root_events, *applicable})
    decisive = [event for event in counted if event in root_events]
    declarations = declarations_in(decisive)
    ideas = [event.occurred_at for event in decisive if isinstance(event, Proposed)]
    idea_at = ideas[0] if ideas else _inferred_idea(counted)
    conclusion = find_conclusion(decisive)
    concluded_at = conclusion.concluded.occurred_at if conclusion.concluded else None
    outcome, category = classify(conclusion, declarations)
    shared = latest(current_values(declarations, "shared"))
    risk = value_of(declarations, "risk")
    return Experiment(
        root=root,
        title=value_of(declarations, "title"),
        url=value_of(declarations, "url"),
        team=value_of(declarations, "team"),
        risk=Risk(risk) if risk else None,
        idea_at=idea_at,
        idea_inferred=not ideas,
        started_at=_started_at(decisive, counted, ideas),
        first_signal_at=_first_signal_at(counted, idea_at, concluded_at),
        concluded_at=concluded_at,
        outcome=outcome,
        failure_category=category,
        shared_at=shared.since if shared else None,
        shipped_at=_shipped_at(counted, idea_at),
        last_activity_at=counted[-1].occurred_at,
        restarts=_restarts(attempts, counted, root_events, idea_at),
    )


def applies_to_experiment(event: LifecycleEvent, *, own: bool) -> bool:
    """Whether an event counts for the experiment.

    Every event on the root counts, except refusals. An event on evidence counts only if it is a command in a comment or
    a fact about the experiment.
    """
    return not isinstance(event, Refused) and (own or _is_command(event) or _is_fact(event))


def _effective(events: Iterable[LifecycleEvent]) -> list[LifecycleEvent]:
    return [event for event in events if not isinstance(event, Refused)]


def _is_command(event: LifecycleEvent) -> bool:
    """Whether an event comes from a command in a comment. Even a command on evidence applies to the experiment."""
    match event:
        case Started(commanded=commanded) | Concluded(commanded=commanded) | Reopened(commanded=commanded):
            return commanded
        case Declared(channel=channel) | Withdrawn(channel=channel):
            return channel == "comment"
        case _:
            return False


def _is_fact(event: LifecycleEvent) -> bool:
    """Whether an event on evidence, such as a result, is also a fact about the experiment that the evidence serves."""
    return isinstance(event, Started | Signalled | Shipped | Active) and not _is_command(event)


def _inferred_idea(counted: Sequence[LifecycleEvent]) -> datetime:
    """The time of the earliest event. `Active` events, which give only the day, count only if there are no others."""
    dated = [event for event in counted if not isinstance(event, Active)] or counted
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


def _started_at(
    decisive: Sequence[LifecycleEvent], counted: Sequence[LifecycleEvent], ideas: Sequence[datetime]
) -> datetime | None:
    # Opening a change proposes and starts the change at once. Ignore that start: a wait of zero would mean nothing.
    by_proposal = {event for event in decisive if isinstance(event, Started) and event.occurred_at in ideas[:1]}
    started = (
        event.occurred_at for event in counted if isinstance(event, Started | Signalled) and event not in by_proposal
    )
    return next(started, None)


def _first_signal_at(
    counted: Sequence[LifecycleEvent], idea_at: datetime, concluded_at: datetime | None
) -> datetime | None:
    for event in counted:
        if isinstance(event, Signalled) and event.occurred_at >= idea_at:
            return event.occurred_at if concluded_at is None or event.occurred_at <= concluded_at else None
    return None


def _shipped_at(counted: Sequence[LifecycleEvent], idea_at: datetime) -> datetime | None:
    shipped = (event.occurred_at for event in counted if isinstance(event, Shipped) and event.occurred_at >= idea_at)
    return next(shipped, None)


def _restarts(
    attempts: Iterable[Attempt],
    counted: Sequence[LifecycleEvent],
    root_events: Collection[LifecycleEvent],
    idea: datetime,
) -> tuple[Restart, ...]:
    restarts: list[Restart] = []
    for attempt in attempts:
        ideas = [event.occurred_at for event in attempt.own if isinstance(event, Proposed)]
        if not ideas or min(ideas) <= idea:
            continue
        attempt_events = {*attempt.own, *attempt.evidence}
        before = [event for event in counted if _ends_before(event, min(ideas)) and event not in attempt_events]
        concluded = find_conclusion([event for event in before if event in root_events]).concluded is not None
        # If the experiment had not started before the attempt, the attempt starts the experiment: this is no restart.
        if concluded or any(isinstance(event, Started | Signalled | Concluded) for event in before):
            restarts.append(Restart(min(ideas), concluded, min(ideas) - before[-1].occurred_at))
    return tuple(sorted(restarts))


def _ends_before(event: LifecycleEvent, at: datetime) -> bool:
    # An `Active` event has only a date. Its time of day is unknown, so assume the end of the day.
    return event.occurred_at + (_DAY if isinstance(event, Active) else timedelta()) <= at
