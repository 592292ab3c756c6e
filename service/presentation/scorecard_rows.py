"""The rows of the scorecard's table: each value as text, with the size of its sample and its previous value."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from service.lifecycle.durations import measure_duration
from service.lifecycle.taxonomy import FailureCategory
from service.scorecard.figure import Count, Figure, Moment, OfCategory, Share

UNKNOWN = "not known yet"
_BAR = 4
_PARTS = " ▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table.

    Attributes:
        text: the value as text; empty if there is no value.
        sample: the size of the sample, or an empty text if the value is itself a number of experiments.
        previous: the previous value and the direction of the change, or an empty text.
        reason: the reason why there is no value.
        too_few: whether the reason is the size of the sample.
    """

    label: str
    text: str
    sample: str = ""
    previous: str = ""
    reason: str = ""
    colour: str | None = None
    too_few: bool = False


def figure_row(label: str, figure: Figure[Any], minimum: int, more: str = "") -> Row:
    """A row with the value of a figure, or with the reason why there is no value.

    Args:
        minimum: the fewest experiments for which a value is published.
        more: text to show after the value.
    """
    previous = _previous(figure)
    if figure.value is None:
        return Row(label, "", previous=previous, reason=figure.reason or "", too_few=figure.n < minimum)
    sample = "" if isinstance(figure, Moment) else f"n {figure.n}"
    return Row(label, f"{_text(figure)}{more}", sample, previous)


def counted(label: str, count: Count, population: str = "") -> Row:
    """A row with a number of experiments and, if there is a population, the number of experiments in it."""
    if count.value is None:
        return Row(label, "", previous=_previous(count), reason=count.reason or "")
    if not population:
        return Row(label, str(count.value), previous=_previous(count))
    if not count.n:
        before = _previous_part(count) if count.previous.n else ""
        return Row(label, "", previous=before, reason=f"none {population}")
    return Row(label, f"{count.value} of {count.n} {population}", previous=_previous_part(count))


def category_row(of_category: OfCategory) -> Row:
    """A row with the failures in a category: their share, or their number if there are too few answers for shares."""
    count, share = of_category.count, of_category.share_of_answered
    if share.value is None:
        return Row(str(of_category.category), f"{count.value} of {count.n} failed", previous=_previous(count))
    text = f"{_percent(share.value)} ({count.value} of {share.n} answered)"
    return Row(str(of_category.category), text, previous=_previous(share))


def combine(missing: Sequence[Row], minimum: int, label: str = "") -> Row:
    """One row in place of rows without a value: the reason if all have the same one, otherwise their labels too.

    Args:
        label: the label of the combined row, if the rows without a value are all that there is to say under it.
    """
    if label and len({row.reason for row in missing}) == 1:
        return Row(label, "", reason=missing[0].reason)
    by_reason: defaultdict[str, list[str]] = defaultdict(list)
    for row in missing:
        by_reason[f"fewer than {minimum} experiments" if row.too_few else row.reason].append(row.label)
    if label and len(by_reason) == 1:
        return Row(label, "", reason=f"{next(iter(by_reason))} for each value")
    reasons = "; ".join(f"{', '.join(labels)}: {reason}" for reason, labels in by_reason.items())
    return Row(UNKNOWN, "", reason=reasons)


def distinct(seconds: float, threshold: float) -> str:
    """A duration in words. If the duration differs from the threshold, its words differ from those of the threshold."""
    text = measure_duration(seconds)
    if seconds == threshold or text != measure_duration(threshold):
        return text
    return f"just {'over' if seconds > threshold else 'under'} {text}"


def listed(groups: Sequence[FailureCategory]) -> str:
    """The groups as people list them: `intelligent, basic and complex`."""
    return " and ".join(filter(None, (", ".join(groups[:-1]), *groups[-1:])))


def bar(value: float | None, longest: float) -> str:
    """A bar whose length shows a value beside the longest one."""
    eighths = round(_BAR * 8 * value / longest) if value and longest else 0
    whole, part = divmod(eighths, 8)
    return f" {'█' * whole}{_PARTS[part] if part else ''}".rstrip()


def _text(figure: Figure[Any]) -> str:
    number = _number(figure, figure.value)
    return f"{figure.words} ({number})" if isinstance(figure, Moment) and figure.words else number


def _previous(figure: Figure[Any]) -> str:
    """The previous value, with an arrow that shows the direction of the change."""
    previous = figure.previous.value
    if previous is None:
        return ""
    number = _number(figure, previous)
    # Compare the rounded numbers: if rounding hides the difference, an arrow would be confusing.
    if figure.value is not None and number == _number(figure, figure.value):
        return "as before"
    if isinstance(figure, Moment) or figure.value is None:
        return f"was {number}"
    return f"{'↑' if figure.value > previous else '↓'} was {number}"


def _previous_part(count: Count) -> str:
    """The previous number with its population. If the population changed too, an arrow would mislead."""
    previous = count.previous
    if previous.value is None or not previous.n or (previous.value, previous.n) == (count.value, count.n):
        return _previous(count)
    return f"was {previous.value} of {previous.n}"


def _number(figure: Figure[Any], value: Any) -> str:
    if isinstance(figure, Moment):
        return f"{value:%Y-%m-%d}"
    if isinstance(figure, Count):
        return str(value)
    return _percent(value) if isinstance(figure, Share) else measure_duration(value)


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")
