"""The grammar of durations in settings, rules, options and queries: `90s`, `6h`, `14d`, `2 weeks`, `1d 12h`."""

import re
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise

from service.lifecycle.nearest import did_you_mean

_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_SECONDS: Mapping[str, int] = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 24 * 3600),
    **dict.fromkeys(("w", "wk", "wks", "week", "weeks"), 7 * 24 * 3600),
}
"""The length of each unit, by every spelling of the unit in lower case."""
_HOUR, _DAY = 3600.0, 24 * 3600.0
_DESCRIBED = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_VAGUE: Mapping[str, str] = {
    **dict.fromkeys(("mo", "mon", "month", "months"), "months differ in length, so write 30d for a month"),
    **dict.fromkeys(("y", "yr", "yrs", "year", "years"), "years differ in length, so write 365d for a year"),
    **dict.fromkeys(("q", "quarter", "quarters"), "quarters differ in length, so write 90d for a quarter"),
}
_LONGEST = timedelta(days=3653)
_SHORTEST_WINDOW = timedelta(hours=1)
_LONGEST_SHOWN = 40
_PART = re.compile(r"([0-9]{1,9}) ?([A-Za-z]+)")
_PARTS = re.compile(rf"{_PART.pattern}(?: ?{_PART.pattern})*")
_EXPECTED = "expected a duration such as 90s, 15m, 6h, 14d or 2 weeks, of at most ten years"
_EXPECTED_WINDOW = "expected a window such as 36h, 90d or 2 weeks, of at least one hour and at most ten years"


def parse_duration(value: object) -> object:
    """Parse a text such as `90s`, `14d`, `2 weeks` or `1d 12h`, in any case. A value that is not a text stays as it is.

    Raises:
        ValueError: the text is not a duration, or the duration is zero or longer than ten years.
    """
    return _parse(value, _EXPECTED) if isinstance(value, str) else value


def parse_window(value: object) -> timedelta:
    """Parse the length of a window that ends now, such as `36h`, `90d` or `2 weeks`.

    Raises:
        ValueError: the text is not a duration, or the duration is shorter than an hour or longer than ten years.
    """
    span = _parse(value, _EXPECTED_WINDOW) if isinstance(value, str) else value
    if not isinstance(span, timedelta) or span < _SHORTEST_WINDOW:
        raise ValueError(_EXPECTED_WINDOW)
    return span


def format_duration(span: timedelta) -> str:
    """Format a time span in the grammar of settings and labels, in the largest unit that divides the span evenly."""
    unit = next(unit for unit in ("d", "h", "m", "s") if not span % _UNITS[unit])
    return f"{span // _UNITS[unit]}{unit}"


def describe_duration(span: timedelta) -> str:
    """A duration in words, with its largest unit and the next smaller unit. The duration must not be negative."""
    left = int(span.total_seconds())
    if not left:
        return "less than a second" if span else "0 seconds"
    counts = []
    for unit, seconds in _DESCRIBED:
        count, left = divmod(left, seconds)
        counts.append((count, f"{count} {unit}" if count == 1 else f"{count} {unit}s"))
    first = next(place for place, (count, _) in enumerate(counts) if count)
    return " ".join(words for count, words in counts[first : first + 2] if count)


def measure_duration(seconds: float) -> str:
    """A duration as one number, such as `40 minutes`, `5.5 hours` or `12.3 days`. The duration must not be negative.

    The number has at most one decimal, and none from 100 days on. From 48 hours on, the unit is days.
    """
    # Round before choosing the unit: `60 minutes` beside `1 hour` would look like another duration.
    minutes, hours = round(seconds / 60), round(seconds / _HOUR, 1)
    if minutes < 60:  # noqa: PLR2004
        return _number(minutes, "minute") if seconds >= 30 else "less than a minute"  # noqa: PLR2004
    if hours < 48:  # noqa: PLR2004
        return _number(hours, "hour")
    days = seconds / _DAY
    return _number(round(days, 1) if days < 100 else round(days), "day")  # noqa: PLR2004


def _number(count: float, unit: str) -> str:
    return f"{count:g} {unit}" if count == 1 else f"{count:g} {unit}s"


def _parse(text: str, expected: str) -> timedelta:
    """Parse a text.

    Raises:
        ValueError: the text is not a duration. The message shows the text and, if possible, how to write it instead.
    """
    written = " ".join(text.split())
    parts = [(int(number), unit) for number, unit in _PART.findall(written)] if _PARTS.fullmatch(written) else []
    seconds = sum(number * _SECONDS.get(unit.lower(), 0) for number, unit in parts)
    if (hint := _hint(written, parts)) or not 0 < seconds <= _LONGEST.total_seconds():
        shown = repr(written if len(written) <= _LONGEST_SHOWN else f"{written[:_LONGEST_SHOWN]}…")
        raise ValueError("".join((expected, f", got {shown if written else 'nothing'}", hint and f"; {hint}")))
    return timedelta(seconds=seconds)


def _hint(written: str, parts: list[tuple[int, str]]) -> str:
    """Say how to write a text that is not a duration. Return an empty text if it is a duration, or nothing like one."""
    if re.fullmatch("[1-9][0-9]{0,3}", written):
        return f"the unit is missing, so write {written}d for days"
    if re.fullmatch(r"[0-9]+[.,][0-9]+ ?[A-Za-z]+", written):
        return "write a fraction in smaller units, such as 1d 12h"
    for _, unit in parts:
        if unit.lower() in _VAGUE:
            return _VAGUE[unit.lower()]
        if unit.lower() not in _SECONDS:
            return "; ".join(filter(None, (f"{unit} is not a unit", did_you_mean(unit, _SECONDS))))
        if unit == "M":
            return "M may mean minutes or months, so write 15m or 30d"
    for (_, larger), (number, smaller) in pairwise(parts):
        # Otherwise a list without its commas, such as `7d 30d`, would be one duration.
        if number * _SECONDS[smaller.lower()] >= _SECONDS[larger.lower()]:
            return "write the larger unit first, as in 1d 12h, and separate several durations by commas"
    return ""
