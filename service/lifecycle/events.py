"""Lifecycle events: immutable statements about one subject.

*Instants* say that something happened; *declarations* state a value that can be restated, replaced and
taken back. The same statement is the same event, whatever delivery brought it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from service.lifecycle.fields import FieldName
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome

Result = Literal["success", "failure"]
DeclarationChannel = Literal["label", "type", "branch", "item", "comment", "api", "derived"]


@dataclass(frozen=True, slots=True)
class Proposed:
    """The idea: the subject came into being."""

    subject: Ref
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Started:
    """Somebody began to work on it.

    `commanded` is true of what was said by a command in a comment: alone among the conclusions and reopenings that
    are heard on evidence, a commanded one holds for the experiment that the evidence serves.
    """

    subject: Ref
    occurred_at: datetime
    commanded: bool = False


@dataclass(frozen=True, slots=True)
class Signalled:
    """A first or further signal came back, from a pipeline or from elsewhere."""

    subject: Ref
    occurred_at: datetime
    result: Result


@dataclass(frozen=True, slots=True)
class Concluded:
    """The loop was closed, with an outcome or without one; `status` is the status whose entering closed it."""

    subject: Ref
    occurred_at: datetime
    outcome: Outcome | None = None
    commanded: bool = False
    status: str = ""


@dataclass(frozen=True, slots=True)
class Reopened:
    """The loop was opened again.

    `left` is the status that was left, where nothing else says that it was opened again: trackers name the statuses
    of a move, and not whether the old one was an end. It reopens only what entering that status had concluded.
    """

    subject: Ref
    occurred_at: datetime
    commanded: bool = False
    left: str = ""


@dataclass(frozen=True, slots=True)
class Shipped:
    """What came of it reached production."""

    subject: Ref
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Active:
    """Any other sign of life: a comment, a push, an edit. Dated to the beginning of its day (UTC), so one a day."""

    subject: Ref
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Declared:
    """A value was stated.

    `overheard` is true where a payload's whole set of labels shows a value and no statement of its change
    was the occasion: such a declaration counts only while nobody has named that label's change. `label` is the label
    that stated it, since several may state the same, and one that goes leaves what another one says.
    """

    subject: Ref
    occurred_at: datetime
    field: FieldName
    value: str
    channel: DeclarationChannel
    overheard: bool = False
    label: str = ""


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A stated value was taken back on the channel, and as far as it was stated by the label, that had stated it."""

    subject: Ref
    occurred_at: datetime
    field: FieldName
    value: str
    channel: DeclarationChannel
    label: str = ""


Instant: TypeAlias = Proposed | Started | Signalled | Concluded | Reopened | Shipped | Active
Declaration: TypeAlias = Declared | Withdrawn
LifecycleEvent: TypeAlias = Instant | Declaration
