"""How many loops were started again after an earlier one was concluded or forgotten."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain, groupby
from operator import attrgetter

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.experiment import Experiment
from service.metrics.cohort import Loop
from service.metrics.view import View

_TITLE, _IDEA = attrgetter("title"), attrgetter("idea_at")


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_repeated_experiments`: the same idea started again in each window, zero-filled.

    An idea is the same as an earlier one where the titles are, whatever the team, or where what was started serves the
    earlier experiment; it was started again where that was concluded or forgotten by then.
    """
    family = GaugeMetricFamily(
        "loopgauge_repeated_experiments",
        "Ideas of the window whose title an earlier experiment has that was concluded or forgotten by then, and times "
        "that such an experiment was taken up again by a marked change or item that links to it; those are no "
        "experiments of their own, so this is no subset of experiments_proposed.",
        labels=["team", "window"],
    )
    repeats: defaultdict[str, list[datetime]] = defaultdict(list)
    for loop, at in chain(_of_the_same_title(view, now), _taken_up_again(view, now)):
        repeats[view.row(loop.team, now)].append(at)
    for window in view.terms.windows:
        begin = now - window.length
        for team in view.teams(now):
            family.add_metric([team, window.label], sum(begin <= at < now for at in repeats[team]))
    yield family


def _of_the_same_title(view: View, now: datetime) -> Iterator[tuple[Loop, datetime]]:
    """The loops whose title an earlier one has that was over when they began, and when that was."""
    present = view.present(now)
    # Most titles are there once only.
    shared = {title for title, loops in Counter(map(_TITLE, present)).items() if loops > 1 and title}
    by_title: defaultdict[str, list[Loop]] = defaultdict(list)
    for loop in present:
        if loop.title in shared:
            by_title[loop.title].append(loop)
    for loops in by_title.values():
        yield from _started_again(loops, view.terms.forgotten_after)


def _started_again(loops: Iterable[Loop], forgotten_after: timedelta) -> Iterator[tuple[Loop, datetime]]:
    """Of loops with one title, those that began after an earlier one was concluded or forgotten."""
    first_over: datetime | None = None
    for idea_at, at_once in groupby(sorted(loops, key=_IDEA), key=_IDEA):
        begun = list(at_once)
        if first_over is not None and first_over <= idea_at:
            yield from ((loop, idea_at) for loop in begun)
        over = [_over_at(loop.experiment, forgotten_after) for loop in begun]
        first_over = min(over if first_over is None else [first_over, *over])


def _over_at(experiment: Experiment, forgotten_after: timedelta) -> datetime:
    """When an experiment was concluded or forgotten, whichever came first."""
    forgotten_at = experiment.last_activity_at + forgotten_after
    return min(experiment.concluded_at or forgotten_at, forgotten_at)


def _taken_up_again(view: View, now: datetime) -> Iterator[tuple[Loop, datetime]]:
    """The loops that were taken up again by what serves them after they were concluded or forgotten, and when."""
    for loop in view.present(now):
        for restart in loop.restarts:
            if restart.concluded or restart.quiet >= view.terms.forgotten_after:
                yield loop, restart.at
