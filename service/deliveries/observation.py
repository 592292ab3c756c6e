"""Observations: what a delivery says, in words that are the same for every provider. Pure.

A provider turns bytes into observations and judges nothing; the rules say what an observation means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from service.lifecycle.aliases import Alias
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import Channel
from service.lifecycle.references import Ref

Kind = Literal[
    "seen",
    "created",
    "assigned",
    "closed",
    "merged",
    "reopened",
    "deleted",
    "superseded",
    "labelled",
    "unlabelled",
    "typed",
    "untyped",
    "moved",
    "finished",
    "deployed",
    "active",
]
"""What was observed of a subject.

*seen* is how an item or change looks when a payload is made, and has no time of its own; every other kind happened at
a time that the payload names: a label or type was put on or taken off, an item moved from status to status, a run
finished, a deployment ended, or there was another sign of life. *superseded* is a branch that got a change, which
stands for it from then on.
"""

Trait = Literal[
    "what",
    "project",
    "title",
    "url",
    "label",
    "item_type",
    "component",
    "branch",
    "reason",
    "status_from",
    "status_to",
    "category_to",
    "resolution_from",
    "resolution",
    "workflow",
    "conclusion",
    "environment",
]
"""What can be known of an observation beside its kind; words are the provider's own.

`what` is `item`, `change` or `branch`. A status category is `new`, `in progress` or `done`.
"""

PLACE: frozenset[Trait] = frozenset({"what", "project", "component", "branch"})
"""Where an item or change belongs: known of all that happens to it, and telling nothing of what happened."""

TRAITS: Mapping[Kind, frozenset[Trait]] = {
    "seen": PLACE | {"title", "url", "label", "item_type", "reason"},
    "created": PLACE,
    "assigned": PLACE,
    "closed": PLACE | {"reason", "status_to"},
    "merged": PLACE,
    "reopened": PLACE,
    "deleted": PLACE,
    "superseded": PLACE,
    "labelled": PLACE | {"label"},
    "unlabelled": PLACE | {"label"},
    "typed": PLACE | {"item_type"},
    "untyped": PLACE | {"item_type"},
    "moved": PLACE | {"status_from", "status_to", "category_to", "resolution_from", "resolution"},
    "finished": frozenset({"workflow", "conclusion", "branch"}),
    "deployed": frozenset({"environment", "conclusion"}),
    "active": frozenset(),
}
"""The traits that an observation of each kind may have."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Something that was observed of one subject.

    Attributes:
        at: when it happened; of *seen* when the payload was made.
        traits: what is known of it; a label may have several values, most have one, and unknown ones are left out.
    """

    kind: Kind
    subject: Ref
    at: datetime
    traits: Mapping[Trait, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Commented:
    """Somebody wrote a comment.

    Attributes:
        insider: whether the author belongs to those who may change the project; None where the payload does not say.
    """

    subject: Ref
    at: datetime
    text: str
    insider: bool | None


@dataclass(frozen=True, slots=True)
class Stated:
    """Lifecycle events that the delivery states in so many words, and that need no rule."""

    events: tuple[LifecycleEvent, ...]


@dataclass(frozen=True, slots=True)
class Linked:
    """All that `stated_by` says on one channel about what a piece of evidence serves."""

    evidence: Ref
    channel: Channel
    stated_by: Ref
    targets: frozenset[Ref]
    at: datetime


@dataclass(frozen=True, slots=True)
class Mentioned:
    """A text in which a ticket's key may stand, and with it what the subject serves."""

    subject: Ref
    channel: Channel
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Renamed:
    """A subject, or everything in a project, is known by another reference from now on."""

    alias: Alias


Observation: TypeAlias = Observed | Commented | Stated | Linked | Mentioned | Renamed


@dataclass(frozen=True, slots=True)
class Nothing:
    """A delivery that says nothing of use, with the reason in words that its sender understands."""

    reason: str


def finished_run(
    subject: Ref, at: datetime, *, workflow: str | None, conclusion: str | None, branch: str | None, message: str | None
) -> list[Observation]:
    """What a run that came to its end says of its commit; its branch and the commit's message may name a ticket."""
    words: Mapping[Trait, str | None] = {"workflow": workflow, "conclusion": conclusion, "branch": branch}
    finished = Observed("finished", subject, at, {trait: (word,) for trait, word in words.items() if word})
    texts: Mapping[Channel, str | None] = {"branch": branch, "message": message}
    return [finished, *(Mentioned(subject, channel, text, at) for channel, text in texts.items() if text)]
