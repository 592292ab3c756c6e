"""An export contains the values that the metrics had at past moments, as OpenMetrics text with timestamps."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from service.lifecycle.exclusions import Exclusion
from service.lifecycle.experiment import Experiment
from service.lifecycle.history import as_of
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome
from service.metrics.view import View
from service.pipeline.snapshot import render, sample_values
from service.queries.history import ExperimentHistory, Export, TakenLabel, earliest_moment, export_moments, read_history
from service.storage import exclusions, experiments
from service.storage.database import Database
from tests.support.builders import at, experiment, terms
from tests.support.drawn import experiments as any_experiments

TERMS = terms("7d", "365d", min_sample=1)
LABELS = {"job": "loopgauge", "instance": "127.0.0.1:8080"}
DAY = timedelta(days=1)


def exported(
    known: Sequence[Experiment],
    told: Sequence[datetime],
    labels: Mapping[str, str] = LABELS,
    excluded: Sequence[Exclusion] = (),
) -> list[str]:
    """Export the metrics of these experiments at the moments in `told`, and return the lines of the text."""
    export = Export(TERMS, labels, lambda *_: None)
    return b"".join(export.write(ExperimentHistory(known, excluded), told)).decode().splitlines()


def told_of(lines: Sequence[str], then: datetime) -> str:
    """The samples that an export has for one moment, as text without timestamps."""
    stamp = f" {then.timestamp():.0f}"
    return "\n".join(line.removesuffix(stamp) for line in lines if line.startswith("#") or line.endswith(stamp)) + "\n"


def samples(text: str) -> list[tuple[str, tuple[tuple[str, str], ...], float]]:
    """The samples of an OpenMetrics text, sorted."""
    return sorted(
        (sample.name, tuple(sorted(sample.labels.items())), float(sample.value))
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    )


def lines_of(name: str, lines: Sequence[str]) -> list[str]:
    return [line for line in lines if line.startswith(name)]


def test_each_line_has_the_labels_of_a_scrape_the_value_and_the_moment_in_seconds() -> None:
    lines = exported([experiment(idea_at=at(2)), experiment("jira:ML-1", idea_at=at(3))], [at(3), at(4)])
    series = 'loopgauge_experiments_in_flight{instance="127.0.0.1:8080",job="loopgauge",stage="proposed",team="search"}'
    # The timestamps are 3 March 2026, 09:00 UTC, and a day later.
    assert lines_of('loopgauge_experiments_in_flight{instance="127.0.0.1:8080",job="loopgauge",stage="p', lines) == [
        f"{series} 2.0 1772528400",
        f"{series} 2.0 1772614800",
    ]
    assert lines[-1] == "# EOF"


def test_an_experiment_is_exported_as_open_until_its_conclusion() -> None:
    answered = experiment(idea_at=at(2), started_at=at(3), concluded_at=at(5), outcome=Outcome.WORKED)
    lines = exported([answered], [at(1), at(2), at(4), at(6)], {})
    assert lines_of("loopgauge_experiments_in_flight{", lines) == [
        'loopgauge_experiments_in_flight{stage="proposed",team="search"} 1.0 1772442000',
        'loopgauge_experiments_in_flight{stage="proposed",team="search"} 0.0 1772614800',
        'loopgauge_experiments_in_flight{stage="proposed",team="search"} 0.0 1772787600',
        'loopgauge_experiments_in_flight{stage="running",team="search"} 0.0 1772442000',
        'loopgauge_experiments_in_flight{stage="running",team="search"} 1.0 1772614800',
        'loopgauge_experiments_in_flight{stage="running",team="search"} 0.0 1772787600',
    ]
    assert lines_of('loopgauge_experiments_concluded{outcome="worked",team="search",window="7d"', lines) == [
        'loopgauge_experiments_concluded{outcome="worked",team="search",window="7d"} 0.0 1772442000',
        'loopgauge_experiments_concluded{outcome="worked",team="search",window="7d"} 0.0 1772614800',
        'loopgauge_experiments_concluded{outcome="worked",team="search",window="7d"} 1.0 1772787600',
    ]


def test_the_snapshot_timestamp_is_exported_and_the_snapshot_duration_is_not() -> None:
    lines = exported([], [at(3)], {})
    assert lines_of("loopgauge_snapshot", lines) == ["loopgauge_snapshot_timestamp_seconds{} 1.7725284e+09 1772528400"]


def test_families_and_metrics_are_contiguous_and_ordered_by_time() -> None:
    known = [
        experiment(f"github:acme/app#{day}", idea_at=at(day), team=f"team-{day % 3}", concluded_at=at(day + 4))
        for day in range(1, 9)
    ]
    seen: list[str] = []
    before = 0
    for line in exported(known, [at(day) for day in range(1, 14)]):
        if line.startswith("#"):
            family = line.split()[2] if line != "# EOF" else ""
            if line.startswith("# HELP"):
                seen.append(family)
            continue
        series, _, stamp = line.rsplit(" ", 2)
        name, _, labels = series.partition("{")
        assert name.startswith(family)
        buckets_aside = ",".join(label for label in labels.split(",") if not label.startswith("le="))
        metric = f"{family}{buckets_aside}"
        if metric != seen[-1]:
            seen.append(metric)
            before = 0
        assert int(stamp) >= before
        before = int(stamp)
    assert len(seen) == len(set(seen))


def test_a_subject_is_exported_as_excluded_from_its_exclusion_on() -> None:
    lines = exported([], [at(3), at(5)], {}, [Exclusion("unmarked", at(4))])
    assert lines_of('loopgauge_excluded{reason="unmarked",window="7d"', lines) == [
        'loopgauge_excluded{reason="unmarked",window="7d"} 0.0 1772528400',
        'loopgauge_excluded{reason="unmarked",window="7d"} 1.0 1772701200',
    ]


def test_an_empty_label_is_omitted() -> None:
    lines = exported([], [at(3)], {"job": "", "instance": "a"})
    assert lines_of("loopgauge_snapshot", lines)[0].startswith('loopgauge_snapshot_timestamp_seconds{instance="a"} ')


def test_a_label_of_the_metrics_cannot_be_added() -> None:
    with pytest.raises(TakenLabel, match="team"):
        exported([experiment(idea_at=at(2))], [at(3)], {"team": "search"})


def test_an_export_without_moments_has_only_the_closing_line() -> None:
    assert exported([experiment(idea_at=at(2))], []) == ["# EOF"]


# Limit the examples, because it takes long to compute an export and a snapshot for every moment.
@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 9), max_size=8, unique=True).flatmap(
        lambda numbers: st.tuples(*(any_experiments(f"github:acme/app#{number}") for number in numbers))
    ),
    st.lists(st.integers(1, 28), min_size=1, max_size=3, unique=True),
)
def test_the_export_of_a_moment_equals_the_snapshot_of_that_moment(
    known: tuple[Experiment, ...], days: list[int]
) -> None:
    told = [at(day) for day in sorted(days)]
    lines = exported(known, told, {})
    for then in told:
        view = View.of([past for one in known if (past := as_of(one, then))], TERMS, then)
        taken = render(view).openmetrics.decode() + "# EOF\n"
        moment = ("loopgauge_snapshot_timestamp_seconds", (), then.timestamp())
        assert samples(told_of(lines, then)) == sorted([*samples(taken), moment])


def test_the_export_equals_the_current_samples_if_every_instant_is_past() -> None:
    known = [
        experiment(idea_at=at(2), started_at=at(3), first_signal_at=at(4), concluded_at=at(6), shared_at=at(8)),
        experiment("jira:ML-1", idea_at=at(3), team="", last_activity_at=at(9)),
    ]
    told = dict(line.rsplit(" ", 1)[0].rsplit(" ", 1) for line in exported(known, [at(20)], {}) if line[0] != "#")
    today = sample_values(View.of(known, TERMS, at(20)))
    told.pop("loopgauge_snapshot_timestamp_seconds{}")
    assert {name.replace(", ", ","): float(value) for name, value in today.items()} == {
        name: float(value) for name, value in told.items()
    }


def test_moments_are_multiples_of_the_step_and_end_three_hours_ago() -> None:
    midnight = datetime.fromisoformat("2026-03-04T00:00:00+00:00")
    now = at(6, "02:59:59")
    assert export_moments(at(3), now, DAY, now) == [midnight, midnight + DAY]
    now = at(6, "03:00:00")
    assert export_moments(at(3), now, DAY, now) == [midnight, midnight + DAY, midnight + 2 * DAY]
    assert export_moments(at(3), now - DAY, DAY, now) == [midnight, midnight + DAY]
    assert export_moments(at(3), midnight, DAY, now) == [midnight]
    assert export_moments(at(3), midnight - timedelta(seconds=1), DAY, now) == []
    now = midnight + timedelta(hours=3)
    assert export_moments(midnight, now, DAY, now) == [midnight]
    now = at(4, "08:00:00")
    assert export_moments(at(3), now, timedelta(hours=6), now) == [at(3, "12:00:00"), at(3, "18:00:00"), midnight]
    assert export_moments(at(5), at(4), DAY, at(4)) == []


def test_history_begins_with_the_first_idea_but_not_before_the_widest_window() -> None:
    known = ExperimentHistory([experiment(idea_at=at(4)), experiment("jira:ML-1", idea_at=at(3))])
    assert earliest_moment(known, terms("7d", "30d"), at(20)) == at(3)
    assert earliest_moment(known, terms("7d"), at(20)) == at(13)
    assert earliest_moment(ExperimentHistory([]), terms("7d"), at(20)) == at(20)


def test_progress_is_reported_after_each_moment() -> None:
    told: list[tuple[int, int]] = []
    list(Export(TERMS, {}, lambda *progress: told.append(progress)).write(ExperimentHistory([]), [at(3), at(4)]))
    assert told == [(1, 2), (2, 2)]


async def test_the_history_contains_the_exclusions(database: Database) -> None:
    known = experiment(idea_at=at(2))
    async with database.transaction() as connection:
        await experiments.replace(connection, [known], [])
        await exclusions.replace(connection, {Ref("jira:ML-2"): Exclusion("duplicate", at(3))}, [])
    assert await read_history(database) == ExperimentHistory([known], [Exclusion("duplicate", at(3))])
