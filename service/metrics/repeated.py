"""Repeated experiments: ideas that start again after an earlier try was concluded or forgotten."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from itertools import chain, groupby
from operator import attrgetter
from typing import TypeAlias

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily

from service.lifecycle.experiment import Experiment
from service.metrics.cohort import MeasuredExperiment
from service.metrics.terms import Window
from service.metrics.view import View

_TITLE, _IDEA_AT = attrgetter("title_key"), attrgetter("idea_at")

_Repeat: TypeAlias = tuple[MeasuredExperiment, datetime]


def repeated_experiments(view: View) -> Iterable[Metric]:
    """Ideas that started again in each window. A team without such ideas has the value 0.

    An idea repeats an earlier experiment in two cases: a new experiment has the same title, even in another team, or
    another marked change or item begins to serve the earlier experiment (a `Restart`). At that time, the earlier
    experiment must already be concluded or forgotten.
    """
    family = GaugeMetricFamily(
        "loopgauge_repeated_experiments",
        "How often an idea started again in the window, after its experiment was concluded or forgotten: as a new "
        "experiment with the same title, or with a marked change or item that links to the earlier experiment. A "
        "link proposes no new experiment, so repeated experiments are not a subset of experiments_proposed.",
        labels=["team", "window"],
    )
    repeats = repeats_by_row(view)
    for window in view.terms.windows:
        for team in view.teams:
            family.add_metric([team, window.label], count_repeats(repeats.get(team, ()), window, view.now))
    yield family


def repeats_by_row(view: View) -> Mapping[str, Iterable[datetime]]:
    """For each row, the times at which ideas of the row started again."""
    repeats: defaultdict[str, list[datetime]] = defaultdict(list)
    for experiment, repeated_at in find_repeats(view):
        repeats[view.row(experiment.team)].append(repeated_at)
    return repeats


def find_repeats(view: View) -> Iterator[tuple[MeasuredExperiment, datetime]]:
    """Each experiment whose idea started again, and the time at which it did."""
    return chain(_same_title(view), _restarted(view))


def count_repeats(repeats: Iterable[datetime], window: Window, now: datetime) -> int:
    """The number of repeats in a window."""
    begin = now - window.length
    return sum(begin <= repeated_at < now for repeated_at in repeats)


def _same_title(view: View) -> Iterator[_Repeat]:
    """Each experiment that repeats an earlier one with the same title, and the time at which the repeat was proposed.

    The earlier experiment must have been concluded or forgotten by then.
    """
    # Most titles are unique. To save time, group only the experiments whose title occurs more than once.
    counts = Counter(map(_TITLE, view.present))
    repeated = {title for title, count in counts.items() if count > 1 and title}
    by_title: defaultdict[str, list[MeasuredExperiment]] = defaultdict(list)
    for experiment in view.present:
        if experiment.title_key in repeated:
            by_title[experiment.title_key].append(experiment)
    for experiments in by_title.values():
        yield from _begun_after_another(experiments, view.terms.forgotten_after)


def _begun_after_another(experiments: Iterable[MeasuredExperiment], forgotten_after: timedelta) -> Iterator[_Repeat]:
    first_over: datetime | None = None
    for idea_at, group in groupby(sorted(experiments, key=_IDEA_AT), key=_IDEA_AT):
        simultaneous = list(group)
        if first_over is not None and first_over <= idea_at:
            yield from ((experiment, idea_at) for experiment in simultaneous)
        over = [_over_at(measured.experiment, forgotten_after) for measured in simultaneous]
        first_over = min(over if first_over is None else [first_over, *over])


def _over_at(experiment: Experiment, forgotten_after: timedelta) -> datetime:
    """The time at which an experiment was concluded or forgotten, whichever came first."""
    forgotten_at = experiment.last_activity_at + forgotten_after
    return min(experiment.concluded_at or forgotten_at, forgotten_at)


def _restarted(view: View) -> Iterator[_Repeat]:
    """Each restart of a concluded or forgotten experiment by a subject that serves the experiment."""
    for experiment in view.present:
        for restart in experiment.restarts:
            if restart.concluded or restart.quiet >= view.terms.forgotten_after:
                yield experiment, restart.at
