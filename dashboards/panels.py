"""The kinds of panel: current values, names of series, trends, bars, histograms and tables."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase
from zlib import crc32

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
from dashboards.promql import bridge_gaps
from dashboards.queries import COUNT, Column, Key, Query, convert
from dashboards.words import PLAIN

DATASOURCE = options.DataSourceRef("prometheus", "${datasource}")
_A_DAY_MILLISECONDS = 25 * 3_600_000.0
"""The longest gap that a trend bridges: a day, which is the default step of `export-history`, plus an hour."""
NO_METRICS = "there are no experiments yet, or no metrics are exported: see the dashboard Data quality"


def explain_too_few(sample: str) -> str:
    """Return the text for an empty panel whose sample, such as *answers*, may be smaller than the minimum sample."""
    return f"there are fewer {sample} in the window than the minimum sample, or {NO_METRICS}"


def explain_none(reason: str) -> str:
    """Return the text for an empty panel, which gives two possible causes: this reason, or missing metrics."""
    return f"{reason}, or {NO_METRICS}"


def derive_id(title: str) -> int:
    """Derive the id of a panel or row from its title, so that the id stays the same if other panels come or go."""
    return crc32(title.encode()) % 1_000_000 + 1


@dataclass(frozen=True, slots=True)
class PanelSpec:
    """The title, caption and size of a panel.

    Attributes:
        title: the question that the panel answers, or the metric that it shows.
        caption: the meaning of the values, and the reasons why values can be missing.
        width: the width in columns; a dashboard has 24 columns.
        height: the height in rows of about 30 pixels.
        missing: the text to show in an empty panel.
        fixed_id: the panel's id, if it is not derived from the title. When you change a title, set `fixed_id` to the
            old id, so that links to the panel keep working.
    """

    title: str
    caption: str
    width: int = 6
    height: int = 8
    missing: str = NO_METRICS
    fixed_id: int | None = None


def build_stat(spec: PanelSpec, *queries: Query) -> Panel:
    """Build a panel of current values, such as a median, its threshold and the size of its sample."""
    return _build_stat(spec, queries, options.BigValueTextMode.VALUE_AND_NAME)


def build_names(spec: PanelSpec, *queries: Query) -> Panel:
    """Build a panel that names the series that have a value now, each in its colour."""
    return _build_stat(spec, queries, options.BigValueTextMode.NAME)


def build_trend(spec: PanelSpec, *queries: Query, unit: str = COUNT, stacked: bool = False) -> Panel:
    """Build a trend of metrics about experiments. `unit` replaces the units of the queries.

    The trend bridges gaps of a day, because by default `export-history` writes one value a day.
    """
    return _build_trend(spec, queries, unit, stacked=stacked, bridged_milliseconds=_A_DAY_MILLISECONDS)


def build_process_trend(spec: PanelSpec, *queries: Query, unit: str = COUNT, stacked: bool = False) -> Panel:
    """Build a trend of metrics about processes, with a gap while Prometheus scrapes nothing."""
    return _build_trend(spec, queries, unit, stacked=stacked, bridged_milliseconds=None)


def build_bars(spec: PanelSpec, *queries: Query, unit: str = COUNT) -> Panel:
    """Build a panel of bars. `unit` replaces the units of the queries."""
    panel = _build_bar_gauge()
    in_unit = _with_letters([replace(query, unit=unit) for query in queries])
    panel.targets = [_build_instant(letter, query) for letter, query in in_unit]
    overrides = [fields.override_query(letter, query, coloured_by_series=False) for letter, query in in_unit]
    return _describe(panel, spec, FieldConfig(unit=unit, min_val=0), overrides)


def build_histogram(spec: PanelSpec, buckets: str) -> Panel:
    """Build a panel that shows the number of values in each bucket of a histogram.

    Args:
        buckets: the expression for the cumulative buckets by `le`. The panel replaces the bucket bounds of metrics
            about experiments by names, such as "up to a day", and shows other bounds as numbers.
    """
    panel = _build_bar_gauge()
    panel.targets = [_build_target("A", buckets, "{{le}}").instant().format(PromQueryFormat.HEATMAP).build()]
    colour = FieldColor(FieldColorModeId.FIXED, PLAIN)
    overrides = [fields.rename_series(bound, name) for bound, name in _BOUNDS]
    return _describe(panel, spec, FieldConfig(unit=COUNT, min_val=0, color=colour), overrides)


def build_table(spec: PanelSpec, keys: Sequence[Key], columns: Sequence[Column], *, largest: str = "") -> Panel:
    """Build a table in alphabetical order of its first key, so that a table of teams is not a ranking.

    Args:
        largest: the title of a column. If given, the table is sorted by this column, with the largest value first.
    """
    order = common.TableSortByFieldState().display_name(largest or keys[0].title).desc(bool(largest))
    panel = table.Panel().sort_by([order]).build()
    panel.targets = [
        _build_target(letter, convert(column.expression, column.unit), "")
        .instant()
        .format(PromQueryFormat.TABLE)
        .build()
        for letter, column in zip(ascii_uppercase, columns, strict=False)
    ]
    panel.transformations = _join_columns(keys, columns)
    overrides = [*map(fields.override_key, keys), *map(fields.override_column, columns)]
    return _describe(panel, spec, FieldConfig(unit=COUNT, color=FieldColor(FieldColorModeId.FIXED, PLAIN)), overrides)


def _build_trend(
    spec: PanelSpec, queries: Sequence[Query], unit: str, *, stacked: bool, bridged_milliseconds: float | None
) -> Panel:
    panel = (
        timeseries.Panel()
        .span_nulls(bridged_milliseconds or False)
        .line_width(2)
        .fill_opacity(40 if stacked else 0)
        .stacking(_build_stacking(stacked=stacked))
        .legend(_build_legend())
        .tooltip(common.VizTooltipOptions().mode(options.TooltipDisplayMode.MULTI))
        .build()
    )
    panel.targets = [
        _build_target(letter, convert(bridge_gaps(query.expression), unit), query.name).range().build()
        for letter, query in _with_letters(queries)
    ]
    overrides = [
        fields.override_query(letter, replace(query, unit=unit), coloured_by_series=True)
        for letter, query in _with_letters(queries)
    ]
    palette = FieldColor(FieldColorModeId.PALETTE_CLASSIC_BY_NAME)
    custom = panel.field_config.defaults.custom if panel.field_config else None
    return _describe(panel, spec, FieldConfig(unit=unit, min_val=0, color=palette, custom=custom), overrides)


def _build_stat(spec: PanelSpec, queries: Sequence[Query], mode: options.BigValueTextMode) -> Panel:
    panel = (
        stat.Panel()
        .orientation(options.VizOrientation.HORIZONTAL)
        .graph_mode(options.BigValueGraphMode.NONE)
        .text_mode(mode)
        .reduce_options(_keep_last())
        .build()
    )
    panel.targets = [_build_instant(letter, query) for letter, query in _with_letters(queries)]
    overrides = [
        fields.override_query(letter, query, coloured_by_series=False) for letter, query in _with_letters(queries)
    ]
    return _describe(panel, spec, FieldConfig(unit=COUNT), overrides)


def _describe(
    panel: Panel, spec: PanelSpec, defaults: FieldConfig, overrides: list[DashboardFieldConfigSourceOverrides]
) -> Panel:
    """Set the title, the size, the id and the display of a panel."""
    panel.title = spec.title
    panel.id_val = spec.fixed_id or derive_id(spec.title)
    panel.description = spec.caption
    panel.datasource = DATASOURCE
    panel.grid_pos = GridPos(h=spec.height, w=spec.width)
    defaults.no_value = spec.missing
    defaults.thresholds = fields.build_thresholds(PLAIN)
    panel.field_config = FieldConfigSource(defaults, overrides)
    return panel


def _build_bar_gauge() -> Panel:
    return (
        bargauge.Panel()
        .orientation(options.VizOrientation.HORIZONTAL)
        .display_mode(options.BarGaugeDisplayMode.BASIC)
        .value_mode(options.BarGaugeValueMode.TEXT)
        .reduce_options(_keep_last())
        .build()
    )


def _build_instant(letter: str, query: Query) -> Dataquery:
    return _build_target(letter, convert(query.expression, query.unit), query.name).instant().build()


def _build_target(letter: str, expression: str, legend: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().ref_id(letter).datasource(DATASOURCE).expr(expression).legend_format(legend)


def _with_letters(queries: Sequence[Query]) -> list[tuple[str, Query]]:
    return list(zip(ascii_uppercase, queries, strict=False))


def _join_columns(keys: Sequence[Key], columns: Sequence[Column]) -> list[DataTransformerConfig]:
    """Join the results of all queries into one table."""
    # Grafana adds the query's letter to the name of a value column only if there are several queries.
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


def _keep_last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)


def _build_legend() -> common.VizLegendOptions:
    legend = common.VizLegendOptions().display_mode(options.LegendDisplayMode.LIST)
    return legend.placement(options.LegendPlacement.BOTTOM).show_legend(show_legend=True)


def _build_stacking(*, stacked: bool) -> common.StackingConfig:
    mode = options.StackingMode.NORMAL if stacked else options.StackingMode.NONE
    return common.StackingConfig().mode(mode).group("A")


_HOUR = 3600.0
_BOUNDS = (
    *((str(hours * _HOUR), f"up to {length}") for hours, length in ((1, "an hour"), (4, "4 hours"), (24, "a day"))),
    *((str(days * 24 * _HOUR), f"up to {days} days") for days in (3, 7, 14, 30, 60, 90, 180, 365)),
    ("+Inf", "longer"),
)
