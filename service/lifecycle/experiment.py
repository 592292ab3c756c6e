"""The experiment: the result of folding the events on a root and on its evidence."""

from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from uuid import UUID

from service.lifecycle.conclusion import classify, find_conclusion
from service.lifecycle.declarations import CurrentValue, current_values, declarations_in, latest, newest_team, value_of
from service.lifecycle.events import Active, Concluded, Declaration, LifecycleEvent, Proposed, Signalled, Started
from service.lifecycle.grounds import Grounds, find_grounds
from service.lifecycle.references import Ref, experiment_id
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk, State
from service.lifecycle.teams import fold_team
from service.lifecycle.titles import title_key
from service.lifecycle.trust import is_outsiders

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
        contains: whether an event is on the marked subject itself, or on a subject that serves it. The root does not
            count as evidence for the marked subject, even in a cycle.
    """

    own: Collection[LifecycleEvent]
    contains: Callable[[LifecycleEvent], bool]


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
    """Whether a subject's own events mark it as an experiment that is not excluded.

    The name of a branch does not mark the change of an outsider, who may choose any name.
    """
    declarations = declarations_in(own)
    marks = _marks(declarations)
    if is_outsiders(declarations):
        marks = [mark for mark in marks if mark.channel != "branch"]
    return bool(marks) and not current_values(declarations, "excluded")


def is_marked_but_for_author(own: Iterable[LifecycleEvent]) -> bool:
    """Whether only the name of an outsider's branch marks a subject."""
    declarations = declarations_in(own)
    return bool(_marks(declarations)) and not is_marked(declarations) and is_outsiders(declarations)


def _marks(declarations: Iterable[Declaration]) -> list[CurrentValue]:
    return current_values(declarations, "experiment")


def fold(
    root: Ref,
    own: Iterable[LifecycleEvent],
    evidence: Iterable[LifecycleEvent],
    attempts: Iterable[Attempt] = (),
    renamed_teams: Mapping[str, str] = MappingProxyType({}),
) -> Experiment:
    """Fold events into an experiment. The order of the events does not matter.

    An event on evidence counts only if it is a start, a result, a shipment, other activity, or a command in a comment.
    For example, merging a change does not conclude the item that the change serves.

    Args:
        root: the experiment's own subject; the caller checks that it is a root (`is_marked`, `Components.is_root`).
        own: all events on the root; at least one.
        evidence: all events on the subjects that serve the root.
        attempts: the marked subjects that serve the root; `evidence` contains their events too.
        renamed_teams: the newest name of each derived team that has a former name of its project.
    """
    grounds = find_grounds(own, evidence)
    concluded, declarations = grounds.conclusion.concluded, grounds.declarations
    outcome, category = classify(grounds.conclusion, declarations)
    risk, team = value_of(declarations, "risk"), latest(current_values(declarations, "team"))
    return Experiment(
        root=root,
        title=value_of(declarations, "title"),
        url=value_of(declarations, "url"),
        # Events of earlier releases have the team's name as a person wrote it.
        team=fold_team(newest_team(team, renamed_teams)) if team else "",
        risk=Risk(risk) if risk else None,
        idea_at=grounds.idea_at,
        idea_inferred=grounds.proposed is None,
        started_at=_time_of(grounds.started),
        first_signal_at=_time_of(grounds.signalled),
        concluded_at=_time_of(concluded),
        outcome=outcome,
        failure_category=category,
        shared_at=grounds.shared.since if grounds.shared else None,
        shipped_at=_time_of(grounds.shipped),
        last_activity_at=grounds.counted[-1].occurred_at,
        restarts=_restarts(attempts, grounds),
    )


def _time_of(event: LifecycleEvent | None) -> datetime | None:
    return event.occurred_at if event else None


def _restarts(attempts: Iterable[Attempt], grounds: Grounds) -> tuple[Restart, ...]:
    times = [event.occurred_at for event in grounds.counted]
    starting = [event for event in grounds.counted if isinstance(event, Started | Signalled | Concluded)]
    restarts: list[Restart] = []
    for attempt in attempts:
        idea_at = min((event.occurred_at for event in attempt.own if isinstance(event, Proposed)), default=None)
        if idea_at is None or idea_at <= grounds.idea_at:
            continue
        # Search backwards from the idea: the last event before it is usually near.
        before = (grounds.counted[place - 1] for place in range(bisect_right(times, idea_at), 0, -1))
        last = next(_others(before, idea_at, attempt), None)
        concluded = find_conclusion(list(_others(grounds.decisive, idea_at, attempt))).concluded is not None
        # If the experiment had not started before the attempt, the attempt starts the experiment: this is no restart.
        if last and (concluded or any(_others(starting, idea_at, attempt))):
            restarts.append(Restart(idea_at, concluded, idea_at - last.occurred_at))
    return tuple(sorted(restarts))


def _others(events: Iterable[LifecycleEvent], at: datetime, attempt: Attempt) -> Iterator[LifecycleEvent]:
    """The events that end before an attempt begins, and that are not the attempt's own."""
    return (event for event in events if _ends_before(event, at) and not attempt.contains(event))


def _ends_before(event: LifecycleEvent, at: datetime) -> bool:
    # An `Active` event has only a date. Its time of day is unknown, so assume the end of the day.
    return event.occurred_at + (_DAY if isinstance(event, Active) else timedelta()) <= at
