"""Every value of a scorecard agrees with a scrape, and a missing value has a reason."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics.terms import Terms, Window
from service.metrics.view import ORGANISATION, View
from service.pipeline.snapshot import families_of
from service.queries.history import view_as_of
from service.scorecard.compiling import compile_scorecard
from service.scorecard.example import example
from service.scorecard.figure import Figure, Reading, Scorecard
from service.scorecard.rows import Rows
from tests.support.builders import at, experiment, terms
from tests.support.drawn import portfolios as drawn_portfolios
from tests.support.portfolios import NOW, portfolios

ANSWERED = ("worked", "failed", "inconclusive", "undeclared")
STAGES = ("idea_to_start", "start_to_signal", "signal_to_answer", "answer_to_shared", "signal_to_shipped")
Sample = Callable[..., float | None]
Count = Callable[..., float]


def card(
    experiments: Iterable[Experiment],
    given: Terms,
    now: datetime = NOW,
    team: str = ORGANISATION,
    window: Window | None = None,
) -> Scorecard:
    """Compile the scorecard of a team, over the first window by default."""
    view = View.of(experiments, given, now).with_windows(window or given.windows[0])
    return compile_scorecard(team, Rows(view), Rows(view_as_of(view, now - view.terms.longest_window, view.own_rows)))


def scraped(view: View) -> Mapping[frozenset[tuple[str, str]], float]:
    """The value of each sample in a scrape of a view, by name and labels."""
    return {
        frozenset({"name": sample.name.removeprefix("loopgauge_"), **sample.labels}.items()): sample.value
        for family in families_of(view)
        for sample in family.samples
    }


def row(samples: Mapping[frozenset[tuple[str, str]], float], team: str, window: str) -> tuple[Sample, Count]:
    """Return two functions that look up the samples of `team`: the first for values, the second for counts.

    The organisation has no row for counts, so its count is the sum over all teams.
    """
    teams = sorted({dict(labels)["team"] for labels in samples if "team" in dict(labels)} - {ORGANISATION})

    def sample(of: str, name: str, **labels: str) -> float | None:
        keys = [{"name": name, "team": of, **more, **labels} for more in ({"window": window}, {})]
        return next((samples[key] for key in (frozenset(one.items()) for one in keys) if key in samples), None)

    def value(name: str, **labels: str) -> float | None:
        return sample(team, name, **labels)

    def count(name: str, **labels: str) -> float:
        return sum(sample(one, name, **labels) or 0 for one in (teams if team == ORGANISATION else [team]))

    return value, count


def read(shown: Scorecard) -> Iterator[tuple[str, Figure[Any]]]:
    """Yield every figure of a scorecard with its path."""

    def walk(path: str, part: Any) -> Iterator[tuple[str, Figure[Any]]]:
        if isinstance(part, Figure):
            yield path, part
        elif isinstance(part, tuple):
            for one in part:
                yield from walk(f"{path}.{getattr(one, 'stage', None) or getattr(one, 'category', '')}", one)
        elif hasattr(type(part), "model_fields"):
            for name in type(part).model_fields:
                yield from walk(f"{path}.{name}".lstrip("."), getattr(part, name))

    return walk("", shown)


def expected(value: Sample, count: Count) -> dict[str, Any]:
    """The expected value of each figure, computed from the samples of a scrape."""

    def quantile(stage: str, q: str) -> float | None:
        return value("stage_quantile_seconds", stage=stage, q=q)

    bold, safe, undeclared = (count("experiments_proposed", risk=risk) for risk in ("bold", "safe", "undeclared"))
    failures = {category: count("failures", category=category) for category in FailureCategory}
    return {
        "idea_to_answer.median": quantile("idea_to_answer", "0.5"),
        "idea_to_answer.p90": quantile("idea_to_answer", "0.9"),
        "idea_to_answer.answered_within_threshold": value("answered_within_threshold_ratio"),
        "idea_to_answer.with_open_loops.median": value("idea_to_answer_survival_quantile_seconds", q="0.5"),
        "idea_to_answer.with_open_loops.p90": value("idea_to_answer_survival_quantile_seconds", q="0.9"),
        "idea_to_answer.with_open_loops.answered_by_threshold": value("survival_answered_by_threshold_ratio"),
        **{f"idea_to_answer.stages.{stage}.median": quantile(stage, "0.5") for stage in STAGES},
        **{f"idea_to_answer.stages.{stage}.p90": quantile(stage, "0.9") for stage in STAGES},
        "sharing.last_failure_shared": value("last_failure_shared_timestamp_seconds"),
        "sharing.learnings_shared": count("learnings_shared"),
        "sharing.failed": sum(failures.values()),
        "failures.biggest": [one for one in failures if failures[one] == max(failures.values())],
        **{f"failures.categories.{one}.count": failures[one] for one in FailureCategory},
        **{
            f"failures.categories.{one}.share_of_answered": value("failure_category_ratio", category=one)
            for one in FailureCategory
        },
        "bold_or_safe.bold": bold,
        "bold_or_safe.safe": safe,
        "bold_or_safe.undeclared": undeclared,
        "bold_or_safe.share_of_bold": bold / (bold + safe) if bold + safe else None,
        "bold_or_safe.bold_pickup_median": value("pickup_quantile_seconds", risk="bold", q="0.5"),
        "bold_or_safe.safe_pickup_median": value("pickup_quantile_seconds", risk="safe", q="0.5"),
        "loops.open": count("experiments_in_flight", stage="proposed")
        + count("experiments_in_flight", stage="running"),
        "loops.overdue": count("experiments_overdue"),
        "loops.forgotten": count("experiments_forgotten"),
        "loops.repeated": count("repeated_experiments"),
        "loops.abandoned": value("abandoned_ratio"),
    }


def expected_sizes(count: Count) -> dict[str, float]:
    """The expected sample size of some figures, computed from the counts in a scrape."""
    answered, failed = (
        sum(count("experiments_concluded", outcome=one) for one in ANSWERED),
        sum(count("failures", category=one) for one in FailureCategory),
    )
    proposed = sum(count("experiments_proposed", risk=risk) for risk in ("bold", "safe", "undeclared"))
    open_ = count("experiments_in_flight", stage="proposed") + count("experiments_in_flight", stage="running")
    return {
        "idea_to_answer.median": count("stage_samples", stage="idea_to_answer"),
        "idea_to_answer.answered_within_threshold": count("stage_samples", stage="idea_to_answer"),
        **{f"idea_to_answer.stages.{stage}.p90": count("stage_samples", stage=stage) for stage in STAGES},
        "sharing.failed": answered,
        "failures.biggest": failed,
        "failures.categories.basic.count": failed,
        "failures.categories.basic.share_of_answered": answered,
        "bold_or_safe.bold": proposed,
        "loops.overdue": open_,
        "loops.abandoned": answered + count("experiments_concluded", outcome="abandoned"),
    }


# `expected` computes these figures from counts, even if no experiment failed or the sample is too small. A scorecard
# has no value in these cases.
DERIVED = {"failures.biggest", "bold_or_safe.share_of_bold"}


def compare(path: str, reading: Reading[Any], sample: Any) -> None:
    if path in DERIVED and reading.value is None:
        assert reading.reason
    elif isinstance(reading.value, datetime):
        assert reading.value.timestamp() == sample, path
    else:
        assert reading.value == sample, path
    assert (reading.value is None) == (reading.reason is not None), path


def check(experiments: list[Experiment], given: Terms, now: datetime) -> None:
    """Compare every figure of every scorecard with scrapes as of now and as of one window ago."""
    view = View.of(experiments, given, now)
    samples = scraped(view)
    for window in given.windows:
        # The past of a row consists of the same teams as the row today.
        past_view = view_as_of(view, now - window.length, view.own_rows)
        earlier = scraped(past_view)
        for team in (*view.teams, ORGANISATION):
            shown = dict(read(card(experiments, given, now, team, window)))
            today = expected(*row(samples, team, window.label))
            past = expected(*row(earlier, team, window.label))
            assert shown.keys() == today.keys()
            samples_of = expected_sizes(row(samples, team, window.label)[1])
            assert {path: shown[path].n for path in samples_of} == samples_of
            for path, figure in shown.items():
                compare(path, figure, today[path])
                if figure.previous.value is not None:
                    compare(path, figure.previous, past[path])
                assert (figure.previous.value is None) == (figure.previous.reason is not None), path
                # The scrape may have a value for the past where the scorecard has none, if the team had no experiment
                # then, if the figure is in `DERIVED`, or if it needs past activity, which is not stored.
                if past_view.experiments and past[path] is not None and figure.previous.value is None:
                    assert (
                        path in {*DERIVED, "loops.forgotten"}
                        or (team not in past_view.teams and team != ORGANISATION)
                        or not past_view.teams
                    ), path


def test_every_figure_of_random_portfolios_agrees_with_scrapes_as_of_now_and_one_window_ago() -> None:
    for portfolio in portfolios(seed=9, many=60):
        check(list(portfolio.experiments), portfolio.terms, NOW)


@given(drawn_portfolios(), st.integers(0, 400), st.sampled_from([1, 2, 5]), st.sampled_from([1, 200]))
def test_every_figure_of_drawn_portfolios_agrees_with_scrapes_as_of_now_and_one_window_ago(
    experiments: list[Experiment], hours: int, min_sample: int, max_teams: int
) -> None:
    given = terms("2d", "7d", min_sample=min_sample, max_teams=max_teams, forgotten_after=timedelta(days=3))
    check(experiments, given, at(14) + timedelta(hours=hours))


def answered(number: int, days: float = 8, **fields: Any) -> Experiment:
    """An experiment that was answered `number` + 1 hours ago, and whose idea is `days` older than the answer."""
    concluded_at = NOW - timedelta(hours=number + 1)
    fields = {"outcome": Outcome.WORKED, **fields}
    return experiment(f"key:{number}", idea_at=concluded_at - timedelta(days=days), concluded_at=concluded_at, **fields)


def test_a_value_below_the_minimum_sample_is_missing_and_the_reason_shows_the_sample_size() -> None:
    shown = card([answered(number) for number in range(4)], terms("90d"))
    asked = shown.idea_to_answer
    assert (asked.median.value, asked.median.n, asked.median.reason) == (None, 4, "only 4 answered, fewer than 5")
    assert asked.with_open_loops.median.reason == "only 4 proposed, fewer than 5"
    assert shown.failures.categories[0].share_of_answered.reason == "only 4 answered, fewer than 5"
    assert shown.loops.abandoned.reason == "only 4 concluded, fewer than 5"
    assert shown.bold_or_safe.share_of_bold.reason == "none declared bold or safe"
    assert shown.bold_or_safe.bold_pickup_median.reason == "none bold and started"
    assert shown.idea_to_answer.stages[0].p90.reason == "none answered with this stage"
    enough = card([answered(number) for number in range(5)], terms("90d"))
    assert (enough.idea_to_answer.median.value, enough.idea_to_answer.median.n) == (8 * 86400, 5)
    assert enough.idea_to_answer.median.words == "8 days"


def test_a_median_that_is_missing_because_too_few_experiments_are_answered_has_a_reason() -> None:
    loops = [answered(1), *(experiment(f"key:o{number}", idea_at=at(2)) for number in range(5))]
    with_open = card(loops, terms("90d")).idea_to_answer.with_open_loops
    assert with_open.median.reason == "not reached within the time observed"
    assert with_open.p90.reason == "not reached within the time observed"
    assert (with_open.median.n, with_open.answered_by_threshold.n) == (6, 6)


@pytest.mark.parametrize(("days", "words"), [(13.9, "at least 17 %"), (14, None), (20, None)])
def test_the_share_within_the_threshold_is_a_lower_bound_until_an_idea_is_as_old_as_the_threshold(
    days: float, words: str | None
) -> None:
    old = experiment("key:o1", idea_at=NOW - timedelta(days=days))
    new = [experiment(f"key:n{number}", idea_at=NOW - timedelta(hours=number + 1)) for number in range(4)]
    loops = [answered(1, days=0.01), old, *new]
    share = card(loops, terms("90d")).idea_to_answer.with_open_loops.answered_by_threshold
    assert share.words == words
    assert share.value is not None


def test_the_biggest_failure_category_is_a_list_of_categories_if_several_are_equally_big() -> None:
    kinds = ["basic", "complex", "basic", "complex", "unclassified"]
    failed = [
        answered(number, outcome=Outcome.FAILED, failure_category=FailureCategory(kind))
        for number, kind in enumerate(kinds)
    ]
    shown = card(failed, terms("90d"))
    assert (shown.failures.biggest.value, shown.failures.biggest.n) == (["basic", "complex"], 5)
    none_failed = card([answered(1)], terms("90d")).failures.biggest
    assert (none_failed.value, none_failed.n, none_failed.reason) == (None, 0, "none failed")


def test_the_last_shared_failure_is_independent_of_the_window() -> None:
    shared = experiment(
        idea_at=at(1),
        concluded_at=at(2),
        outcome=Outcome.FAILED,
        failure_category=FailureCategory.BASIC,
        shared_at=at(5),
    )
    last = card([shared], terms("7d")).sharing.last_failure_shared
    assert (last.value, last.words, last.n) == (at(5), "15 days ago", 0)
    assert (last.previous.value, last.previous.words) == (at(5), "8 days ago")
    never = card([answered(1, outcome=Outcome.FAILED, failure_category=FailureCategory.BASIC)], terms("7d"))
    assert never.sharing.last_failure_shared.reason == "no failed experiment has been shared yet"


def test_the_previous_value_is_the_value_in_the_window_before() -> None:
    slow = [
        replace(answered(number), idea_at=NOW - timedelta(days=13), concluded_at=NOW - timedelta(days=8))
        for number in range(5)
    ]
    fast = [answered(10 + number, days=2) for number in range(6)]
    median = card([*slow, *fast], terms("7d")).idea_to_answer.median
    assert (median.value, median.n) == (2 * 86400, 6)
    assert (median.previous.value, median.previous.words, median.previous.n) == (5 * 86400, "5 days", 5)


def test_a_figure_has_no_previous_value_if_no_experiment_existed_one_window_ago() -> None:
    opened = card([answered(1)], terms("90d")).loops.open
    assert (opened.previous.value, opened.previous.reason) == (None, "no experiment existed then")


def test_the_number_of_forgotten_experiments_has_no_previous_value() -> None:
    loops = [experiment(idea_at=NOW - timedelta(days=200))]
    forgotten = card(loops, terms("90d")).loops.forgotten
    assert (forgotten.value, forgotten.n) == (1, 1)
    assert (forgotten.previous.value, forgotten.previous.reason) == (None, "past activity is not stored")


def test_a_team_has_its_own_threshold_and_the_organisation_has_the_default() -> None:
    given = terms("90d", thresholds={"search": timedelta(days=7)})
    assert card([answered(1)], given, team="search").idea_to_answer.threshold.words == "7 days"
    assert card([answered(1)], given).idea_to_answer.threshold.words == "14 days"


@pytest.mark.parametrize("team", [ORGANISATION, "search"])
def test_each_figure_is_zero_or_has_a_reason_if_there_are_no_experiments(team: str) -> None:
    for path, figure in read(card([], terms("90d"), team=team)):
        assert figure.n == 0, path
        assert figure.value == 0 or figure.reason, path


def test_bold_and_safe_ideas_have_separate_medians_of_the_wait() -> None:
    waiting = [
        experiment(f"key:{risk}{number}", idea_at=at(2), started_at=at(2 + days), risk=risk)
        for risk, days in ((Risk.BOLD, 9), (Risk.SAFE, 1))
        for number in range(5)
    ]
    shown = card([*waiting, experiment("key:other", idea_at=at(2), started_at=at(2))], terms("90d")).bold_or_safe
    assert (shown.bold_pickup_median.words, shown.bold_pickup_median.n) == ("9 days", 5)
    assert (shown.safe_pickup_median.words, shown.safe_pickup_median.n) == ("24 hours", 5)
    assert (shown.share_of_bold.value, shown.share_of_bold.words, shown.share_of_bold.n) == (0.5, "both alike", 10)


def test_each_figure_of_the_example_scorecard_has_a_value_or_a_reason() -> None:
    shown = example()
    assert shown.teams == ("platform", "search")
    assert all(figure.value is not None or figure.reason for _, figure in read(shown))
    assert shown.idea_to_answer.median.value is not None
    assert shown.sharing.last_failure_shared.value is not None
