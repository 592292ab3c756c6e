"""Words for numbers, and colours for values."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from grafana_foundation_sdk.models.dashboard import (
    DashboardRangeMapOptions,
    RangeMap,
    ValueMap,
    ValueMapping,
    ValueMappingResult,
)

from dashboards.promql import NEVER, NOT_REACHED, TOO_FEW
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics.view import NO_TEAM, OTHER_TEAMS

# 10,000 years, the upper bound of the last range in a call of `_map_ranges`: Grafana ignores a range without a bound.
_EVER = 10_000 * 365 * 86_400.0

PLAIN = "text"
"""The colour of values that are neither good nor bad, and of missing values."""
WITHIN = "green"
OVER = "orange"
BROKEN = "red"
"""The colour of a broken service. Results of people's work are never red."""
PROMPT = "blue"

FAILURE_COLOURS: Mapping[FailureCategory, str] = {
    FailureCategory.INTELLIGENT: "blue",
    FailureCategory.BASIC: "purple",
    FailureCategory.COMPLEX: "yellow",
    FailureCategory.UNCLASSIFIED: "#8e8e8e",
}
OUTCOME_COLOURS: Mapping[Outcome, str] = {
    Outcome.WORKED: "blue",
    Outcome.FAILED: "purple",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.ABANDONED: "#5a5a5a",
    Outcome.UNDECLARED: "#8e8e8e",
}
RISK_COLOURS: Mapping[str, str] = {Risk.BOLD: "blue", Risk.SAFE: "purple", "undeclared": "#8e8e8e"}

Words = Sequence[ValueMapping]


def _map_ranges(*upto: tuple[float, str]) -> list[ValueMapping]:
    """Map ranges to texts, given the upper bound and the text of each range.

    The first range begins at 0. Each other range begins where the previous range ends.
    """
    bounds = [0.0, *(bound for bound, _ in upto)]
    return [
        RangeMap(DashboardRangeMapOptions(low, high, ValueMappingResult(text)))
        for (low, high), (_, text) in zip(pairwise(bounds), upto, strict=True)
    ]


def _map_value(value: float, text: str) -> ValueMapping:
    return RangeMap(DashboardRangeMapOptions(value, value, ValueMappingResult(text)))


WITHHELD: Words = [
    _map_value(TOO_FEW, "too few to tell"),
    _map_value(NOT_REACHED, "not reached within the time observed"),
]
"""Words for the reason why a value is withheld."""

NOT_YET: Words = [_map_value(NEVER, "not yet")]
"""The text for an event that has never happened."""

BOLDNESS: Words = _map_ranges(
    (0.2, "nearly all safe"), (0.4, "more safe"), (0.6, "both alike"), (0.8, "more bold"), (1, "nearly all bold")
)
"""Words for the share of bold experiments among those with a declared risk."""

FRESHNESS: Words = _map_ranges((60, "fresh"), (300, "late"), (_EVER, "stale"))
"""Words for the age of the exported metrics."""

TEAMS: Words = [
    ValueMap({NO_TEAM: ValueMappingResult("no team"), OTHER_TEAMS: ValueMappingResult("other teams")}),
]
"""Names for the rows that stand for no team or for several teams."""
