"""A run of continuous integration, in a form that does not depend on the tool."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A finished run.

    Attributes:
        project: the repository, with its owner.
        number: the number that the tool gave to the run.
        conclusion: the tool's word for the result; if empty, the tool's usual word for success or failure.
    """

    project: str
    sha: str
    branch: str
    message: str
    number: int
    ended_at: datetime
    took: timedelta
    succeeded: bool
    conclusion: str = ""

    def result(self, success: str, failure: str) -> str:
        """The result of the run, in the words of a tool."""
        return self.conclusion or (success if self.succeeded else failure)
