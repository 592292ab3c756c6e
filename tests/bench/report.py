"""What benchmarks found: lines of one table, each with its bound, as text and as JSON."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median

_COLUMNS = ("what", "median", "least to most", "against", "ratio", "bound", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One figure, measured in several rounds.

    Attributes:
        what: what was measured, in the words of the table.
        values: one for each round.
        unit: of the values.
        against: what was measured in turn with it, in the same rounds; empty where the figure stands for itself.
        references: the values of that, one for each round and in the same unit.
        least: the least that the ratio, or without a reference the median, is to reach.
        most: the most that it may be.
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
        """Half of the rounds came to no more than this."""
        return median(self.values)

    @property
    def ratio(self) -> float | None:
        """The median of the ratios of each round: what is slow for a while is so for both."""
        if not self.references:
            return None
        return median(value / reference for value, reference in zip(self.values, self.references, strict=True))

    @property
    def met(self) -> bool | None:
        """Whether the bound is kept; None where there is none."""
        if self.least is None and self.most is None:
            return None
        held = self.median if self.ratio is None else self.ratio
        return (self.least is None or held >= self.least) and (self.most is None or held <= self.most)

    @property
    def bound(self) -> str:
        """The bound as it is told: `≥ 0.4`."""
        return " ".join(
            f"{sign} {shown(bound)}" for sign, bound in (("≥", self.least), ("≤", self.most)) if bound is not None
        )


def shown(value: float) -> str:
    """A figure with three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(lines: Iterable[Line]) -> str:
    """The lines as a table in Markdown, its columns aligned for a terminal."""
    rows = [_COLUMNS, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    text = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    ruler = "|".join("-" * (width + 2) for width in widths)
    return "\n".join([f"| {text[0]} |", f"|{ruler}|", *(f"| {row} |" for row in text[1:])])


def _cells(line: Line) -> tuple[str, ...]:
    spread = f"{shown(min(line.values))} to {shown(max(line.values))}" if len(line.values) > 1 else ""
    ratio = "" if line.ratio is None else f"{line.ratio:.2f}"
    met = {None: "", True: "met", False: "NOT MET"}[line.met]
    against = f"{line.against}: {shown(median(line.references))} {line.unit}" if line.references else ""
    return line.what, f"{shown(line.median)} {line.unit}", spread, against, ratio, line.bound, met


def machine() -> dict[str, str]:
    """What it was measured on, and with."""
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
    """Machine and lines, for programs."""
    told = [{**asdict(line), "median": line.median, "ratio": line.ratio, "met": line.met} for line in lines]
    return json.dumps({"machine": machine(), "lines": told}, ensure_ascii=False, indent=1)
