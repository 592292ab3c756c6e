"""Durations that are valid but probably not intended, such as minutes in place of months."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

from service.lifecycle.durations import describe_duration, format_duration
from service.settings.faults import variable_of
from service.settings.model import Settings

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_EFFECTS: Mapping[str, str] = {
    "raw_retention": "loopgauge deletes bodies of deliveries older than {}, so a replay skips these deliveries",
    "evidence_retention": "loopgauge deletes evidence that belongs to no experiment after {}, so it cannot count later",
    "forgotten_after": "an experiment counts as forgotten after {} without activity",
}
"""The effect of each setting that should be a day or more."""


def find_doubtful_durations(settings: Settings, thresholds: Mapping[str, timedelta]) -> Iterator[str]:
    """Find durations so short that data is deleted before it can be of use, or that no experiment can meet.

    Args:
        thresholds: the thresholds in force, by team.
    """
    for name, effect in _EFFECTS.items():
        length: timedelta = getattr(settings, name)
        if length < _DAY:
            yield _warn(variable_of([name]), length, effect, _DAY)
    for window in settings.windows:
        if window < _HOUR:
            yield _warn("a window in LOOPGAUGE_WINDOWS", window, "metrics of this window look back {} only", _HOUR)
    for team, length in sorted(thresholds.items()):
        if length < _HOUR:
            named = (
                variable_of(["thresholds", team]) if team in settings.thresholds else f"thresholds.{team} in the rules"
            )
            yield _warn(named, length, "an experiment counts as overdue {} after its idea", _HOUR)


def _warn(setting: str, length: timedelta, effect: str, shortest: timedelta) -> str:
    words = describe_duration(length)
    remedy = f"set {format_duration(shortest)} or more"
    if format_duration(length).endswith("m"):
        remedy = "m means minutes, so write months in days, such as 90d"
    return f"{setting} is {words}: {effect.format(words)}; {remedy}"
