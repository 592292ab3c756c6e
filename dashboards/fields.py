"""How one query or one column of a panel is shown, as Grafana's overrides say it."""

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

from dashboards.figures import COUNT, TEXT, Column, Figure, Key
from dashboards.links import Link
from dashboards.words import PLAIN, Words


def of_figure(letter: str, figure: Figure, *, coloured_by_series: bool) -> DashboardFieldConfigSourceOverrides:
    """What holds for the query of this letter.

    Args:
        coloured_by_series: leave it to Grafana to tell the series of one query apart where no colour is given.
    """
    properties = _shown(figure.unit, figure.words, figure.leads_to)
    if figure.bounds:
        properties.append(DynamicConfigValue("color", FieldColor(FieldColorModeId.THRESHOLDS)))
        properties.append(DynamicConfigValue("thresholds", steps(figure.colour, *figure.bounds)))
    elif figure.colour != PLAIN or not coloured_by_series:
        properties.append(DynamicConfigValue("color", FieldColor(FieldColorModeId.FIXED, figure.colour)))
    if figure.dashed:
        properties.append(DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [10, 10]}))
    return DashboardFieldConfigSourceOverrides(None, MatcherConfig("byFrameRefID", letter), properties)


def of_column(column: Column) -> DashboardFieldConfigSourceOverrides:
    """What holds for a column of figures."""
    missing = DynamicConfigValue("noValue", column.missing)
    return _by_name(column.title, [*_shown(column.unit, column.words, None), missing])


def of_key(key: Key) -> DashboardFieldConfigSourceOverrides:
    """What holds for a column of labels."""
    properties = _shown(TEXT, key.words, key.leads_to)
    if key.hidden:
        properties.append(DynamicConfigValue("custom.hidden", value=True))
    return _by_name(key.title, properties)


def renamed(name: str, says: str) -> DashboardFieldConfigSourceOverrides:
    """A series under another name."""
    return _by_name(name, [DynamicConfigValue("displayName", says)])


def steps(colour: str, *bounds: tuple[float, str]) -> ThresholdsConfig:
    """Colours by value; what has no value, and what is below all bounds but zero, is not painted as good."""
    first = Threshold(None, PLAIN)
    above = [Threshold(value, name) for value, name in ((0.0, colour), *bounds)]
    return ThresholdsConfig(ThresholdsMode.ABSOLUTE, [first, *above])


def _shown(unit: str, words: Words, link: Link | None) -> list[DynamicConfigValue]:
    properties = [DynamicConfigValue("unit", unit)]
    if unit == COUNT:
        properties.append(DynamicConfigValue("decimals", 0))
    if words:
        properties.append(DynamicConfigValue("mappings", list(words)))
    if link:
        properties.append(DynamicConfigValue("links", [link.built()]))
    return properties


def _by_name(name: str, properties: list[DynamicConfigValue]) -> DashboardFieldConfigSourceOverrides:
    return DashboardFieldConfigSourceOverrides(None, MatcherConfig("byName", name), properties)
