"""The contents of panels: queries, and the keys and columns of tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.links import Link
from dashboards.words import PLAIN, Words

SECONDS = "s"
DAYS = "suffix:days"
"""The unit of durations of experiments. Grafana would show 12 days, in seconds, as 1.71 weeks."""
DAYS_AGO = "suffix:days ago"
"""The unit of the time since an event."""
RATIO = "percentunit"
COUNT = "none"
"""Grafana's unit for plain numbers; panels show values in this unit as whole numbers."""
NUMBER = "short"
RATE = "ops"
BYTES = "bytes"
TEXT = "string"


def convert(expression: str, unit: str) -> str:
    """The expression with values in the unit of its panel. Expressions for durations return seconds."""
    return f"({expression}) / 86400" if unit in (DAYS, DAYS_AGO) else expression


@dataclass(frozen=True, slots=True)
class Query:
    """A query, and how a panel displays its value.

    Attributes:
        name: the name to show beside the value; `{{label}}` inserts the value of a label.
        words: the words to show instead of numbers; if empty, the panel shows numbers.
        colour: the colour of the value; `PLAIN` for a value that is neither good nor bad.
        bounds: pairs of a value and the colour that applies from that value upwards.
        leads_to: a link to the dashboard with more detail.
        dashed: whether a trend draws a dashed line, as a reference for the other lines.
    """

    name: str
    expression: str
    unit: str = COUNT
    words: Words = ()
    colour: str = PLAIN
    bounds: Sequence[tuple[float, str]] = ()
    leads_to: Link | None = None
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A label that identifies the rows of a table."""

    title: str
    label: str
    words: Words = ()
    leads_to: Link | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: a query with a value for each row.

    Attributes:
        missing: the text in rows without a value.
    """

    title: str
    expression: str
    unit: str = COUNT
    words: Words = ()
    missing: str = "-"
