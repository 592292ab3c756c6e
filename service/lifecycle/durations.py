"""Lengths of time as settings, rules and queries spell them: `90s`, `15m`, `6h`, `14d`."""

import re
from datetime import timedelta

_UNITS = {"s": timedelta(seconds=1), "m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
_LONGEST = timedelta(days=3653)
_SHORTEST_WINDOW = timedelta(hours=1)
_DURATION = re.compile(r"([0-9]{1,9})([smhd])")


def parse_duration(value: object) -> object:
    """The time span that a text such as `90s`, `15m`, `6h` or `14d` spells; anything but text is left as it is.

    Raises:
        ValueError: the text spells none, or no time at all.
    """
    if not isinstance(value, str):
        return value
    spelled = _DURATION.fullmatch(value.strip())
    span = int(spelled[1]) * _UNITS[spelled[2]] if spelled else timedelta(0)
    if not timedelta(0) < span <= _LONGEST:
        raise ValueError("expected a duration such as 90s, 15m, 6h or 14d, of ten years at the most")
    return span


def parse_window(value: object) -> timedelta:
    """The time up to now that a text such as `36h` or `90d` spells.

    Raises:
        ValueError: the text spells none, or less than an hour.
    """
    span = parse_duration(value)
    if not isinstance(span, timedelta) or span < _SHORTEST_WINDOW:
        raise ValueError("expected a window such as 36h or 90d, of an hour at the least and ten years at the most")
    return span


def spell_duration(span: timedelta) -> str:
    """A time span as it is written in settings and labels, in the largest unit that divides it."""
    unit = next(unit for unit in ("d", "h", "m", "s") if not span % _UNITS[unit])
    return f"{span // _UNITS[unit]}{unit}"
