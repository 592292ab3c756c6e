"""Plausibility: whether an experiment can have the events that a client adds by hand.

`find_contradiction` folds the experiment with and without the events, and compares the two results. An event is
refused if it contradicts the experiment's other events, but not because it happened long ago. A conclusion or reopening
that would change nothing is also refused, because the client expects a change.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta
from itertools import chain

from service.lifecycle.events import Concluded, Declared, LifecycleEvent, Reopened, Shipped, Signalled, Started
from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome

_TICK = timedelta(microseconds=1)


def find_contradiction(
    stated: Collection[LifecycleEvent], fold: Callable[[Collection[LifecycleEvent]], Experiment]
) -> str:
    """Find a reason why an experiment cannot have the stated events. Return an empty text if there is no reason.

    Args:
        stated: the events that the client adds, which all have the same time.
        fold: a function that folds the experiment with additional events on its root.
    """
    before, after = fold(()), fold(stated)
    at_its_end = Concluded(after.root, after.last_activity_at + _TICK)
    reasons = chain(
        _check_idea(stated, before),
        _check_conclusion(stated, before, after),
        _check_reopening(stated, before, after),
        _check_start(stated, before, after),
        _check_category(stated, fold([*stated, at_its_end])),
    )
    return next(reasons, "")


def _check_idea(stated: Collection[LifecycleEvent], before: Experiment) -> Iterator[str]:
    happened = next((word for event in stated if (word := _word_after_idea(event))), "")
    at = max(event.occurred_at for event in stated)
    if not happened or at >= before.idea_at:
        return
    if before.idea_inferred:
        yield (
            f"{_format(at)} is before the experiment's earliest known event, and no event states when the idea was "
            "proposed; post a CloudEvent of type proposed with that time to POST /events, and then try again"
        )
    else:
        yield f"it cannot be {happened} at {_format(at)}, before its idea at {_format(before.idea_at)}"


def _word_after_idea(event: LifecycleEvent) -> str:
    """The message's word for an event that cannot precede the idea; empty for any other event.

    A start can precede the idea: work may begin before there is a ticket.
    """
    match event:
        case Concluded():
            return "concluded"
        case Signalled():
            return "signalled"
        case Shipped():
            return "shipped"
        case Declared(field="shared"):
            return "shared"
        case _:
            return ""


def _check_conclusion(stated: Collection[LifecycleEvent], before: Experiment, after: Experiment) -> Iterator[str]:
    conclusion = next((event for event in stated if isinstance(event, Concluded)), None)
    if conclusion is None:
        return
    if after.concluded_at is None:
        yield f"it was reopened after {_format(conclusion.occurred_at)}; send a time after the reopening"
    elif after.started_at is not None and after.concluded_at < after.started_at == before.started_at:
        started, concluded = _format(after.started_at), _format(after.concluded_at)
        yield f"it was started at {started}, so it cannot be concluded at {concluded}"
    elif after.concluded_at == before.concluded_at and conclusion.outcome is None:
        yield (
            f"it has been concluded since {_format(after.concluded_at)}; send an outcome to correct the conclusion, or "
            "reopen the experiment first"
        )


def _check_reopening(stated: Collection[LifecycleEvent], before: Experiment, after: Experiment) -> Iterator[str]:
    reopening = next((event for event in stated if isinstance(event, Reopened)), None)
    if reopening is None:
        return
    if before.concluded_at is None:
        yield "it is open, so it cannot be reopened; if it was concluded a moment ago, try again in a moment"
    elif after.concluded_at == before.concluded_at:
        yield (
            f"it cannot be reopened at {_format(reopening.occurred_at)}, before its conclusion at "
            f"{_format(before.concluded_at)}"
        )


def _check_start(stated: Collection[LifecycleEvent], before: Experiment, after: Experiment) -> Iterator[str]:
    if not any(isinstance(event, Started | Signalled) for event in stated):
        return
    if after.started_at is None or after.concluded_at is None or after.started_at == before.started_at:
        return
    if after.started_at > after.concluded_at:
        yield (
            f"it was concluded at {_format(after.concluded_at)}, so it cannot be started at "
            f"{_format(after.started_at)}; send an earlier time, or reopen the experiment first"
        )


def _check_category(stated: Collection[LifecycleEvent], ended: Experiment) -> Iterator[str]:
    """Check a stated category. An open experiment is checked as if it were concluded after its last activity."""
    category = next((one.value for one in stated if isinstance(one, Declared) and one.field == "failure_category"), "")
    if category and ended.outcome is not Outcome.FAILED:
        yield (
            f"only a failed experiment has a category, and the outcome of this experiment is {ended.outcome}; if it "
            f"failed, run `loopgauge conclude REFERENCE failed {category}`, or send the event concluded with this "
            "outcome and category"
        )


def _format(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
