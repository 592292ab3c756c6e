"""A run of continuous integration, whichever tool runs it."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A run that came to its end.

    Attributes:
        project: the repository, with its owner.
        number: the tool's own number of the run.
    """

    project: str
    sha: str
    branch: str
    message: str
    number: int
    ended_at: datetime
    took: timedelta
    succeeded: bool
