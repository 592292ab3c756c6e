"""The experiment: what a root's own events and its evidence fold into."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from uuid import UUID

from service.lifecycle.codec import event_id, kind_of
from service.lifecycle.declarations import CurrentValue, current_values, declarations_in, latest, value_of
from service.lifecycle.events import (
    Active,
    Concluded,
    Declaration,
    Declared,
    LifecycleEvent,
    Proposed,
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
    """An experiment was taken up again: something that is marked itself came to serve it.

    Attributes:
        at: the idea of what serves it.
        concluded: whether the experiment was concluded just before.
        quiet: how long before that its last activity was.
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
        own: all events on it.
        evidence: all events on the subjects that serve it.
    """

    own: Collection[LifecycleEvent]
    evidence: Collection[LifecycleEvent] = ()


@dataclass(frozen=True, slots=True)
class Experiment:
    """One loop, from idea to answer. Instants are UTC; an instant that is not known is None."""

    root: Ref
    title: str
    url: str
    team: str
    """Lower-cased; empty where nothing names one."""
    risk: Risk | None
    idea_at: datetime
    idea_inferred: bool
    """True where no statement proposed it, and the idea is dated by the earliest event."""
    started_at: datetime | None
    first_signal_at: datetime | None
    concluded_at: datetime | None
    outcome: Outcome | None
    """None while the loop is open."""
    failure_category: FailureCategory | None
    """None unless the outcome is *failed*."""
    shared_at: datetime | None
    shipped_at: datetime | None
    last_activity_at: datetime
    restarts: tuple[Restart, ...] = ()
    """Each time that it was taken up again, in order of time."""

    @property
    def id(self) -> UUID:
        return experiment_id(self.root)

    @property
    def title_key(self) -> UUID | None:
        """What experiments of the same title have in common."""
        return title_key(self.title)

    @property
    def state(self) -> State:
        if self.concluded_at is not None:
            return State.CONCLUDED
        return State.RUNNING if self.started_at is not None else State.PROPOSED

    @property
    def instants(self) -> tuple[datetime, ...]:
        """The instants of the loop that are known."""
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
        """Concluded with an outcome other than *abandoned*, *undeclared* included."""
        return self.outcome is not None and self.outcome is not Outcome.ABANDONED


@dataclass(frozen=True, slots=True)
class _Conclusion:
    concluded: Concluded | None
    reopened_at: datetime | None


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
    """The experiment that all these events tell of, whatever the order in which they are given.

    Of the evidence only starts, signals, shipments, signs of life and commands in comments count: a merged change does
    not conclude the item that it serves.

    Args:
        root: the experiment's own subject; that it is one is the caller's to know (`is_marked`, `Graph.is_root`).
        own: all events on the root; at least one.
        evidence: all events on the subjects that serve it.
        attempts: those of the subjects that are marked themselves, each with what serves it; their events are among the
            evidence.
    """
    heard = [event for event in evidence if applies_to_experiment(event, own=False)]
    of_the_root = {*own, *filter(_is_command, heard)}
    counted = _in_order({*of_the_root, *heard})
    mine = [event for event in counted if event in of_the_root]
    declarations = declarations_in(mine)
    ideas = [event.occurred_at for event in mine if isinstance(event, Proposed)]
    idea_at = ideas[0] if ideas else _inferred_idea(counted)
    conclusion = _conclusion(mine)
    concluded_at = conclusion.concluded.occurred_at if conclusion.concluded else None
    outcome, category = _verdict(conclusion, declarations)
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
        started_at=_started_at(mine, counted, ideas),
        first_signal_at=_first_signal_at(counted, idea_at, concluded_at),
        concluded_at=concluded_at,
        outcome=outcome,
        failure_category=category,
        shared_at=shared.since if shared else None,
        shipped_at=_shipped_at(counted, idea_at),
        last_activity_at=counted[-1].occurred_at,
        restarts=_restarts(attempts, counted, of_the_root, idea_at),
    )


def applies_to_experiment(event: LifecycleEvent, *, own: bool) -> bool:
    """Whether an event is heard by the experiment: all of the root's own are, of its evidence only some."""
    return own or _is_command(event) or _is_fact(event)


def _is_command(event: LifecycleEvent) -> bool:
    """Whether an event was said by a command in a comment, which holds for the experiment wherever it stands."""
    match event:
        case Started(commanded=commanded) | Concluded(commanded=commanded) | Reopened(commanded=commanded):
            return commanded
        case Declared(channel=channel) | Withdrawn(channel=channel):
            return channel == "comment"
        case _:
            return False


def _is_fact(event: LifecycleEvent) -> bool:
    """Whether an event on evidence tells something about the experiment that the evidence serves."""
    return isinstance(event, Started | Signalled | Shipped | Active) and not _is_command(event)


def _inferred_idea(counted: Sequence[LifecycleEvent]) -> datetime:
    """The earliest event; a sign of life, which is dated to the beginning of its day, only where there is no other."""
    dated = [event for event in counted if not isinstance(event, Active)] or counted
    return dated[0].occurred_at


def _in_order(events: Collection[LifecycleEvent]) -> list[LifecycleEvent]:
    """Events by time, kind and id; ids are worked out only where time and kind leave the order open."""
    ordered: list[LifecycleEvent] = []
    placed = sorted(((_order(event), event) for event in events), key=itemgetter(0))
    for _, at_once in groupby(placed, key=itemgetter(0)):
        tied = [event for _, event in at_once]
        ordered += sorted(tied, key=lambda event: event_id(event).int) if len(tied) > 1 else tied
    return ordered


def _order(event: LifecycleEvent) -> tuple[datetime, str, bool]:
    # A reason for closing can be given afterwards, at the time of the closing: what says how it went goes first.
    silent = isinstance(event, Concluded) and event.outcome is None
    return event.occurred_at, kind_of(event), silent


def _started_at(
    mine: Sequence[LifecycleEvent], counted: Sequence[LifecycleEvent], ideas: Sequence[datetime]
) -> datetime | None:
    # A change is proposed and started by one act; that it was picked up after no time at all is no finding.
    by_proposal = {event for event in mine if isinstance(event, Started) and event.occurred_at in ideas[:1]}
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


def _conclusion(mine: Sequence[LifecycleEvent]) -> _Conclusion:
    """The conclusion in force and the last reopening that had something to reopen."""
    concluded: Concluded | None = None
    reopened_at: datetime | None = None
    # Since the loop was last open: the statuses whose entering concluded it.
    entered: set[str] = set()
    for event in mine:
        match event:
            case Concluded(status=status):
                concluded = concluded or event
                entered.add(status)
            case Reopened(left=left) if concluded and (not left or left in entered):
                concluded, reopened_at = None, event.occurred_at
                entered.clear()
            case _:
                pass
    return _Conclusion(concluded, reopened_at)


def _restarts(
    attempts: Iterable[Attempt],
    counted: Sequence[LifecycleEvent],
    of_the_root: Collection[LifecycleEvent],
    idea: datetime,
) -> tuple[Restart, ...]:
    found: list[Restart] = []
    for attempt in attempts:
        ideas = [event.occurred_at for event in attempt.own if isinstance(event, Proposed)]
        if not ideas or min(ideas) <= idea:
            continue
        its = {*attempt.own, *attempt.evidence}
        before = [event for event in counted if _is_over(event, min(ideas)) and event not in its]
        concluded = _conclusion([event for event in before if event in of_the_root]).concluded is not None
        # What nobody had begun is begun now, and not again.
        if concluded or any(isinstance(event, Started | Signalled | Concluded) for event in before):
            found.append(Restart(min(ideas), concluded, min(ideas) - before[-1].occurred_at))
    return tuple(sorted(found))


def _is_over(event: LifecycleEvent, before: datetime) -> bool:
    # A sign of life tells its day: of one on the very day nobody knows whether it came before.
    return event.occurred_at + (_DAY if isinstance(event, Active) else timedelta()) <= before


def _verdict(
    conclusion: _Conclusion, declarations: Sequence[Declaration]
) -> tuple[Outcome | None, FailureCategory | None]:
    if conclusion.concluded is None:
        return None, None
    declared = _since_reopening(current_values(declarations, "outcome"), conclusion.reopened_at)
    categorised = _since_reopening(current_values(declarations, "failure_category"), conclusion.reopened_at)
    if declared:
        outcome = Outcome(declared.value)
    elif conclusion.concluded.outcome is not None:
        outcome = conclusion.concluded.outcome
    else:
        outcome = Outcome.FAILED if categorised else Outcome.UNDECLARED
    if outcome is not Outcome.FAILED:
        return outcome, None
    return outcome, FailureCategory(categorised.value) if categorised else FailureCategory.UNCLASSIFIED


def _since_reopening(values: Sequence[CurrentValue], reopened_at: datetime | None) -> CurrentValue | None:
    """The latest value, without what was declared before the loop was opened again: only labels stand, as they hang."""
    return latest(
        [value for value in values if reopened_at is None or value.channel == "label" or value.since > reopened_at]
    )
