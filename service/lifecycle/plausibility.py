"""What an experiment cannot be said to have done, judged by what the saying of it would make of the experiment.

What a fold can take honestly is possible, however late it is told. Impossible is what contradicts what is known, and
what would have no effect, since whoever says it expects one.
"""

from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta

from service.lifecycle.events import Concluded, Declared, LifecycleEvent, Reopened, Shipped, Signalled, Started
from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome

_TICK = timedelta(microseconds=1)


def find_contradiction(
    stated: Collection[LifecycleEvent], fold: Callable[[Collection[LifecycleEvent]], Experiment]
) -> str:
    """Why an experiment cannot have events that are stated at one time; empty where it can.

    Args:
        fold: the experiment with further events of its root.
    """
    before, after = fold(()), fold(stated)
    at_its_end = Concluded(after.root, after.last_activity_at + _TICK)
    return next(
        (
            why
            for whys in (
                _before_the_idea(stated, before),
                _no_conclusion(stated, before, after),
                _nothing_to_reopen(stated, before, after),
                _started_after_its_end(stated, before, after),
                _no_failure(stated, fold([*stated, at_its_end])),
            )
            for why in whys
        ),
        "",
    )


def _before_the_idea(stated: Collection[LifecycleEvent], before: Experiment) -> Iterator[str]:
    what = next((word for event in stated if (word := _what_follows_an_idea(event))), "")
    at = max(event.occurred_at for event in stated)
    if not what or at >= before.idea_at:
        return
    if before.idea_inferred:
        yield (
            f"{_written(at)} is before anything that is known of it; post a CloudEvent of the type proposed to "
            f"POST /events first, which says when the idea was"
        )
    else:
        yield f"it cannot be {what} at {_written(at)}, before its idea, which was at {_written(before.idea_at)}"


def _what_follows_an_idea(event: LifecycleEvent) -> str:
    """What a thing is that cannot come before the idea; work may have begun before somebody wrote the idea down."""
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


def _no_conclusion(stated: Collection[LifecycleEvent], before: Experiment, after: Experiment) -> Iterator[str]:
    conclusion = next((event for event in stated if isinstance(event, Concluded)), None)
    if conclusion is None:
        return
    if after.concluded_at is None:
        yield f"it was opened again after {_written(conclusion.occurred_at)}, so its conclusion must be later"
    elif after.started_at is not None and after.concluded_at < after.started_at == before.started_at:
        started, concluded = _written(after.started_at), _written(after.concluded_at)
        yield f"it was started at {started}, so it cannot be concluded at {concluded}"
    elif after.concluded_at == before.concluded_at and conclusion.outcome is None:
        yield (
            f"it is concluded already, since {_written(after.concluded_at)}; name an outcome to correct how it went, "
            "or reopen it first"
        )


def _nothing_to_reopen(stated: Collection[LifecycleEvent], before: Experiment, after: Experiment) -> Iterator[str]:
    reopening = next((event for event in stated if isinstance(event, Reopened)), None)
    if reopening is None:
        return
    if before.concluded_at is None:
        yield "it is open, so there is nothing to reopen; where it was concluded a moment ago, try again in a moment"
    elif after.concluded_at == before.concluded_at:
        yield (
            f"it cannot be reopened at {_written(reopening.occurred_at)}, before its conclusion, which was at "
            f"{_written(before.concluded_at)}"
        )


def _started_after_its_end(stated: Collection[LifecycleEvent], before: Experiment, after: Experiment) -> Iterator[str]:
    if not any(isinstance(event, Started | Signalled) for event in stated):
        return
    if after.started_at is None or after.concluded_at is None or after.started_at == before.started_at:
        return
    if after.started_at > after.concluded_at:
        yield (
            f"it was concluded at {_written(after.concluded_at)}, so it cannot be started at "
            f"{_written(after.started_at)}; say when it was, or reopen it first"
        )


def _no_failure(stated: Collection[LifecycleEvent], ended: Experiment) -> Iterator[str]:
    """An open one is judged by what it would be if it ended now."""
    categorised = any(isinstance(event, Declared) and event.field == "failure_category" for event in stated)
    if categorised and ended.outcome is not Outcome.FAILED:
        yield f"only a failure has a category, and its outcome is {ended.outcome}; send outcome failed too if it failed"


def _written(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
