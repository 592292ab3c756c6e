"""Durations are read as people write them, and formatted in one way."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.durations import (
    describe_duration,
    format_duration,
    measure_duration,
    parse_duration,
    parse_window,
)


@pytest.mark.parametrize(
    ("written", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("90 seconds", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("15 min", timedelta(minutes=15)),
        ("1 minute", timedelta(minutes=1)),
        ("36 hours", timedelta(hours=36)),
        ("6 hrs", timedelta(hours=6)),
        ("10 days", timedelta(days=10)),
        ("1w", timedelta(days=7)),
        ("2 weeks", timedelta(days=14)),
        ("2 WKS", timedelta(days=14)),
        ("1d 12h", timedelta(hours=36)),
        ("1d12h", timedelta(hours=36)),
        ("1 week 3 days", timedelta(days=10)),
        ("1w 2d 3h 4m 5s", timedelta(days=9, hours=3, minutes=4, seconds=5)),
        ("  7D\n", timedelta(days=7)),
        ("2\t weeks", timedelta(days=14)),
        ("3653d", timedelta(days=3653)),
    ],
)
def test_a_duration_is_read_as_people_write_it(written: str, span: timedelta) -> None:
    assert parse_duration(written) == span


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("7", "got '7'; the unit is missing, so write 7d for days"),
        ("7 dayz", "got '7 dayz'; dayz is not a unit; did you mean day?"),
        ("2 weaks", "weaks is not a unit; did you mean weeks?"),
        ("7x", "got '7x'; x is not a unit"),
        ("1 month", "months differ in length, so write 30d for a month"),
        ("2 Years", "years differ in length, so write 365d for a year"),
        ("1 quarter", "quarters differ in length, so write 90d for a quarter"),
        ("1M", "M may mean minutes or months, so write 15m or 30d"),
        ("1d 30M", "M may mean minutes or months"),
        ("1.5d", "write a fraction in smaller units, such as 1d 12h"),
        ("1,5 days", "write a fraction in smaller units, such as 1d 12h"),
        ("7d 30d", "write the larger unit first, as in 1d 12h, and separate several durations by commas"),
        ("12h 1d", "write the larger unit first"),
        ("1d 36h", "write the larger unit first"),
    ],
)
def test_the_refusal_of_a_duration_says_how_to_write_it(written: str, hint: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a duration such as 90s, 15m, 6h, 14d or 2 weeks") as refused:
        parse_duration(written)
    assert hint in str(refused.value)


@pytest.mark.parametrize(
    "written", ["", " ", "soon", "d", "-7d", "0d", "0 weeks", "3654d", "522w", "999999999w", "\u0667d", "7d!", "1_0d"]
)
def test_a_text_that_is_no_duration_up_to_ten_years_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match=r"expected a duration such as .* of at most ten years"):
        parse_duration(written)


def test_the_refusal_of_a_long_text_shows_only_its_beginning() -> None:
    with pytest.raises(ValueError, match=re.escape(f"got '{'x' * 40}…'")):
        parse_duration("x" * 41)


def test_a_value_that_is_not_a_text_stays_as_it_is() -> None:
    assert parse_duration(timedelta(days=1)) == timedelta(days=1)


@pytest.mark.parametrize("written", ["59m", "30s", "soon", "1 month"])
def test_a_window_is_at_least_an_hour_long(written: str) -> None:
    with pytest.raises(ValueError, match=r"^expected a window such as 36h, 90d or 2 weeks, of at least one hour"):
        parse_window(written)


@pytest.mark.parametrize(
    ("written", "formatted"),
    [("1w", "7d"), ("2 weeks", "14d"), ("24h", "1d"), ("1d 12h", "36h"), ("90 minutes", "90m")],
)
def test_every_spelling_of_a_duration_has_one_format(written: str, formatted: str) -> None:
    assert format_duration(parse_window(written)) == formatted


@given(
    st.integers(1, 520), st.sampled_from(["s", "m", "h", "d", "w", " seconds", " Minutes", " hrs", " days", " WEEKS"])
)
def test_a_formatted_duration_is_parsed_to_the_same_duration(number: int, unit: str) -> None:
    span = parse_duration(f"{number}{unit}")
    assert isinstance(span, timedelta)
    assert parse_duration(format_duration(span)) == span


@given(st.text())
def test_any_text_is_a_duration_or_is_refused(text: str) -> None:
    try:
        said = format_duration(parse_window(text))
    except ValueError as error:
        said = str(error)
    assert re.match(r"[0-9]+[smhd]$|expected a window", said)


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(0), "0 seconds"),
        (timedelta(microseconds=1), "less than a second"),
        (timedelta(seconds=1), "1 second"),
        (timedelta(minutes=61), "1 hour 1 minute"),
        (timedelta(days=1, minutes=59), "1 day"),
        (timedelta(seconds=353_117), "4 days 2 hours"),
        (timedelta(days=400, seconds=-1), "399 days 23 hours"),
    ],
)
def test_a_duration_in_words_has_its_two_largest_units(span: timedelta, words: str) -> None:
    assert describe_duration(span) == words


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(0), "less than a minute"),
        (timedelta(seconds=29), "less than a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(minutes=59, seconds=29), "59 minutes"),
        (timedelta(minutes=59, seconds=31), "1 hour"),
        (timedelta(hours=1), "1 hour"),
        (timedelta(hours=47, minutes=56), "47.9 hours"),
        (timedelta(hours=47, minutes=58), "2 days"),
        (timedelta(hours=5.25), "5.2 hours"),
        (timedelta(days=1), "24 hours"),
        (timedelta(days=2), "2 days"),
        (timedelta(days=12.34), "12.3 days"),
        (timedelta(days=14), "14 days"),
        (timedelta(days=99.94), "99.9 days"),
        (timedelta(days=100.4), "100 days"),
        (timedelta(days=3653), "3653 days"),
    ],
)
def test_a_measured_duration_is_one_number_with_its_unit(span: timedelta, text: str) -> None:
    assert measure_duration(span.total_seconds()) == text


@given(st.floats(0, 4e8), st.floats(0, 4e8))
def test_a_longer_duration_never_measures_less(one: float, other: float) -> None:
    def seconds(text: str) -> float:
        number, _, unit = text.partition(" ")
        units = {"minute": 60, "hour": 3600, "day": 86400}
        return 0 if number == "less" else float(number) * units[unit.rstrip("s")]

    shorter, longer = sorted((one, other))
    assert seconds(measure_duration(shorter)) <= seconds(measure_duration(longer))
