"""Errors about bad references, missing subjects and teams, and stored events that cannot be read."""

from collections.abc import Sequence
from dataclasses import dataclass


class LifecycleError(Exception):
    """The base class of the errors in this module. A command that raises such an error prints the error's message."""


class BadReference(LifecycleError):
    """A text is not a reference to a subject; expected a form such as `github:acme/app#45`."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A subject that a text may mean.

    Attributes:
        title: the subject's title; empty if it is unknown.
        url: the address of the subject's page; empty if it is unknown.
    """

    reference: str
    title: str = ""
    url: str = ""


class AmbiguousReference(LifecycleError):
    """A text may mean more than one subject; `candidates` lists their references.

    Attributes:
        candidates: the subjects that the text may mean.
    """

    def __init__(self, text: str, candidates: Sequence[Candidate]) -> None:
        *most, last = (candidate.reference for candidate in candidates)
        super().__init__(f"{text!r} may mean {', '.join(most)} or {last}; use one of these references")
        self.candidates = tuple(candidates)


class UnknownSubject(LifecycleError):
    """Nothing is stored about the subject, or the subject is not an experiment; the message says which."""


class UnreadableEvent(LifecycleError):
    """A stored lifecycle event cannot be read; a newer version of loopgauge wrote it."""


class TooManyRelatives(LifecycleError):
    """A subject has more links, or its relatives have more events, than loopgauge follows.

    Attributes:
        busy: the stored names of the relatives with many events.
    """

    def __init__(self, message: str, busy: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.busy = busy


class UnknownTeam(LifecycleError):
    """The team has no row in the metrics: it has no experiment, or the row `_other` contains its experiments."""
