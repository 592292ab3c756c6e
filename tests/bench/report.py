"""The results of benchmarks: the lines of one table with their bounds, as text and as JSON."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

_RESULTS_BEGIN, _RESULTS_END = "<!-- results of make bench -->", "<!-- end of the results -->"
_COLUMNS = ("what", "median", "least to most", "against", "ratio", "bound", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One quantity, measured in several rounds.

    Attributes:
        what: the name of the quantity in the table.
        values: one value for each round.
        unit: the unit of the values.
        against: the reference, measured in the same rounds; empty if there is no reference.
        references: the values of the reference, one for each round, in the same unit.
        least: the lower bound of `ratio` or, without a reference, of `median`.
        most: the upper bound of `ratio` or, without a reference, of `median`.
    """

    what: str
    values: Sequence[float]
    unit: str
    against: str = ""
    references: Sequence[float] = field(default=())
    least: float | None = None
    most: float | None = None

    @property
    def median(self) -> float:
        """The median of the rounds."""
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        """The median of the rounds' ratios of value to reference; None if there is no reference.

        A slow phase of the machine slows both values of a round, but hardly changes their ratio.
        """
        if not self.references:
            return None
        return median(value / reference for value, reference in zip(self.values, self.references, strict=True))

    @property
    def met(self) -> bool | None:
        """Whether the line is within its bound; None if the line has no bound."""
        if self.least is None and self.most is None:
            return None
        held = self.median if self.ratio is None else self.ratio
        return (self.least is None or held >= self.least) and (self.most is None or held <= self.most)

    @property
    def bound(self) -> str:
        """The bound as text: `≥ 0.4`."""
        return " ".join(
            f"{sign} {shown(bound)}" for sign, bound in (("≥", self.least), ("≤", self.most)) if bound is not None
        )


def shown(value: float) -> str:
    """A number with three significant digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(lines: Iterable[Line]) -> str:
    """Format the lines as a Markdown table with aligned columns."""
    rows = [_COLUMNS, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    text = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    ruler = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {text[0]} |", f"|{ruler}|", *(f"| {row} |" for row in text[1:])])


def replace_results(page: str, results: str) -> str:
    """Return the Markdown page with new results: the text between the two lines that mark it.

    Raises:
        ValueError: the page has no such lines.
    """
    before, begin, rest = page.partition(_RESULTS_BEGIN)
    _, end, after = rest.partition(_RESULTS_END)
    if not begin or not end:
        raise ValueError(f"expected the lines {_RESULTS_BEGIN} and {_RESULTS_END} in the page")
    return f"{before}{begin}\n\n{results}\n\n{end}{after}"


def _cells(line: Line) -> tuple[str, ...]:
    spread = f"{shown(min(line.values))} to {shown(max(line.values))}" if len(line.values) > 1 else ""
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    met = {None: "", True: "met", False: "NOT MET"}[line.met]
    against = f"{line.against}: {shown(median(line.references))} {line.unit}" if line.references else ""
    return line.what, f"{shown(line.median)} {line.unit}", spread, against, ratio, line.bound, met


def machine() -> dict[str, str]:
    """The hardware and the software versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "at": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in ("loopgauge", "fastapi", "uvicorn", "uvloop", "asyncpg")},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def as_json(lines: Iterable[Line]) -> str:
    """Format the machine and the lines as JSON."""
    told = [{**asdict(line), "median": line.median, "ratio": line.ratio, "met": line.met} for line in lines]
    return json.dumps({"machine": machine(), "lines": told}, ensure_ascii=False, indent=1)
