"""Observations: the content of a delivery, in a form that all providers share. Pure.

A provider turns bytes into observations. The rules decide what an observation means.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, TypeAlias

from service.lifecycle.aliases import Alias
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import Channel
from service.lifecycle.pushes import Push
from service.lifecycle.references import Ref

Kind = Literal[
    "seen",
    "created",
    "assigned",
    "started",
    "closed",
    "merged",
    "reopened",
    "deleted",
    "restored",
    "archived",
    "unarchived",
    "superseded",
    "labelled",
    "unlabelled",
    "typed",
    "untyped",
    "moved",
    "finished",
    "checked",
    "deployed",
    "active",
]
"""The kind of an observation.

*seen* is the state of an item, change (pull or merge request) or branch that the payload shows. Every other kind is
something that happened: a label or type was added or removed, an item changed its status, a run finished, a check or a
commit status ended, a deployment ended, or there was other activity. *restored*, *archived* and *unarchived* happen to
a whole project or group only. *superseded* means that a change was opened for a branch; the change replaces the branch
from then on.
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
    "ending",
    "status_from",
    "status_to",
    "category_to",
    "resolution_from",
    "resolution",
    "workflow",
    "trigger",
    "conclusion",
    "environment",
]
"""The name of an attribute that an observation has in addition to its kind.

The values are the provider's own words, with three exceptions: `what` is `item`, `change`, `branch`, `commit`,
`project` or `group`; `category_to` is `new`, `in progress` or `done`; and the `reason` of a closed GitLab issue is
`duplicate` or `moved`.
"""

PLACE: frozenset[Trait] = frozenset({"what", "project", "component", "branch"})
"""The traits that say what a subject is and where it belongs. Observations of most kinds may have these traits."""

TRAITS: Mapping[Kind, frozenset[Trait]] = {
    "seen": PLACE | {"title", "url", "label", "item_type", "reason"},
    "created": PLACE,
    "assigned": PLACE,
    "started": PLACE | {"status_to"},
    "closed": PLACE | {"reason", "ending", "status_to"},
    "merged": PLACE,
    "reopened": PLACE,
    "deleted": PLACE,
    "restored": PLACE,
    "archived": PLACE,
    "unarchived": PLACE,
    "superseded": PLACE,
    "labelled": PLACE | {"label"},
    "unlabelled": PLACE | {"label"},
    "typed": PLACE | {"item_type"},
    "untyped": PLACE | {"item_type"},
    "moved": PLACE | {"ending", "status_from", "status_to", "category_to", "resolution_from", "resolution"},
    "finished": frozenset({"workflow", "trigger", "conclusion", "branch"}),
    "checked": frozenset({"workflow", "conclusion", "branch"}),
    "deployed": frozenset({"environment", "conclusion"}),
    "active": frozenset(),
}
"""The traits that an observation of each kind may have."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Something that happened to a subject, or the state that the subject has.

    Attributes:
        at: when the action happened; for *seen*, when the subject had this state. The time is from the payload, with
            one exception: GitLab gives no time for the deletion of a branch, so `at` is then the time of receipt.
        traits: the values of each known trait. A trait such as `label` may have several; an unknown trait is absent.
    """

    kind: Kind
    subject: Ref
    at: datetime
    traits: Mapping[Trait, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Looked:
    """The parts of a subject's state whose absence tells something, as a payload shows them.

    A part is None if the payload does not tell it: it may omit the part, or list only some of the labels.

    Attributes:
        at: when the subject had this state.
        labels: the names of all labels.
        item_type: the name of the type; empty if the subject has none.
        is_open: whether the item or change is open.
        status: the id of the status of a ticket; empty if the payload does not tell it.
    """

    subject: Ref
    at: datetime
    labels: tuple[str, ...] | None = None
    item_type: str | None = None
    is_open: bool | None = None
    status: str = ""


@dataclass(frozen=True, slots=True)
class Commented:
    """A comment was written, edited or deleted.

    Attributes:
        at: when the comment was written; for an edit or deletion, when this happened.
        insider: whether the author may change the project; None if the payload does not say.
        edited: whether an earlier comment was edited.
        earlier: the text before the edit; None if the payload does not say.
        association: the payload's word for the relation of an author without this right to the project, such as
            `CONTRIBUTOR`; empty if it has none.
        deleted: whether the comment was deleted.
    """

    subject: Ref
    at: datetime
    text: str
    insider: bool | None
    edited: bool = False
    earlier: str | None = None
    association: str = ""
    deleted: bool = False


@dataclass(frozen=True, slots=True)
class Stated:
    """Lifecycle events that the delivery itself states, so that no rule is needed.

    Attributes:
        unread: a reason for each part of the statement that has no effect, such as a misspelt property.
        by_hand: whether a person states the events, with a command or the API, rather than a program.
    """

    events: tuple[LifecycleEvent, ...]
    unread: tuple[str, ...] = ()
    by_hand: bool = False


@dataclass(frozen=True, slots=True)
class Linked:
    """All subjects that a piece of evidence links to in one part of a payload.

    `targets` are these subjects, `channel` names the part of the payload, such as `title`, and `stated_by` is the
    subject that the payload describes. `remark` says why the part links to nothing, if that is known.
    """

    evidence: Ref
    channel: Channel
    stated_by: Ref
    targets: frozenset[Ref]
    at: datetime
    remark: str = ""


@dataclass(frozen=True, slots=True)
class Mentioned:
    """A text that may contain keys of tickets. The subject is evidence for the tickets that the text names."""

    subject: Ref
    channel: Channel
    text: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Renamed:
    """A subject, or everything in a project, was given a new reference."""

    alias: Alias


@dataclass(frozen=True, slots=True)
class Pushed:
    """The default branch of a project moved."""

    push: Push


@dataclass(frozen=True, slots=True)
class Identified:
    """A project or an item has this id on this site. An id stays when its project or item gets another name.

    Attributes:
        name: the reference of the project, such as `github:acme/app` or `jira:ML`, or of the item, such as
            `jira:ML-12`.
        site: the host in the payload's own addresses, in lower case, without a default port: `github.com`,
            `acme.atlassian.net`; empty if no address tells it.
        id: the id that the provider gave to the project or item, as text.
        at: when the project or item had this name.
    """

    name: Ref
    site: str
    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Outsider:
    """The author of the texts about a subject may not write to its project, as far as the payload tells.

    Attributes:
        subject: a change, or the commit of a run.
        since: when the change was opened, or the run ended.
        until: when someone with the right to do so merged the change.
        certain: whether the payload tells the author's rights. Otherwise it tells only that the subject is a fork's.
    """

    subject: Ref
    since: datetime
    until: datetime | None = None
    certain: bool = False


Observation: TypeAlias = (
    Observed | Looked | Commented | Stated | Linked | Mentioned | Renamed | Identified | Outsider | Pushed
)


@dataclass(frozen=True, slots=True)
class Nothing:
    """The result of reading a delivery that contains no observations. `reason` says why.

    Attributes:
        identities: the ids that the delivery tells nevertheless.
    """

    reason: str
    identities: tuple[Identified, ...] = ()


OPEN_STATES: Mapping[str, bool] = {
    "open": True,
    "opened": True,
    "reopened": True,
    "closed": False,
    "close": False,
    "merged": False,
}
"""Whether an item or change in a state is open, by the word that a forge uses for the state."""


def finished_run(
    subject: Ref,
    at: datetime,
    *,
    workflow: str | None,
    conclusion: str | None,
    branch: str | None,
    message: str | None,
    trigger: str | None = None,
) -> list[Observation]:
    """The observations of a finished run. The branch and the commit's message may name a ticket."""
    words: Mapping[Trait, str | None] = {
        "workflow": workflow,
        "trigger": trigger,
        "conclusion": conclusion,
        "branch": branch,
    }
    finished = Observed("finished", subject, at, {trait: (word,) for trait, word in words.items() if word})
    texts: Mapping[Channel, str | None] = {"branch": branch, "message": message}
    return [finished, *(Mentioned(subject, channel, text, at) for channel, text in texts.items() if text)]
