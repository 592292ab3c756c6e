"""The kinds of panel: an answer in words, a trend, bars and a table; each a title, a caption and figures."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase

from grafana_foundation_sdk.builders import bargauge, common, prometheus, stat, table, timeseries
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models.dashboard import (
    DashboardFieldConfigSourceOverrides,
    DataTransformerConfig,
    FieldColor,
    FieldColorModeId,
    FieldConfig,
    FieldConfigSource,
    GridPos,
    Panel,
)
from grafana_foundation_sdk.models.prometheus import Dataquery, PromQueryFormat

from dashboards import fields
from dashboards.figures import COUNT, Column, Figure, Key
from dashboards.promql import through_time
from dashboards.words import PLAIN

DATASOURCE = options.DataSourceRef("prometheus", "${datasource}")
_A_DAY_MILLISECONDS = 25 * 3_600_000.0
"""A day and an hour to spare."""
NO_FIGURES = "no experiments yet, or nothing is exported: see Figures on Data quality"


def few(what: str) -> str:
    """What stands in a panel that has nothing but withheld figures."""
    return f"fewer {what} in the window than the minimum sample, or {NO_FIGURES}"


def none(what: str) -> str:
    """What stands in a panel of which to be empty is no fault."""
    return f"{what}, or {NO_FIGURES}"


@dataclass(frozen=True, slots=True)
class About:
    """What a panel is about.

    Attributes:
        title: what is asked, or told.
        caption: what the figures mean, and when there are none.
        width: of the 24 columns of a dashboard.
        height: in rows of about 30 pixels.
        missing: what stands in the panel where there is nothing to show.
    """

    title: str
    caption: str
    width: int = 6
    height: int = 8
    missing: str = NO_FIGURES


def answer(about: About, *figures: Figure) -> Panel:
    """What is so now: a word first, and the numbers that it rests on below."""
    return _answer(about, figures, options.BigValueTextMode.VALUE_AND_NAME)


def names(about: About, *figures: Figure) -> Panel:
    """Which series there are now: their names are the answer, each in its own colour."""
    return _answer(about, figures, options.BigValueTextMode.NAME)


def trend(about: About, *figures: Figure, unit: str = COUNT, stacked: bool = False) -> Panel:
    """How figures about experiments, all of one unit, went through the time range of the dashboard.

    Their past may have been brought in with a moment for each day: gaps of a day are bridged.
    """
    return _trend(about, figures, unit, stacked=stacked, bridged_milliseconds=_A_DAY_MILLISECONDS)


def process_trend(about: About, *figures: Figure, unit: str = COUNT, stacked: bool = False) -> Panel:
    """How what processes tell of themselves went: where nothing was scraped, the line has a gap."""
    return _trend(about, figures, unit, stacked=stacked, bridged_milliseconds=None)


def bars(about: About, *figures: Figure, unit: str = COUNT) -> Panel:
    """Figures of one unit beside each other."""
    panel = _bars()
    panel.targets = [_instant(letter, figure) for letter, figure in _lettered(figures)]
    overrides = [
        fields.of_figure(letter, _in_unit(figure, unit), coloured_by_series=False)
        for letter, figure in _lettered(figures)
    ]
    return _about(panel, about, FieldConfig(unit=unit, min_val=0), overrides)


def spread(about: About, buckets: str) -> Panel:
    """How many there are between one bound of a histogram and the next.

    Args:
        buckets: the cumulative buckets by `le`, of the bounds that figures about experiments have.
    """
    panel = _bars()
    panel.targets = [_query("A", buckets, "{{le}}").instant().format(PromQueryFormat.HEATMAP).build()]
    colour = FieldColor(FieldColorModeId.FIXED, PLAIN)
    overrides = [fields.renamed(bound, says) for bound, says in _BOUNDS]
    return _about(panel, about, FieldConfig(unit=COUNT, min_val=0, color=colour), overrides)


def rows(about: About, keys: Sequence[Key], columns: Sequence[Column], *, largest: str = "") -> Panel:
    """A table in the order of its first key: teams stand by name, never by who is best.

    Args:
        largest: the title of the column whose largest values come first instead.
    """
    order = common.TableSortByFieldState().display_name(largest or keys[0].title).desc(bool(largest))
    panel = table.Panel().sort_by([order]).build()
    panel.targets = [
        _query(letter, column.expression, "").instant().format(PromQueryFormat.TABLE).build()
        for letter, column in zip(ascii_uppercase, columns, strict=False)
    ]
    panel.transformations = _joined(keys, columns)
    overrides = [*map(fields.of_key, keys), *map(fields.of_column, columns)]
    return _about(panel, about, FieldConfig(unit=COUNT, color=FieldColor(FieldColorModeId.FIXED, PLAIN)), overrides)


def _trend(
    about: About, figures: Sequence[Figure], unit: str, *, stacked: bool, bridged_milliseconds: float | None
) -> Panel:
    panel = (
        timeseries.Panel()
        .span_nulls(bridged_milliseconds or False)
        .line_width(2)
        .fill_opacity(40 if stacked else 0)
        .stacking(_stacking(stacked=stacked))
        .legend(_legend())
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI))
        .build()
    )
    panel.targets = [
        _query(letter, through_time(figure.expression), figure.says).range().build()
        for letter, figure in _lettered(figures)
    ]
    overrides = [
        fields.of_figure(letter, _in_unit(figure, unit), coloured_by_series=True)
        for letter, figure in _lettered(figures)
    ]
    palette = FieldColor(FieldColorModeId.PALETTE_CLASSIC_BY_NAME)
    return _about(panel, about, FieldConfig(unit=unit, min_val=0, color=palette, custom=_custom(panel)), overrides)


def _answer(about: About, figures: Sequence[Figure], mode: options.BigValueTextMode) -> Panel:
    panel = (
        stat.Panel()
        .orientation(options.VizOrientation.HORIZONTAL)
        .graph_mode(options.BigValueGraphMode.NONE)
        .text_mode(mode)
        .reduce_options(_last())
        .build()
    )
    panel.targets = [_instant(letter, figure) for letter, figure in _lettered(figures)]
    overrides = [fields.of_figure(letter, figure, coloured_by_series=False) for letter, figure in _lettered(figures)]
    return _about(panel, about, FieldConfig(unit=COUNT), overrides)


def _about(
    panel: Panel, about: About, shown: FieldConfig, overrides: list[DashboardFieldConfigSourceOverrides]
) -> Panel:
    """The panel with its title, its size, and what holds for all that it shows."""
    panel.title = about.title
    panel.description = about.caption
    panel.datasource = DATASOURCE
    panel.grid_pos = GridPos(h=about.height, w=about.width)
    shown.no_value = about.missing
    shown.thresholds = fields.steps(PLAIN)
    panel.field_config = FieldConfigSource(shown, overrides)
    return panel


def _bars() -> Panel:
    return (
        bargauge.Panel()
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .value_mode(options.BarGaugeValueMode.TEXT)
        .reduce_options(_last())
        .build()
    )


def _custom(panel: Panel) -> object:
    return panel.field_config.defaults.custom if panel.field_config else None


def _instant(letter: str, figure: Figure) -> Dataquery:
    return _query(letter, figure.expression, figure.says).instant().build()


def _query(letter: str, expression: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).datasource(DATASOURCE).expr(expression).legend_format(legend)


def _lettered(figures: Sequence[Figure]) -> list[tuple[str, Figure]]:
    return list(zip(ascii_uppercase, figures, strict=False))


def _in_unit(figure: Figure, unit: str) -> Figure:
    return replace(figure, unit=unit)


def _joined(keys: Sequence[Key], columns: Sequence[Column]) -> list[DataTransformerConfig]:
    """The answers to all queries as one table: where there is but one, Grafana names its values without a letter."""
    letters = ascii_uppercase[: len(columns)]
    values = [f"Value #{letter}" for letter in letters] if len(columns) > 1 else ["Value"]
    titles = {key.label: key.title for key in keys}
    titles |= {value: column.title for value, column in zip(values, columns, strict=True)}
    organised = {
        "excludeByName": {"Time": True},
        "indexByName": {name: place for place, name in enumerate(titles)},
        "renameByName": titles,
    }
    return [
        DataTransformerConfig(id_val="merge", options={}),
        DataTransformerConfig(id_val="organize", options=organised),
    ]


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)


def _legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(options.LegendDisplayMode.LIST)
    return legend.placement(options.LegendPlacement.BOTTOM).show_legend(show_legend=True)


def _stacking(*, stacked: bool) -> common.StackingConfig:
    mode = options.StackingMode.NORMAL if stacked else options.StackingMode.NONE
    return common.StackingConfig().mode(mode).group("A")


_HOUR = 3600.0
_BOUNDS = (
    *((str(hours * _HOUR), f"up to {says}") for hours, says in ((1, "an hour"), (4, "4 hours"), (24, "a day"))),
    *((str(days * 24 * _HOUR), f"up to {days} days") for days in (3, 7, 14, 30, 60, 90, 180, 365)),
    ("+Inf", "longer"),
)
