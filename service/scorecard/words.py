"""Lengths of time and shares in approximate words."""

_MINUTE = 60.0
_HOUR = 60 * _MINUTE
_DAY = 24 * _HOUR
_MONTH = 365.25 * _DAY / 12
_YEAR = 365.25 * _DAY

# An entry covers the lengths of time from the previous entry's bound up to its own bound. If its text is empty, count
# the days or months, as in "about 3 days".
_NAMED = (
    (1.5 * _DAY, "about a day"),
    (6 * _DAY, ""),
    (10 * _DAY, "about a week"),
    (18 * _DAY, "about two weeks"),
    (26 * _DAY, "about three weeks"),
    (45 * _DAY, "about a month"),
    (75 * _DAY, "about two months"),
    (10.5 * _MONTH, ""),
    (18 * _MONTH, "about a year"),
)

_BOLDNESS = ((0.2, "nearly all safe"), (0.4, "more safe"), (0.6, "both alike"), (0.8, "more bold"))


def length_in_words(seconds: float) -> str:
    """A length of time in words, such as *about a week* or *about 5 months*.

    Args:
        seconds: not negative.
    """
    if seconds < _MINUTE:
        return "less than a minute"
    if seconds < 59.5 * _MINUTE:
        return _about(seconds, _MINUTE, "minute")
    if seconds < 22 * _HOUR:
        return _about(seconds, _HOUR, "hour")
    for bound, words in _NAMED:
        if seconds < bound:
            return words or _about(seconds, _DAY if bound < _MONTH else _MONTH, "day" if bound < _MONTH else "month")
    return _about(seconds, _YEAR, "year")


def boldness_in_words(share: float) -> str:
    """The share of bold experiments among the bold and safe ones, in words."""
    return next((words for bound, words in _BOLDNESS if share < bound), "nearly all bold")


def _about(seconds: float, unit: float, name: str) -> str:
    count = round(seconds / unit)
    if count == 1:
        return f"about {'an' if name == 'hour' else 'a'} {name}"
    return f"about {count} {name}s"
