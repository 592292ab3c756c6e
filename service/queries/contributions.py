"""The metrics that count one experiment: the value of each sample, and the experiment's part in it."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Literal, TypeAlias

from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.lifecycle.teams import is_team_name
from service.metrics import METRICS
from service.metrics.cohort import Cohort
from service.metrics.estimators import QUANTILES
from service.metrics.repeated import count_repeats, find_repeats
from service.metrics.terms import Terms
from service.metrics.view import NO_TEAM, ORGANISATION, OTHER_TEAMS, View, teams_with_rows, without_organisation
from service.queries.samples import SAMPLED, SURVIVAL_QUANTILE, SURVIVAL_SHARE, own_duration
from service.storage import experiments
from service.storage.database import Connection

# With more experiments, computing the metrics takes too long: 5,000 take a fifth of a second of CPU time.
MOST_EXPERIMENTS = 5_000

_OMITTED = ("_bucket", "_gsum", "threshold_seconds", "forgotten_after_seconds", "minimum_sample")
_WORST = "loopgauge_experiment_overdue_age_seconds"
_REPEATED = "loopgauge_repeated_experiments"
_EXCLUDED = "loopgauge_excluded"

Kind = Literal["count", "share", "duration", "time"]
_Key: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True, slots=True)
class Part:
    """The number of experiments in a part of a sample, and whether the explained experiment is one of them."""

    count: int
    includes: bool


@dataclass(frozen=True, slots=True)
class Contribution:
    """A sample of a metric that counts an experiment.

    Attributes:
        kind: *count*, *share* (a ratio), *duration* (in seconds) or *time* (a Unix time).
        value: the value of the sample now; None if it is not published, or is not computed here.
        own: the experiment's own part: how often it counts, its duration in seconds, or its Unix time. None for shares,
            and for an estimate that has no duration of this experiment yet.
        numerator: for shares of counts, the experiments in the numerator.
        sample: for shares and quantiles, the experiments in the denominator or in the sample.
        remark: why there is no value; empty if there is one.
    """

    metric: str
    labels: Mapping[str, str]
    kind: Kind
    value: float | None
    own: float | None
    numerator: Part | None = None
    sample: Part | None = None
    remark: str = ""


@dataclass(frozen=True, slots=True)
class TeamRow:
    """The experiments that share a row of the metrics with one experiment.

    Attributes:
        name: the value of the label `team`.
        experiments: the experiments in the row; None if there are more than `MOST_EXPERIMENTS`.
        same_titles: all experiments with the titles of these experiments.
    """

    name: str
    experiments: Sequence[Experiment] | None
    same_titles: Sequence[Experiment] = ()


async def read_row(connection: Connection, experiment: Experiment, terms: Terms, now: datetime) -> TeamRow:
    """Read the experiments that share a row of the metrics with an experiment."""
    since = now - terms.longest_window
    loops = dict.fromkeys(await experiments.list_teams(connection, now), 0)
    if sum(map(is_team_name, loops)) > terms.max_teams:
        loops |= await experiments.count_loops(connection, since, now)
    name, teams = _find_row(experiment.team, loops, terms.max_teams)
    found = await experiments.read_of_teams(connection, teams, since, now, MOST_EXPERIMENTS + 1)
    titles = {one.title_key for one in found if one.title_key is not None and one.idea_at >= since}
    same = await experiments.read_of_titles(connection, titles, MOST_EXPERIMENTS + 1)
    if max(len(found), len(same)) > MOST_EXPERIMENTS:
        return TeamRow(name, None)
    return TeamRow(name, found, same)


def _find_row(team: str, loops: Mapping[str, int], max_teams: int) -> tuple[str, Collection[str]]:
    """The row of a team, and the teams in this row."""
    named = {name: number for name, number in loops.items() if is_team_name(name)}
    if not is_team_name(team):
        return NO_TEAM, loops.keys() - named.keys()
    own = teams_with_rows(named, max_teams)
    if team in own or team not in named:
        return team, [team]
    return OTHER_TEAMS, named.keys() - set(own)


def find_contributions(experiment: Experiment, row: TeamRow, terms: Terms, now: datetime) -> list[Contribution]:
    """The samples that count an experiment, in the order of a scrape.

    Histogram buckets, thresholds, the minimum sample and the samples with the team `_org` are left out.
    """
    return _Contributions(experiment, row, terms, now).find()


class _Contributions:
    """The samples of an experiment's row, and the samples that the experiment would have if it were the only one."""

    def __init__(self, experiment: Experiment, row: TeamRow, terms: Terms, now: datetime) -> None:
        # The views contain the experiments of one row only. `max_teams=0` combines their teams into the row of the
        # other teams.
        terms = replace(terms, max_teams=0 if row.name == OTHER_TEAMS else 1)
        self._experiment = experiment
        self._row = row
        self._together = View.of(row.experiments or (), terms, now)
        self._alone = View.of([experiment], replace(terms, min_sample=1), now)
        self._values = dict(_samples(self._together))
        self._populations = {name: _cohorts(self._together, name) for name, _ in SAMPLED.values()}
        self._own_populations = {name: _cohorts(self._alone, name) for name in self._populations}

    def find(self) -> list[Contribution]:
        return [self._contribution(key, own) for key, own in self._own_samples()]

    def _own_samples(self) -> Iterator[tuple[_Key, float]]:
        repeats = self._count_repeats({self._experiment.root}, (*self._row.same_titles, self._experiment))
        for key, own in _samples(self._alone):
            name, labels = key[0], dict(key[1])
            if name == _REPEATED:
                own = repeats[labels["window"]]  # noqa: PLW2901 - the titles of other experiments count too
            if name == SURVIVAL_SHARE:
                yield from self._survival_quantiles(labels)
            if (own or name in SAMPLED) and name != SURVIVAL_QUANTILE:
                yield key, own

    def _survival_quantiles(self, labels: Mapping[str, str]) -> Iterator[tuple[_Key, float]]:
        """The quantiles of the survival curve.

        The curve of a single open experiment reaches no quantile, although the experiment is in the sample.
        """
        for q in QUANTILES:
            yield (SURVIVAL_QUANTILE, (*labels.items(), ("q", str(q)))), 0.0

    def _contribution(self, key: _Key, own: float) -> Contribution:
        name, labels = key[0], dict(key[1])
        kind = _kind(name)
        if self._row.experiments is None:
            remark = f"not computed here: the row has more than {MOST_EXPERIMENTS} experiments"
            return Contribution(name, labels, kind, None, own, remark=remark)
        if name == _EXCLUDED:
            return Contribution(name, labels, kind, None, own, remark="not computed here: the sum over all teams")
        if name == _WORST:
            remark = "published only for the 20 that exceed their threshold by the most time"
            return Contribution(name, labels, kind, own, own, remark=remark)
        if name == _REPEATED:
            return Contribution(name, labels, kind, self._row_repeats[labels["window"]], own)
        if name in SAMPLED:
            return self._sampled(key, kind)
        if "experiment" in labels and key not in self._values:
            return Contribution(name, labels, kind, None, own, remark="not among the listed experiments of the team")
        return Contribution(name, labels, kind, self._values.get(key, 0.0), own)

    @cached_property
    def _row_repeats(self) -> Counter[str]:
        """How often ideas of the row were started again, by window."""
        in_row = self._row.experiments or ()
        return self._count_repeats({one.root for one in in_row}, (*self._row.same_titles, *in_row))

    def _count_repeats(self, roots: Collection[Ref], among: Iterable[Experiment]) -> Counter[str]:
        distinct = {one.root: one for one in among}
        view = View.of(distinct.values(), self._alone.terms, self._alone.now)
        times = [at for repeat, at in find_repeats(view) if repeat.experiment.root in roots]
        return Counter({one.label: count_repeats(times, one, view.now) for one in view.terms.windows})

    def _sampled(self, key: _Key, kind: Kind) -> Contribution:
        name, labels = key[0], dict(key[1])
        population, parts = SAMPLED[name]
        cohort = self._populations[population][labels["window"]]
        own_cohort = self._own_populations[population][labels["window"]]
        (counted, sample), (own_counted, own_sample) = (
            parts(one, labels, self._together.terms) for one in (cohort, own_cohort)
        )
        value = self._values.get(key)
        return Contribution(
            name,
            labels,
            kind,
            value,
            own_duration(name, labels, own_cohort),
            None if counted is None else Part(counted, bool(own_counted)),
            Part(sample, bool(own_sample)),
            "" if value is not None else self._why_withheld(sample),
        )

    def _why_withheld(self, sample: int) -> str:
        minimum = self._together.terms.min_sample
        if sample < minimum:
            return f"withheld: {sample} in the sample, fewer than LOOPGAUGE_MIN_SAMPLE={minimum}"
        return "not reached within the time observed"


def _samples(view: View) -> Iterator[tuple[_Key, float]]:
    for families in METRICS:
        for family in families(view):
            for sample in family.samples:
                if sample.labels.get("team") != ORGANISATION and not sample.name.endswith(_OMITTED):
                    yield (sample.name, tuple(sample.labels.items())), sample.value


def _cohorts(view: View, population: str) -> Mapping[str, Cohort]:
    """The row's cohorts in a population, by window. A view without experiments has empty cohorts."""
    found: Iterable[Cohort] = without_organisation(getattr(view, population))
    empty = {window.label: Cohort("", window.label, view.now) for window in view.terms.windows}
    return {**empty, **{cohort.window: cohort for cohort in found}}


def _kind(name: str) -> Kind:
    if name.endswith("_ratio"):
        return "share"
    if name.endswith("_timestamp_seconds"):
        return "time"
    return "duration" if name.endswith("_seconds") else "count"
