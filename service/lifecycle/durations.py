"""The grammar of durations in settings, rules and queries: `90s`, `15m`, `6h`, `14d`."""

import re
from datetime import timedelta

_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST = timedelta(days=3653)
_SHORTEST_WINDOW = timedelta(hours=1)
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


def parse_duration(value: object) -> object:
    """Parse a text such as `90s`, `15m`, `6h` or `14d` into a time span. A value that is not a text stays as it is.

    Raises:
        ValueError: the text is not a duration, or the duration is zero or longer than ten years.
    """
    if not isinstance(value, str):
        return value
    spelled = _DURATION.fullmatch(value.strip())
    span = int(spelled[1]) * _UNITS[spelled[2]] if spelled else timedelta(0)
    if not timedelta(0) < span <= _LONGEST:
        raise ValueError("expected a duration such as 90s, 15m, 6h or 14d, of at most ten years")
    return span


def parse_window(value: object) -> timedelta:
    """Parse the length of a window that ends now, such as `36h` or `90d`.

    Raises:
        ValueError: the text is not a duration, or the duration is shorter than an hour or longer than ten years.
    """
    span = parse_duration(value)
    if not isinstance(span, timedelta) or span < _SHORTEST_WINDOW:
        raise ValueError("expected a window such as 36h or 90d, of at least one hour and at most ten years")
    return span


def format_duration(span: timedelta) -> str:
    """Format a time span in the grammar of settings and labels, in the largest unit that divides the span evenly."""
    unit = next(unit for unit in ("d", "h", "m", "s") if not span % _UNITS[unit])
    return f"{span // _UNITS[unit]}{unit}"
