"""Futility: why a command in a comment changes nothing.

Comments arrive in any order, so the reasons are not stored: each answer computes them from all events that are known
then. `find_futility` compares the experiment with and without the command, as of the time of the command.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from datetime import datetime
from typing import TypeAlias

from service.lifecycle.declarations import current_values, latest
from service.lifecycle.events import (
    Concluded,
    Declaration,
    Declared,
    LifecycleEvent,
    Proposed,
    Refused,
    Reopened,
    Shipped,
    Shown,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.experiment import Experiment
from service.lifecycle.fields import FieldName
from service.lifecycle.grounds import Grounds
from service.lifecycle.references import Ref
from service.lifecycle.shown import first_absence
from service.lifecycle.taxonomy import Outcome

_LABELLED: tuple[FieldName, ...] = ("outcome", "failure_category", "risk", "team")

Keep: TypeAlias = Callable[[LifecycleEvent], bool]
Fold: TypeAlias = Callable[[Keep], Experiment | None]
"""Fold the events of an experiment that pass a test. Return None if no event passes."""


def is_relevant(event: LifecycleEvent) -> bool:
    """Whether an event can decide the effect of a command. `find_futility` needs no other events."""
    if isinstance(event, Declared | Withdrawn):
        return event.field in ("outcome", "failure_category")
    return isinstance(event, Proposed | Started | Signalled | Concluded | Reopened | Shipped | Shown)


def find_futility(stated: Collection[LifecycleEvent], every: Collection[LifecycleEvent], fold: Fold) -> list[str]:
    """Find the reasons why the commands of a comment, or some of them, have no effect on an experiment.

    Args:
        stated: the events that the commands state, which all have the same time.
        every: all events of the experiment and of its evidence.
    """
    return list(dict.fromkeys(reason for event in stated for reason in _check(event, stated, every, fold)))


def _check(
    event: LifecycleEvent, stated: Collection[LifecycleEvent], every: Collection[LifecycleEvent], fold: Fold
) -> Iterator[str]:
    if isinstance(event, Declared):
        concludes = any(isinstance(other, Concluded) for other in stated)
        if event.field == "failure_category" and not concludes:
            yield from _check_category(event, every, fold)
        return
    if not isinstance(event, Started | Signalled | Concluded | Reopened | Shipped):
        return
    # The outcome and category of a conclusion are part of its command.
    parts = {event, *(other for other in stated if isinstance(event, Concluded) and _is_part_of_conclusion(other))}
    until = _as_of(event.occurred_at)
    before, after = fold(lambda other: until(other) and other not in parts), fold(until)
    if before is None or after is None:
        return
    # A conclusion counts even if it is dated before the idea.
    if isinstance(event, Signalled | Shipped) and event.occurred_at < after.idea_at and not after.idea_inferred:
        yield f"it is dated {_format(event.occurred_at)}, before the idea at {_format(after.idea_at)}"
    else:
        yield from _compare(event, before, after)


def _compare(
    event: Started | Signalled | Concluded | Reopened | Shipped, before: Experiment, after: Experiment
) -> Iterator[str]:
    match event:
        case Started():
            yield from _check_start(event, before, after)
        case Signalled():
            yield from _check_signal(before, after)
        case Concluded():
            yield from _check_conclusion(before, after)
        case Reopened():
            if before.concluded_at is None:
                yield "it was open, so there was nothing to reopen"
        case Shipped():
            if before.shipped_at is not None and before.shipped_at == after.shipped_at:
                yield f"it has been shipped since {_format(before.shipped_at)}"


def _check_start(event: Started, before: Experiment, after: Experiment) -> Iterator[str]:
    # One comment may start and conclude an experiment.
    if before.concluded_at is not None and before.concluded_at < event.occurred_at:
        yield f"it was concluded at {_format(before.concluded_at)}, and a start does not reopen it; reopen it first"
    elif before.started_at is not None and before.started_at == after.started_at:
        yield f"it has been started since {_format(before.started_at)}"
    elif after.started_at is None:
        yield "a start at the moment of the proposal does not count"


def _check_signal(before: Experiment, after: Experiment) -> Iterator[str]:
    if (before.first_signal_at, before.started_at) != (after.first_signal_at, after.started_at):
        return
    if before.first_signal_at is not None:
        yield f"it has had its first result since {_format(before.first_signal_at)}"
    elif before.concluded_at is not None:
        yield f"it was concluded at {_format(before.concluded_at)}, before this result"


def _check_conclusion(before: Experiment, after: Experiment) -> Iterator[str]:
    if after.concluded_at is None:
        yield "it was reopened at the same moment"
    elif _end(before) == _end(after):
        category = f" {after.failure_category}" if after.outcome is Outcome.FAILED else ""
        yield f"it has been concluded as {after.outcome}{category} since {_format(after.concluded_at)}"


def _end(experiment: Experiment) -> tuple[object, ...]:
    return experiment.concluded_at, experiment.outcome, experiment.failure_category


def _check_category(event: Declared, every: Iterable[LifecycleEvent], fold: Fold) -> Iterator[str]:
    """Check a category that is stated without a conclusion.

    The category has an effect if the experiment has failed at the time of the category or at a later conclusion.
    """
    now = fold(lambda _: True)
    if now is None or now.outcome is None:
        return
    later = {other.occurred_at for other in every if isinstance(other, Concluded)}
    times = sorted({event.occurred_at, *(at for at in later if at > event.occurred_at)})
    ends = (fold(_as_of(at)) for at in times)
    if not any(end is not None and end.outcome is Outcome.FAILED for end in ends):
        yield (
            f"{_only_failed(now.outcome)}; if it failed, comment /experiment conclude {Outcome.FAILED} {event.value}"
        )


def futile_labels(grounds: Grounds, experiment: Experiment) -> list[tuple[Declared, str]]:
    """The labels that have no effect on the experiment, each with the reason."""
    return [*_futile_categories(grounds, experiment), *_contradicting_labels(grounds)]


def _contradicting_labels(grounds: Grounds) -> Iterator[tuple[Declared, str]]:
    """Yield the labels that another label of the same field overrules, such as `outcome:worked` beside a newer
    `outcome:failed`.
    """
    for field in _LABELLED:
        values = [one for one in current_values(grounds.declarations, field) if one.channel == "label"]
        counting = latest(values)
        for value in values if counting and len(values) > 1 else ():
            stated = next(event for event in grounds.declarations if _states(event, field, value.value))
            if counting and value.value != counting.value and isinstance(stated, Declared):
                newer = counting.since > value.since
                why = f"added at {_format(counting.since)}" if newer else "alphabetically the first of the same time"
                reason = f"it contradicts the label for {counting.value}, {why}, which counts; remove the wrong one"
                yield stated, f"{_named(stated)}{reason}"


def _states(event: Declaration, field: FieldName, value: str) -> bool:
    return isinstance(event, Declared) and (event.field, event.value, event.channel) == (field, value, "label")


def _named(event: Declared) -> str:
    """The label before its reason. A label with an @ may contain an account or an e-mail address."""
    return "" if "@" in event.label else f"label `{event.label}`: "


def _futile_categories(grounds: Grounds, experiment: Experiment) -> list[tuple[Declared, str]]:
    if experiment.outcome in (None, Outcome.FAILED):
        return []
    categories = current_values(grounds.declarations, "failure_category")
    standing = {category.value for category in categories if category.channel == "label"}
    labelled = (event for event in grounds.declarations if isinstance(event, Declared) and event.channel == "label")
    first: dict[str, Declared] = {}
    for event in labelled:
        if event.field == "failure_category" and event.value in standing:
            first.setdefault(event.value, event)
    why = f"{_only_failed(experiment.outcome)}; if it failed, add the label outcome:{Outcome.FAILED}"
    return [(event, f"{_named(event)}{why}") for event in first.values()]


def _only_failed(outcome: Outcome | None) -> str:
    return f"only a failed experiment has a category, and the outcome is {outcome}"


def _is_part_of_conclusion(event: LifecycleEvent) -> bool:
    return isinstance(event, Declared) and event.field in ("outcome", "failure_category")


def _as_of(at: datetime) -> Keep:
    """Test whether an event is known at a time. The proposal always is: its time may come from a later delivery."""
    return lambda event: event.occurred_at <= at or isinstance(event, Proposed)


def standing_refusals(events: Iterable[LifecycleEvent]) -> list[Refused]:
    """The refused commands and links, and the refused labels that the subject still has, as each was first stated."""
    every = list(events)
    refused = sorted(
        (event for event in every if isinstance(event, Refused)), key=lambda event: (event.occurred_at, event.reason)
    )
    standing = [event for event in refused if event.channel != "label"]
    labels: dict[tuple[Ref, str], list[Refused]] = {}
    for event in refused:
        if event.channel == "label":
            labels.setdefault((event.subject, event.label), []).append(event)
    for (subject, label), named in labels.items():
        # A reported change of a label overrides the labels that payloads list, as it does for accepted labels.
        reported = [event for event in named if not event.overheard] or named
        removed = max((event.occurred_at for event in reported if event.removed), default=None)
        left = [event for event in reported if not event.removed and _outlasts(event, removed)]
        standing += [] if _is_absent(subject, label, named, every) else left[:1]
    return sorted(standing, key=lambda event: (event.occurred_at, event.reason))


def _is_absent(subject: Ref, label: str, named: Iterable[Refused], every: Iterable[LifecycleEvent]) -> bool:
    """Whether a later payload shows the subject without the refused label."""
    states = (event for event in every if isinstance(event, Shown) and event.subject == subject)
    present = [event.occurred_at for event in named if not event.removed]
    ended = first_absence(label, {event.occurred_at for event in named}, present, states)
    return ended is not None and ended > max(present, default=ended)


def _outlasts(event: Refused, removed: datetime | None) -> bool:
    return removed is None or event.occurred_at >= removed


def _format(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
