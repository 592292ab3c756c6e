"""Lifecycle events: immutable statements about one subject.

*Instants* say that something happened; *declarations* state a value that can be restated, replaced and
taken back. The same statement is the same event, whatever delivery brought it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from service.lifecycle.evidence import Ref
from service.lifecycle.taxonomy import Outcome

Result = Literal["success", "failure"]
Field = Literal["experiment", "excluded", "title", "url", "team", "risk", "outcome", "failure_category", "shared"]
DeclarationChannel = Literal["label", "type", "branch", "item", "comment", "api", "derived"]


@dataclass(frozen=True, slots=True)
class Proposed:
    """The idea: the subject came into being."""

    subject: Ref
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Started:
    """Somebody began to work on it."""

    subject: Ref
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Signalled:
    """A first or further signal came back, from a pipeline or from elsewhere."""

    subject: Ref
    occurred_at: datetime
    result: Result


@dataclass(frozen=True, slots=True)
class Concluded:
    """The loop was closed, with an outcome or without one."""

    subject: Ref
    occurred_at: datetime
    outcome: Outcome | None


@dataclass(frozen=True, slots=True)
class Reopened:
    """The loop was opened again."""

    subject: Ref
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Declared:
    """A value was stated.

    `overheard` is true where a payload's whole set of labels shows a value and no statement of its change
    was the occasion: such a declaration counts only while nobody has named that label's change.
    """

    subject: Ref
    occurred_at: datetime
    field: Field
    value: str
    channel: DeclarationChannel
    overheard: bool = False


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A stated value was taken back on the channel that had stated it."""

    subject: Ref
    occurred_at: datetime
    field: Field
    value: str
    channel: DeclarationChannel


Instant: TypeAlias = Proposed | Started | Signalled | Concluded | Reopened
Declaration: TypeAlias = Declared | Withdrawn
LifecycleEvent: TypeAlias = Instant | Declaration
