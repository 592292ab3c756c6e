"""The experiment: what a root's own events and its evidence fold into."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import assert_never
from uuid import UUID

from service.lifecycle.codec import event_id, kind_of
from service.lifecycle.events import (
    Active,
    Concluded,
    Declaration,
    Declared,
    Field,
    LifecycleEvent,
    Proposed,
    Reopened,
    Shipped,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.evidence import Ref, experiment_id
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk, State


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

    @property
    def id(self) -> UUID:
        return experiment_id(self.root)

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
class _InForce:
    value: str
    channel: str
    since: datetime


@dataclass(frozen=True, slots=True)
class _Conclusion:
    concluded: Concluded | None
    reopened_at: datetime | None


def is_marked(own: Iterable[LifecycleEvent]) -> bool:
    """Whether a subject's own events mark it as an experiment that is not excluded."""
    declarations = [event for event in own if isinstance(event, Declaration)]
    return bool(_in_force(declarations, "experiment")) and not _in_force(declarations, "excluded")


def fold(root: Ref, own: Iterable[LifecycleEvent], evidence: Iterable[LifecycleEvent]) -> Experiment:
    """The experiment that all these events tell of, whatever the order in which they are given.

    Of the evidence only starts, signals, shipments, signs of life and commands in comments count: a merged change does
    not conclude the item that it serves.

    Args:
        root: the experiment's own subject; that it is one is the caller's to know (`is_marked`, `Graph.is_root`).
        own: all events on the root; at least one.
        evidence: all events on the subjects that serve it.
    """
    heard = [event for event in evidence if counts_for(event, own=False)]
    of_the_root = {*own, *filter(_is_command, heard)}
    counted = _in_order({*of_the_root, *heard})
    mine = [event for event in counted if event in of_the_root]
    declarations = [event for event in mine if isinstance(event, Declaration)]
    ideas = [event.occurred_at for event in mine if isinstance(event, Proposed)]
    idea_at = ideas[0] if ideas else _inferred_idea(counted)
    conclusion = _conclusion(mine)
    concluded_at = conclusion.concluded.occurred_at if conclusion.concluded else None
    outcome, category = _verdict(conclusion, declarations)
    shared = _latest(_in_force(declarations, "shared"))
    risk = _value(declarations, "risk")
    return Experiment(
        root=root,
        title=_value(declarations, "title"),
        url=_value(declarations, "url"),
        team=_value(declarations, "team"),
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
    )


def exclusion_of(own: Iterable[LifecycleEvent]) -> str:
    """Why a subject's own events exclude it, such as `duplicate`; empty where they do not."""
    return _value([event for event in own if isinstance(event, Declaration)], "excluded")


def counts_for(event: LifecycleEvent, *, own: bool) -> bool:
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
    for _, at_once in groupby(sorted(events, key=_order), key=_order):
        tied = list(at_once)
        ordered += sorted(tied, key=event_id) if len(tied) > 1 else tied
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


def _verdict(
    conclusion: _Conclusion, declarations: Sequence[Declaration]
) -> tuple[Outcome | None, FailureCategory | None]:
    if conclusion.concluded is None:
        return None, None
    declared = _since_reopening(_in_force(declarations, "outcome"), conclusion.reopened_at)
    categorised = _since_reopening(_in_force(declarations, "failure_category"), conclusion.reopened_at)
    if declared:
        outcome = Outcome(declared.value)
    elif conclusion.concluded.outcome is not None:
        outcome = conclusion.concluded.outcome
    else:
        outcome = Outcome.FAILED if categorised else Outcome.UNDECLARED
    if outcome is not Outcome.FAILED:
        return outcome, None
    return outcome, FailureCategory(categorised.value) if categorised else FailureCategory.UNCLASSIFIED


def _since_reopening(in_force: Sequence[_InForce], reopened_at: datetime | None) -> _InForce | None:
    """The latest value, without what was declared before the loop was opened again: only labels stand, as they hang."""
    return _latest(
        [value for value in in_force if reopened_at is None or value.channel == "label" or value.since > reopened_at]
    )


def _value(declarations: Sequence[Declaration], field: Field) -> str:
    latest = _latest(_in_force(declarations, field))
    return latest.value if latest else ""


def _latest(in_force: Sequence[_InForce]) -> _InForce | None:
    """The value stated last, of two at once the alphabetically first; a derived one only where there is no other."""
    stated = [value for value in in_force if value.channel != "derived"] or in_force
    return max(sorted(stated, key=lambda value: value.value), key=lambda value: value.since, default=None)


def _in_force(declarations: Sequence[Declaration], field: Field) -> list[_InForce]:
    """Every value of a field that is stated and not taken back, with the time since when it holds."""
    by_channel: defaultdict[str, defaultdict[str, list[Declaration]]] = defaultdict(lambda: defaultdict(list))
    for declaration in declarations:
        if declaration.field == field:
            by_channel[declaration.channel][declaration.value].append(declaration)
    in_force: list[_InForce] = []
    for channel, by_value in by_channel.items():
        # Several labels can hang side by side; on any other channel a new value replaces the old.
        values = by_value if channel == "label" else _stated_last(by_value)
        for value in values:
            standing = [_standing_since(channel, statements) for statements in _by_label(by_value[value])]
            if since := min((since for since in standing if since is not None), default=None):
                in_force.append(_InForce(value, channel, since))
    return in_force


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


def _standing_since(channel: str, statements: Sequence[Declaration]) -> datetime | None:
    """Since when a value holds on a channel, or None where it was taken back."""
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
    standing = [
        at for at in declared if not withdrawn or at > max(withdrawn) or (at == max(withdrawn) and channel != "branch")
    ]
    if not standing:
        return None
    return min(standing) if channel == "label" else max(standing)
