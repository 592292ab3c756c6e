"""Metrics export the minimum sample, and the number of excluded experiments for each reason."""

from datetime import datetime, timedelta

import pytest

from service.lifecycle.exclusions import Exclusion
from service.lifecycle.experiment import Experiment
from service.metrics.excluded import excluded, minimum_sample
from service.metrics.view import View
from tests.support.builders import at, experiment, terms
from tests.support.rows import Rows, not_zero, rows

NOW = at(20)
A_MICROSECOND = timedelta(microseconds=1)


def counts(
    *exclusions: Exclusion, experiments: tuple[Experiment, ...] = (), windows: tuple[str, ...] = ("7d",)
) -> Rows:
    """The number of exclusions, by reason and window."""
    (family,) = excluded(View.of(experiments, terms(*windows), NOW, exclusions))
    return {(sample.labels["reason"], sample.labels["window"]): sample.value for sample in family.samples}


def counted(*exclusions: Exclusion, experiments: tuple[Experiment, ...] = ()) -> Rows:
    """The number of exclusions by reason and window, in windows of 7 and 30 days. Zeros are omitted."""
    return not_zero(counts(*exclusions, experiments=experiments, windows=("7d", "30d")))


def test_the_operator_configures_the_minimum_sample_for_all_teams() -> None:
    several = [experiment(idea_at=at(1), team=team) for team in ("search", "ads", "")]
    assert rows(minimum_sample, several, terms("7d", min_sample=10), NOW) == {(): 10}
    assert rows(minimum_sample, [], terms("7d"), NOW) == {(): 5}


def test_every_known_reason_has_a_row() -> None:
    reasons = ("future", "negative_duration", "unmarked", "duplicate", "deleted", "archived", "moved", "stated")
    assert counts() == {(reason, "7d"): 0 for reason in reasons}


def test_an_exclusion_counts_in_the_windows_that_contain_its_time() -> None:
    several = [Exclusion("duplicate", at(13)), Exclusion("duplicate", at(12)), Exclusion("unmarked", NOW)]
    assert counted(*several) == {("duplicate", "7d"): 1, ("duplicate", "30d"): 2}


@pytest.mark.parametrize(
    ("since", "count"), [(at(13) - A_MICROSECOND, 0), (at(13), 1), (NOW - A_MICROSECOND, 1), (NOW, 0)]
)
def test_a_window_includes_its_start_and_excludes_its_end(since: datetime, count: int) -> None:
    assert counts(Exclusion("duplicate", since))["duplicate", "7d"] == count


def test_an_experiment_with_an_instant_in_the_future_is_counted_as_excluded_in_every_window() -> None:
    ahead = experiment(idea_at=at(1), concluded_at=at(2), shared_at=at(21))
    assert counted(experiments=(ahead,)) == {("future", "7d"): 1, ("future", "30d"): 1}


def test_an_experiment_counts_once_for_several_negative_stages() -> None:
    twice = experiment(idea_at=at(14), started_at=at(15), concluded_at=at(12), first_signal_at=at(13))
    assert counts(experiments=(twice,))["negative_duration", "7d"] == 1


def test_the_later_of_idea_and_conclusion_decides_which_windows_contain_a_negative_stage() -> None:
    by_idea = experiment("key:1", idea_at=at(13), concluded_at=at(12))
    by_conclusion = experiment("key:2", idea_at=at(5), started_at=at(4), concluded_at=at(14))
    before = experiment("key:3", idea_at=at(5), started_at=at(4), concluded_at=at(12))
    still_open = experiment("key:4", idea_at=at(15), started_at=at(14))
    of_now = experiment("key:5", idea_at=NOW, started_at=at(14))
    several = (by_idea, by_conclusion, before, still_open, of_now)
    assert counted(experiments=several) == {("negative_duration", "7d"): 3, ("negative_duration", "30d"): 4}


def test_an_experiment_with_an_instant_in_the_future_is_not_counted_for_a_negative_stage_too() -> None:
    ahead = experiment(idea_at=at(21), concluded_at=at(14))
    assert counted(experiments=(ahead,)) == {("future", "7d"): 1, ("future", "30d"): 1}


def test_a_reason_of_a_rules_file_has_a_row_in_every_window() -> None:
    exported = counts(Exclusion("out of scope", at(5)), windows=("7d", "30d"))
    assert (exported["out of scope", "7d"], exported["out of scope", "30d"]) == (0, 1)
    assert ("_other", "7d") not in exported


def test_the_twenty_most_frequent_reasons_of_a_rules_file_have_rows_and_the_others_are_combined() -> None:
    frequent = [Exclusion(f"reason {number:02}", at(15)) for number in range(20) for _ in range(2)]
    assert ("_other", "7d") not in counts(*frequent)
    rare = [Exclusion("a rare one", at(15)), Exclusion("another", at(15))]
    assert not_zero(counts(*frequent, *rare, Exclusion("stated", at(15)))) == {
        **{(f"reason {number:02}", "7d"): 2.0 for number in range(20)},
        ("_other", "7d"): 2,
        ("stated", "7d"): 1,
    }


def test_a_reason_that_is_a_reserved_name_or_too_long_or_acts_on_a_terminal_is_combined_with_others() -> None:
    several = [Exclusion(reason, at(15)) for reason in ("_other", "_mine", "x" * 101, "\x1b[31m", "a\u202eb")]
    assert not_zero(counts(*several)) == {("_other", "7d"): 5}


def test_a_reason_of_a_rules_file_may_be_one_of_the_known_reasons() -> None:
    exported = counts(Exclusion("future", at(15)), experiments=(experiment(idea_at=at(21)),))
    assert not_zero(exported) == {("future", "7d"): 2}
