"""How many loops were started again after an earlier one was concluded or forgotten."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.evidence import Ref
from service.lifecycle.experiment import Experiment
from service.metrics.cohort import Loop
from service.metrics.view import View, by_team

_TITLE = attrgetter("title")


def families(view: View, now: datetime) -> Iterable[Metric]:
    """`loopgauge_repeated_experiments`: the same idea started again in each window, zero-filled.

    An idea is the same as an earlier one where the titles are, whatever the team, or where what was started serves the
    earlier experiment; it was started again where that was concluded or forgotten by then.
    """
    family = GaugeMetricFamily(
        "loopgauge_repeated_experiments",
        "Ideas of the window that had been tried before: the same title or an explicit link, after the earlier "
        "experiment was concluded or forgotten.",
        labels=["team", "window"],
    )
    repeats = _of_the_same_title(view, now)
    taken_up = _taken_up_again(view, now)
    for cohort in by_team(view.proposed(now)):
        same_title = sum(loop.experiment.root in repeats for loop in cohort.loops)
        family.add_metric([cohort.team, cohort.window], same_title + taken_up[cohort.team, cohort.window])
    yield family


def _of_the_same_title(view: View, now: datetime) -> set[Ref]:
    """The roots of the loops whose title an earlier one has that was over when they began."""
    present = view.present(now)
    # Most titles are there once only.
    shared = {title for title, loops in Counter(map(_TITLE, present)).items() if loops > 1 and title is not None}
    by_title: defaultdict[int | None, list[Loop]] = defaultdict(list)
    for loop in present:
        if loop.title in shared:
            by_title[loop.title].append(loop)
    repeats: set[Ref] = set()
    for loops in by_title.values():
        repeats.update(_started_again(loops, view.terms.forgotten_after))
    return repeats


def _started_again(loops: Iterable[Loop], forgotten_after: timedelta) -> Iterator[Ref]:
    """Of loops with one title, those that began after an earlier one was concluded or forgotten."""
    first_over: datetime | None = None
    ordered = sorted((loop.experiment for loop in loops), key=_idea)
    for idea_at, at_once in groupby(ordered, key=_idea):
        begun = list(at_once)
        if first_over is not None and first_over <= idea_at:
            yield from (experiment.root for experiment in begun)
        over = [_over_at(experiment, forgotten_after) for experiment in begun]
        first_over = min(over if first_over is None else [first_over, *over])


def _idea(experiment: Experiment) -> datetime:
    return experiment.idea_at


def _over_at(experiment: Experiment, forgotten_after: timedelta) -> datetime:
    """When an experiment was concluded or forgotten, whichever came first."""
    forgotten_at = experiment.last_activity_at + forgotten_after
    return min(experiment.concluded_at or forgotten_at, forgotten_at)


def _taken_up_again(view: View, now: datetime) -> Counter[tuple[str, str]]:
    """How many times experiments of each team were taken up again in each window that were concluded or forgotten."""
    counts: Counter[tuple[str, str]] = Counter()
    for cohort in by_team(view.every(now)):
        repeats = [
            again.at
            for loop in cohort.loops
            for again in loop.experiment.again
            if again.at < now and (again.concluded or again.quiet >= view.terms.forgotten_after)
        ]
        for window in view.terms.windows:
            counts[cohort.team, window.label] = sum(at >= now - window.length for at in repeats)
    return counts
