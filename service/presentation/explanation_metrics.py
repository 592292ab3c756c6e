"""The metrics that count an experiment, as lines of text: the values, and the experiment's part in them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias, assert_never

from service.lifecycle.durations import describe_duration
from service.presentation.explanation import ExplanationAnswer, FigureAnswer

_MERGED = ("team", "window", "q", "experiment", "url")
_WITHHELD = "withheld"
_MEDIAN = "0.5"
_Group: TypeAlias = Sequence[FigureAnswer]


def metric_lines(shown: ExplanationAnswer, width: int) -> Iterator[str]:
    """For each metric, its selector without the team, and the values in each window, if possible on the same line.

    All metrics that are withheld share one line.
    """
    groups = _groups(shown.figures)
    withheld = [group for group in groups.values() if all(map(_is_withheld, group))]
    for selector, group in groups.items():
        if group in withheld:
            continue
        text = _describe(group)
        if len(selector) + len(text) + 2 <= width:
            yield f"{selector}  {text}"
        else:
            yield selector
            yield f"  {text}"
    if withheld:
        yield _all_withheld(groups.values(), withheld, shown.minimum_sample)
    elif any(map(_is_withheld, shown.figures)):
        yield f"withheld: fewer than {shown.minimum_sample} in the sample (LOOPGAUGE_MIN_SAMPLE)"


def _all_withheld(groups: Iterable[_Group], withheld: Sequence[_Group], minimum: int) -> str:
    """One line for the metrics without a published value, with the sizes of their samples."""
    others = [group for group in groups if group[0].sample and group not in withheld]
    sizes = sorted({figure.sample.count for group in withheld for figure in group if figure.sample})
    some = f"{sizes[0]} to {sizes[-1]}" if len(sizes) > 1 else str(sizes[0] if sizes else 0)
    which = "the other shares and medians" if others else "all shares and medians"
    return f"{which}: {_WITHHELD} ({some} of {minimum} needed; see LOOPGAUGE_MIN_SAMPLE)"


def _is_withheld(figure: FigureAnswer) -> bool:
    return figure.value is None and figure.remark.startswith(_WITHHELD)


def _groups(figures: Sequence[FigureAnswer]) -> Mapping[str, _Group]:
    groups: dict[str, list[FigureAnswer]] = {}
    for figure in figures:
        labels = [f'{name}="{value}"' for name, value in figure.labels.items() if name not in _MERGED]
        groups.setdefault(f"{figure.metric}{{{', '.join(labels)}}}" if labels else figure.metric, []).append(figure)
    return groups


def _describe(group: _Group) -> str:
    first = group[0]
    match first.kind:
        case "count":
            return f"{_join(f'{_count(figure)}{_in_window(figure)}' for figure in group)}{_remark(first)}"
        case "share":
            return f"{_join(f'{_window(figure)}{_share(figure)}' for figure in group)}{_membership(group)}"
        case "duration" if first.sample is None:
            return f"its own {_duration(first.own or 0)}{_remark(first)}"
        case "duration":
            return _quantiles(group)
        case "time":
            return _join(map(_moment, group))
        case _ as never:
            assert_never(never)


def _join(parts: Iterable[str]) -> str:
    return ", ".join(parts)


def _count(figure: FigureAnswer) -> str:
    own = f"{figure.own or 0:g}"
    return own if figure.value is None else f"{own} of {figure.value:g}"


def _window(figure: FigureAnswer) -> str:
    return f"{figure.labels['window']} " if "window" in figure.labels else ""


def _in_window(figure: FigureAnswer) -> str:
    return f" in {figure.labels['window']}" if "window" in figure.labels else ""


def _remark(figure: FigureAnswer) -> str:
    return f" ({figure.remark})" if figure.remark else ""


def _share(figure: FigureAnswer) -> str:
    sample = figure.sample
    if sample is None:
        return figure.remark
    parts = f"{figure.numerator.count} of {sample.count}" if figure.numerator else f"estimated from {sample.count}"
    return f"{_percent(figure.value)} ({parts})"


def _percent(value: float | None) -> str:
    return "withheld" if value is None else f"{value:.0%}".replace("%", " %")


def _membership(group: _Group) -> str:
    """Whether the experiment is in the numerator. It is in the denominator of each of its shares."""
    numerators = [figure.numerator for figure in group if figure.numerator]
    if not numerators:
        return ""
    return ": numerator and denominator" if numerators[0].includes else ": denominator only"


def _quantiles(group: _Group) -> str:
    """The experiment's own duration, and the median in each window. The other quantiles are in the JSON document."""
    own = group[0].own
    whose = "no answer of its own" if own is None else f"its own {_duration(own)}"
    medians = _join(map(_median, (figure for figure in group if figure.labels["q"] == _MEDIAN)))
    return f"{whose}; median {medians}"


def _median(figure: FigureAnswer) -> str:
    sample = f" (of {figure.sample.count})" if figure.sample else ""
    if figure.value is not None:
        return f"{_duration(figure.value)}{_in_window(figure)}{sample}"
    return f"{_WITHHELD if _is_withheld(figure) else 'not reached'}{_in_window(figure)}{sample}"


def _duration(seconds: float) -> str:
    return describe_duration(timedelta(seconds=seconds))


def _moment(figure: FigureAnswer) -> str:
    if figure.value is None or figure.own is None:
        return figure.remark
    if figure.value == figure.own:
        return f"{_time(figure.value)}, of this experiment"
    return f"{_time(figure.value)}, of another experiment; its own {_time(figure.own)}"


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
