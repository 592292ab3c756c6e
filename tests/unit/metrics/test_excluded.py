"""`loopgauge_excluded`: what figures leave out, by reason."""

from datetime import datetime, timedelta

import pytest

from service.lifecycle.exclusions import Exclusion
from service.lifecycle.experiment import Experiment
from service.metrics.excluded import excluded as families
from service.metrics.view import View
from tests.support.builders import at, experiment, terms

NOW = at(20)
A_MICROSECOND = timedelta(microseconds=1)


def figure(*left_out: Exclusion, loops: tuple[Experiment, ...] = (), windows: str = "7d") -> dict[str, float]:
    """The figure of the first window by reason, and of further ones by reason and window."""
    (family,) = families(View.of(loops, terms(*windows.split()), NOW, left_out))
    first = windows.split(maxsplit=1)[0]
    return {
        sample.labels["reason"] + ("" if sample.labels["window"] == first else f" {sample.labels['window']}"): (
            sample.value
        )
        for sample in family.samples
    }


def counted(*left_out: Exclusion, loops: tuple[Experiment, ...] = (), windows: str = "7d") -> dict[str, float]:
    """The rows that are not zero."""
    return {row: count for row, count in figure(*left_out, loops=loops, windows=windows).items() if count}


def left_out(reason: str, since: datetime) -> Exclusion:
    return Exclusion(reason, since)


def test_it_is_a_gauge_with_a_description() -> None:
    (family,) = families(View.of((), terms("7d"), NOW))
    assert (family.name, family.type) == ("loopgauge_excluded", "gauge")
    assert family.documentation


def test_every_known_reason_has_a_row_where_nothing_is_left_out() -> None:
    assert figure() == {
        "future": 0,
        "negative_duration": 0,
        "unmarked": 0,
        "duplicate": 0,
        "deleted": 0,
        "moved": 0,
        "stated": 0,
    }


def test_what_is_left_out_counts_in_the_windows_that_hold_when_it_was() -> None:
    some = [left_out("duplicate", at(13)), left_out("duplicate", at(12)), left_out("unmarked", NOW)]
    assert counted(*some, windows="7d 30d") == {"duplicate": 1, "duplicate 30d": 2}


def test_an_experiment_with_an_instant_in_the_future_counts_in_every_window() -> None:
    ahead = experiment(idea_at=at(1), concluded_at=at(2), shared_at=at(21))
    assert counted(loops=(ahead,), windows="7d 30d") == {"future": 1, "future 30d": 1}


def test_an_experiment_counts_once_however_many_of_its_stages_would_be_negative() -> None:
    twice = experiment(idea_at=at(14), started_at=at(15), concluded_at=at(12), first_signal_at=at(13))
    assert counted(loops=(twice,)) == {"negative_duration": 1}


def test_a_negative_stage_counts_by_the_later_of_idea_and_conclusion() -> None:
    by_idea = experiment("key:1", idea_at=at(13), concluded_at=at(12))
    by_conclusion = experiment("key:2", idea_at=at(5), started_at=at(4), concluded_at=at(14))
    before = experiment("key:3", idea_at=at(5), started_at=at(4), concluded_at=at(12))
    still_open = experiment("key:4", idea_at=at(15), started_at=at(14))
    of_now = experiment("key:5", idea_at=NOW, started_at=at(14))
    loops = (by_idea, by_conclusion, before, still_open, of_now)
    assert counted(loops=loops, windows="7d 30d") == {"negative_duration": 3, "negative_duration 30d": 4}


def test_a_negative_stage_of_one_in_the_future_does_not_count_beside() -> None:
    assert counted(loops=(experiment(idea_at=at(21), concluded_at=at(14)),)) == {"future": 1}


def test_a_reason_of_a_rules_file_has_a_row_in_every_window() -> None:
    rows = figure(left_out("out of scope", at(5)), windows="7d 30d")
    assert (rows["out of scope"], rows["out of scope 30d"]) == (0, 1)
    assert "_other" not in rows


def test_the_twenty_most_frequent_reasons_of_a_rules_file_have_rows_and_the_rest_are_one() -> None:
    often = [left_out(f"reason {number:02}", at(15)) for number in range(20) for _ in range(2)]
    assert "_other" not in figure(*often)
    seldom = [left_out("a seldom one", at(15)), left_out("another", at(15))]
    rows = counted(*often, *seldom, left_out("stated", at(15)))
    assert rows == {**{f"reason {number:02}": 2.0 for number in range(20)}, "_other": 2, "stated": 1}


def test_a_name_of_ours_and_a_text_that_is_no_name_have_no_row_of_their_own() -> None:
    assert counted(left_out("_other", at(15)), left_out("_mine", at(15)), left_out("x" * 101, at(15))) == {"_other": 3}


def test_a_rules_file_may_use_a_reason_of_ours() -> None:
    ahead = experiment(idea_at=at(21))
    assert counted(left_out("future", at(15)), loops=(ahead,)) == {"future": 2}


@pytest.mark.parametrize(
    ("since", "count"), [(at(13) - A_MICROSECOND, 0), (at(13), 1), (NOW - A_MICROSECOND, 1), (NOW, 0)]
)
def test_what_is_left_out_counts_from_the_beginning_of_the_window_to_before_its_end(
    since: datetime, count: int
) -> None:
    assert figure(left_out("duplicate", since))["duplicate"] == count


def test_what_turns_out_to_be_left_out_for_another_reason_counts_under_that_alone() -> None:
    assert counted(left_out("unmarked", at(15))) == {"unmarked": 1}
    assert counted(left_out("duplicate", at(16))) == {"duplicate": 1}
