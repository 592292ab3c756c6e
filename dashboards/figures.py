"""What a panel shows: figures, and the keys and columns of tables."""

from collections.abc import Sequence
from dataclasses import dataclass

from dashboards.links import Link
from dashboards.words import PLAIN, Words

SECONDS = "s"
RATIO = "percentunit"
COUNT = "none"
"""Of whole things."""
NUMBER = "short"
RATE = "ops"
BYTES = "bytes"
TEXT = "string"


@dataclass(frozen=True, slots=True)
class Figure:
    """A query, and how its value is shown.

    Attributes:
        says: what the reader sees beside the value; labels as `{{label}}`.
        words: what stands for values; a number where there are none.
        colour: of the value. `PLAIN` where it is neither good nor bad.
        bounds: from which value on which colour holds instead.
        leads_to: where more can be read about it.
        dashed: whether a trend draws it as something to compare with.
    """

    says: str
    expression: str
    unit: str = COUNT
    words: Words = ()
    colour: str = PLAIN
    bounds: Sequence[tuple[float, str]] = ()
    leads_to: Link | None = None
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Key:
    """A label by which a table has its rows, or of which a row tells the value."""

    title: str
    label: str
    words: Words = ()
    leads_to: Link | None = None
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: a query that has a value for each row.

    Attributes:
        missing: what stands in rows for which it has none.
    """

    title: str
    expression: str
    unit: str = COUNT
    words: Words = ()
    missing: str = "-"
