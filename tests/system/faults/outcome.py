"""The results of a trial, and the errors among them."""

from collections import Counter
from dataclasses import dataclass, field

from tests.system.faults.senders import Sent


@dataclass(slots=True)
class Outcome:
    """The results of a trial. Unless something is wrong, `exporters` has one element, and the other lists are empty."""

    seed: int
    faults: Counter[str] = field(default_factory=Counter)
    sent: Sent = field(default_factory=Sent)
    postings: int = 0
    genuine: int = 0
    stored: int = 0
    spooled: int = 0
    starts: int = 0
    not_begun: int = 0
    calm_since: float = 0
    settle_seconds: float = 0
    unanswered: int = 0
    unsettled: str = ""
    fell: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)
    exporters: list[str] = field(default_factory=list)

    def wrong(self) -> dict[str, object]:
        """The errors of the trial, by their names."""
        found: dict[str, object] = {
            "acknowledged and lost": self.lost,
            "stored twice": self.doubled,
            "stored without a valid signature": self.foreign,
            "failed": self.failed,
            "different from the run without faults": self.differences,
            "surprising answers": self.sent.surprises,
            "requests without an answer": self.unanswered,
            "not settled": self.unsettled,
            "ended by themselves": self.fell,
            "not exactly one exporter": self.exporters if len(self.exporters) != 1 else [],
        }
        return {name: value for name, value in found.items() if value}

    def rows(self) -> list[tuple[str, object]]:
        """The names and values that the long fault test prints as rows of a table."""
        return [
            *sorted(self.faults.items()),
            ("starts of processes", self.starts),
            ("starts abandoned because PostgreSQL was down", self.not_begun),
            ("requests scheduled", self.postings),
            ("deliveries sent", self.genuine),
            ("acknowledged at least once", len(self.sent.acknowledged)),
            ("acknowledged as duplicates", self.sent.duplicates),
            ("tampered and refused", self.sent.refused),
            *((f"sent again after {seen}", number) for seen, number in sorted(self.sent.resent.items())),
            ("spooled, at least", self.spooled),
            ("stored", self.stored),
            ("seconds to settle", round(self.settle_seconds, 1)),
            ("losses", len(self.lost)),
            ("doubles", len(self.doubled)),
            ("differences from the run without faults", len(self.differences)),
        ]
