"""For a thousand portfolios, compare quantiles with PostgreSQL's `percentile_cont`, and survival with SciPy's."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import asyncpg
import pytest
from prometheus_client import Metric
from scipy.stats import CensoredData, ecdf

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.latency import stage_quantile_seconds, stage_samples
from service.metrics.survival import idea_to_answer_survival_quantile_seconds, survival_answered_by_threshold_ratio
from service.metrics.view import View
from tests.support.portfolios import NOW, Portfolio, portfolios

QUANTILES = (0.5, 0.75, 0.9)
Values = dict[tuple[str, ...], float]
"""Values by portfolio and labels."""

TABLES = """
CREATE TABLE loops (
  portfolio text, team text, outcome text, idea_at timestamptz, started_at timestamptz, first_signal_at timestamptz,
  concluded_at timestamptz, shared_at timestamptz, shipped_at timestamptz
);
CREATE TABLE terms (portfolio text, min_sample int, max_teams int);
CREATE TABLE windows (portfolio text, label text, seconds float8);
"""
STAGES = """
WITH present AS (
  SELECT *, CASE WHEN team = '' OR team LIKE '\\_%' THEN '_none' ELSE team END AS named
  FROM loops
  WHERE greatest(idea_at, started_at, first_signal_at, concluded_at, shared_at, shipped_at) <= $1
), ranks AS (
  SELECT portfolio, named, row_number() OVER (
    PARTITION BY portfolio
    ORDER BY count(*) FILTER (
      WHERE concluded_at IS NULL
      OR greatest(idea_at, started_at, first_signal_at, concluded_at, shared_at, shipped_at)
        >= $1 - longest.seconds * interval '1 second'
    ) DESC, named COLLATE "C"
  ) AS rank
  FROM present
  JOIN (SELECT portfolio, max(seconds) AS seconds FROM windows GROUP BY portfolio) AS longest USING (portfolio)
  WHERE named <> '_none'
  GROUP BY portfolio, named
), spans AS (
  SELECT portfolio, of.label AS team, stage, windows.label AS over, min_sample,
    extract(epoch FROM ended - began)::float8 AS seconds
  FROM present
  JOIN terms USING (portfolio)
  JOIN windows USING (portfolio)
  LEFT JOIN ranks USING (portfolio, named)
  CROSS JOIN LATERAL (VALUES (CASE WHEN rank > max_teams THEN '_other' ELSE named END), ('_org')) AS of (label)
  CROSS JOIN LATERAL (VALUES
    ('idea_to_answer', idea_at, concluded_at),
    ('idea_to_start', idea_at, started_at),
    ('start_to_signal', started_at, first_signal_at),
    ('signal_to_answer', first_signal_at, concluded_at),
    ('answer_to_shared', concluded_at, shared_at),
    ('signal_to_shipped', first_signal_at, shipped_at)
  ) AS stages (stage, began, ended)
  WHERE outcome <> 'abandoned'
    AND concluded_at >= $1 - windows.seconds * interval '1 second' AND concluded_at < $1
    AND ended >= began
)
SELECT portfolio, team, stage, over, count(*) AS samples, count(*) >= min_sample AS enough,
  percentile_cont(ARRAY[0.5, 0.75, 0.9]) WITHIN GROUP (ORDER BY seconds) AS quantiles
FROM spans
GROUP BY portfolio, team, stage, over, min_sample
"""


@pytest.fixture(scope="module")
def thousand() -> Mapping[str, Portfolio]:
    return {str(number): portfolio for number, portfolio in enumerate(portfolios(seed=1958, many=1000))}


@pytest.fixture
async def stages(database_url: str, thousand: Mapping[str, Portfolio]) -> list[asyncpg.Record]:
    """The durations of each stage as PostgreSQL computes them."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(TABLES)
        for table, rows in _rows(thousand).items():
            await connection.copy_records_to_table(table, records=rows)
        return list(await connection.fetch(STAGES, NOW))
    finally:
        await connection.close()


def _rows(thousand: Mapping[str, Portfolio]) -> Mapping[str, Sequence[tuple[object, ...]]]:
    loops = [
        (
            *(name, one.team, one.outcome, one.idea_at, one.started_at, one.first_signal_at),
            *(one.concluded_at, one.shared_at, one.shipped_at),
        )
        for name, portfolio in thousand.items()
        for one in portfolio.experiments
    ]
    terms = [(name, portfolio.terms.min_sample, portfolio.terms.max_teams) for name, portfolio in thousand.items()]
    windows = [
        (name, window.label, window.length.total_seconds())
        for name, portfolio in thousand.items()
        for window in portfolio.terms.windows
    ]
    return {"loops": loops, "terms": terms, "windows": windows}


async def test_stage_quantiles_equal_those_of_postgresql(
    thousand: Mapping[str, Portfolio], stages: Sequence[asyncpg.Record]
) -> None:
    expected = {
        (row["portfolio"], row["team"], row["stage"], row["over"], str(q)): value
        for row in stages
        if row["enough"]
        for q, value in zip(QUANTILES, row["quantiles"], strict=True)
    }
    assert len(expected) > 10_000
    assert _exported(stage_quantile_seconds, thousand) == pytest.approx(expected, rel=1e-9, abs=0)


async def test_stage_samples_equal_the_counts_of_postgresql(
    thousand: Mapping[str, Portfolio], stages: Sequence[asyncpg.Record]
) -> None:
    expected = {
        (row["portfolio"], row["team"], row["stage"], row["over"]): row["samples"]
        for row in stages
        if row["team"] != "_org"
    }
    exported = _exported(stage_samples, thousand)
    assert {row: count for row, count in exported.items() if count} == expected


def test_survival_functions_equal_those_of_scipy(thousand: Mapping[str, Portfolio]) -> None:
    quantiles: Values = {}
    ratios: Values = {}
    for name, portfolio in thousand.items():
        for team, window, watched in _populations(portfolio):
            if len(watched) < portfolio.terms.min_sample:
                continue
            seconds, censored = zip(*watched, strict=True)
            survival = ecdf(CensoredData.right_censored(seconds, censored)).sf
            threshold = portfolio.terms.thresholds.get(team, portfolio.terms.thresholds["default"])
            ratios[name, team, window] = 1 - float(survival.evaluate([threshold.total_seconds()])[0])
            for q in QUANTILES:
                reached = survival.quantiles[survival.probabilities <= 1 - q + 1e-12]
                if len(reached):
                    quantiles[name, team, window, str(q)] = float(reached[0])
    assert len(ratios) > 1_000
    assert len(quantiles) > 1_000
    assert _exported(idea_to_answer_survival_quantile_seconds, thousand) == quantiles
    assert _exported(survival_answered_by_threshold_ratio, thousand) == pytest.approx(ratios, rel=1e-9, abs=1e-12)


def _exported(families: Callable[[View], Iterable[Metric]], thousand: Mapping[str, Portfolio]) -> Values:
    return {
        (name, *sample.labels.values()): sample.value
        for name, portfolio in thousand.items()
        for family in families(View.of(portfolio.experiments, portfolio.terms, NOW))
        for sample in family.samples
    }


def _populations(portfolio: Portfolio) -> Iterator[tuple[str, str, list[tuple[float, bool]]]]:
    """Yield each combination of a window and a value of the label `team`, with two facts about each of its experiments.

    The facts are the observed time in seconds, and whether this time is censored.
    """
    present = [one for one in portfolio.experiments if max(one.instants) <= NOW]
    since = NOW - max(window.length for window in portfolio.terms.windows)
    rows = _labels(present, since, portfolio.terms.max_teams)
    for window in portfolio.terms.windows:
        watched: defaultdict[str, list[tuple[float, bool]]] = defaultdict(list)
        for one in present:
            taken = ((one.concluded_at or NOW) - one.idea_at).total_seconds()
            if NOW - window.length <= one.idea_at < NOW and taken >= 0:
                unanswered = one.outcome in {None, Outcome.ABANDONED}
                for row in (rows[one.team], "_org"):
                    watched[row].append((taken, unanswered))
        for row, loops in watched.items():
            yield row, window.label, loops


def _labels(present: Sequence[Experiment], since: datetime, most: int) -> Mapping[str, str]:
    """For each team, the value of the label `team`: the team's name, `_other` or `_none`."""
    loops: dict[str, int] = {}
    for one in present:
        if one.team and not one.team.startswith("_"):
            counts = one.concluded_at is None or max(one.instants) >= since
            loops[one.team] = loops.get(one.team, 0) + counts
    ranked = sorted(loops, key=lambda team: (-loops[team], team))
    rows = {team: team if place < most else "_other" for place, team in enumerate(ranked)}
    return {one.team: rows.get(one.team, "_none") for one in present}
