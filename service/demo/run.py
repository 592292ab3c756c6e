"""A run of continuous integration, the same for every tool."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        project: the repository, with its owner.
        number: the tool's number of the run.
    """

    project: str
    sha: str
    branch: str
    message: str
    number: int
    ended_at: datetime
    took: timedelta
    succeeded: bool
