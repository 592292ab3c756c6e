"""Grafana overrides: the display of one query or one column of a panel."""

from grafana_foundation_sdk.models.dashboard import (
    DashboardFieldConfigSourceOverrides,
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    MatcherConfig,
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
)

from dashboards.links import Link
from dashboards.queries import COUNT, TEXT, Column, Key, Query
from dashboards.words import PLAIN, Words


def override_query(letter: str, query: Query, *, coloured_by_series: bool) -> DashboardFieldConfigSourceOverrides:
    """Return the override for a query, which Grafana identifies by its letter (`refId`).

    Args:
        coloured_by_series: whether Grafana chooses a colour for each series if the query has no colour.
    """
    properties = _display(query.unit, query.words, query.leads_to)
    if query.bounds:
        properties.append(DynamicConfigValue("color", FieldColor(FieldColorModeId.THRESHOLDS)))
        properties.append(DynamicConfigValue("thresholds", build_thresholds(query.colour, *query.bounds)))
    elif query.colour != PLAIN or not coloured_by_series:
        properties.append(DynamicConfigValue("color", FieldColor(FieldColorModeId.FIXED, query.colour)))
    if query.dashed:
        properties.append(DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}))
    return DashboardFieldConfigSourceOverrides(None, MatcherConfig("byFrameRefID", letter), properties)


def override_column(column: Column) -> DashboardFieldConfigSourceOverrides:
    """Return the override for a column of values."""
    missing = DynamicConfigValue("noValue", column.missing)
    return _by_name(column.title, [*_display(column.unit, column.words, None), missing])


def override_key(key: Key) -> DashboardFieldConfigSourceOverrides:
    """Return the override for a column of labels."""
    properties = _display(TEXT, key.words, key.leads_to)
    if key.hidden:
        properties.append(DynamicConfigValue("custom.hidden", value=True))
    return _by_name(key.title, properties)


def rename_series(name: str, new_name: str) -> DashboardFieldConfigSourceOverrides:
    """Return the override that renames a series."""
    return _by_name(name, [DynamicConfigValue("displayName", new_name)])


def build_thresholds(colour: str, *bounds: tuple[float, str]) -> ThresholdsConfig:
    """Return the colours of values: `colour` from zero upwards, and from each bound upwards the colour of that bound.

    A missing value is neutral: it never has the colour of a good value.
    """
    first = Threshold(None, PLAIN)
    above = [Threshold(value, name) for value, name in ((0.0, colour), *bounds)]
    return ThresholdsConfig(ThresholdsMode.ABSOLUTE, [first, *above])


def _display(unit: str, words: Words, link: Link | None) -> list[DynamicConfigValue]:
    properties = [DynamicConfigValue("unit", unit)]
    if unit == COUNT:
        properties.append(DynamicConfigValue("decimals", 0))
    if words:
        properties.append(DynamicConfigValue("mappings", list(words)))
    if link:
        properties.append(DynamicConfigValue("links", [link.to_field()]))
    return properties


def _by_name(name: str, properties: list[DynamicConfigValue]) -> DashboardFieldConfigSourceOverrides:
    return DashboardFieldConfigSourceOverrides(None, MatcherConfig("byName", name), properties)
