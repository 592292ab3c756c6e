"""Lifecycle events: immutable statements about one subject.

An *instant* records that something happened. A *declaration* declares or withdraws the value of a field. Equal
statements are the same event, even if they come from different deliveries. `Shown` records a state, not a change.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeAlias

from service.lifecycle.fields import FieldName
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome

EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
"""The earliest time that an event may have. Some senders write an earlier time, such as the year 1, if they have none.
"""
LATEST = datetime(3000, 1, 1, tzinfo=UTC)
"""The time before which every event must be. This excludes times that stand for infinity, such as the year 9999."""

Result = Literal["success", "failure"]
RefusedChannel = Literal["comment", "label", "link"]
DeclarationChannel = Literal["label", "type", "branch", "item", "comment", "api", "derived"]


@dataclass(frozen=True, slots=True)
class Proposed:
    """The idea: the subject was created."""

    subject: Ref
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Started:
    """Work on the subject began.

    Attributes:
        commanded: whether the event comes from a command in a comment. A command on a piece of evidence applies to the
            experiment that the evidence serves. A conclusion or reopening of evidence applies to that experiment only
            if it comes from a command.
        across: patterns of further projects, which the rules name. A command applies to the experiments of these
            projects too.
    """

    subject: Ref
    occurred_at: datetime
    commanded: bool = False
    across: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signalled:
    """A result of the work came back, for example from a pipeline.

    Attributes:
        by_check: whether the result is that of a check or a commit status. Such a result counts only if no other result
            of the same subject is known: a tool may report a run and also set a status, at another time.
    """

    subject: Ref
    occurred_at: datetime
    result: Result
    commanded: bool = False
    across: tuple[str, ...] = ()
    by_check: bool = False


@dataclass(frozen=True, slots=True)
class Concluded:
    """The experiment was concluded, with an outcome or without one.

    Attributes:
        status: the ticket's new status, if a status change concluded the experiment; otherwise empty.
    """

    subject: Ref
    occurred_at: datetime
    outcome: Outcome | None = None
    commanded: bool = False
    status: str = ""
    across: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reopened:
    """The experiment was reopened.

    Attributes:
        left: the ticket's previous status; empty if the payload reports no change of status, or reports that the
            ticket lost its resolution. The payload does not say whether the previous status was final. So an event with
            a previous status reopens the experiment only if a `Concluded` event since the last reopening has this
            status.
    """

    subject: Ref
    occurred_at: datetime
    commanded: bool = False
    left: str = ""
    across: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Shipped:
    """The result of the work reached production."""

    subject: Ref
    occurred_at: datetime
    commanded: bool = False
    across: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Active:
    """Other activity: a comment, a push, an edit.

    A subject has at most one `Active` event a day, at the beginning of the day (UTC).
    """

    subject: Ref
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class Declared:
    """A value was declared.

    Attributes:
        overheard: whether the payload only lists the label among the subject's labels, and does not report that the
            label was added. A delivery that reports the addition dates the label instead. A removal at the same time
            wins.
        label: the label that states the value. Several labels may state the same value; each is withdrawn separately.
    """

    subject: Ref
    occurred_at: datetime
    field: FieldName
    value: str
    channel: DeclarationChannel
    overheard: bool = False
    label: str = ""
    across: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A declared value was withdrawn, on one channel.

    Attributes:
        label: the label that was removed. Declarations by other labels still count.
    """

    subject: Ref
    occurred_at: datetime
    field: FieldName
    value: str
    channel: DeclarationChannel
    label: str = ""
    across: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Refused:
    """A command, a label or a link that has no effect, because it is misspelt or its author may not give it.

    The event changes no experiment: it keeps the reason for people who ask why nothing happened. The reason carries no
    person's name, so it quotes only words of the vocabulary and near misses of them.

    Attributes:
        overheard: whether the payload only lists the label among the subject's labels.
        label: the refused label; empty for a command and for a link.
        removed: whether the label was removed, which ends the refusal.
    """

    subject: Ref
    occurred_at: datetime
    channel: RefusedChannel
    reason: str
    overheard: bool = False
    label: str = ""
    removed: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """The state of the subject that a payload shows. `service/lifecycle/shown.py` says what such a state ends.

    Attributes:
        labels: the keys of all labels, in order; None if the payload does not list the labels. A key is a hash
            (`service/lifecycle/shown.py`), because labels may name people.
        item_type: the key of the type, or an empty text if there is none; None if the payload does not tell it.
        is_open: whether the item or change is open; None if the payload does not tell.
        status: the id of the status of a ticket. The name of a status can change, its id cannot.
    """

    subject: Ref
    occurred_at: datetime
    labels: tuple[str, ...] | None = None
    item_type: str | None = None
    is_open: bool | None = None
    status: str = ""


Instant: TypeAlias = Proposed | Started | Signalled | Concluded | Reopened | Shipped | Active
Declaration: TypeAlias = Declared | Withdrawn
LifecycleEvent: TypeAlias = Instant | Declaration | Refused | Shown
