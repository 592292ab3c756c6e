"""Trust: events on evidence that do not count for an experiment, because of the place or the author of the evidence.

- A command counts for experiments of its own project, and of the projects that the rules name for it. The author of a
  command may change the project in which the command is written, and need not have any right in another project.
- A check or commit status counts only for a commit without the result of a run.
- The change of an outsider neither starts, signals nor ships an experiment until the change is merged. Anyone may open
  a change in a public repository, and write that it closes an issue.
"""

import re
from collections.abc import Collection, Iterable, Sequence

from service.lifecycle.declarations import current_values
from service.lifecycle.events import (
    Concluded,
    Declared,
    LifecycleEvent,
    Reopened,
    Shipped,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.references import Ref, split_project

OUTSIDE_PROJECT = (
    "a command counts for experiments of its own project only; comment on the experiment itself, or name its project "
    "in `trust_projects` of the rules file"
)
_WITHOUT_PROJECT = ("key:", "commit:")
OUTSPOKEN = "a check or commit status counts only for a commit without the result of a run"
UNMERGED = "the change of an outsider neither starts, signals nor ships an experiment until it is merged"


def is_command(event: LifecycleEvent) -> bool:
    """Whether an event comes from a command in a comment. A command on evidence applies to the experiment."""
    match event:
        case Started() | Signalled() | Concluded() | Reopened() | Shipped():
            return event.commanded
        case Declared() | Withdrawn():
            return event.channel == "comment"
        case _:
            return False


def find_objection(event: LifecycleEvent, *, own: Collection[str], experiments: Collection[str], vouched: bool) -> str:
    """Say why an event on evidence does not count for an experiment; empty if nothing speaks against it.

    Args:
        own: the projects of the evidence, under all of their names.
        experiments: the projects of the experiment, under all of their names; or, if it has none, its own names.
        vouched: whether the links from the evidence to the experiment hold without the unmerged changes of outsiders.
    """
    if is_command(event):
        return "" if set(own) & set(experiments) or _is_named(event, experiments) else OUTSIDE_PROJECT
    return UNMERGED if not vouched and isinstance(event, Started | Signalled | Shipped) else ""


def without_outspoken(events: Sequence[LifecycleEvent]) -> Sequence[LifecycleEvent]:
    """The events of one subject without the results of checks, if a run has a result for the subject too."""
    if not any(isinstance(event, Signalled) and event.by_check for event in events):
        return events
    return [event for event in events if not is_outspoken(event, events)]


def is_outspoken(event: LifecycleEvent, events: Iterable[LifecycleEvent]) -> bool:
    """Whether an event is the result of a check, and a run has a result for the same subject too.

    Args:
        events: all events on the subject.
    """
    if not (isinstance(event, Signalled) and event.by_check):
        return False
    return any(isinstance(other, Signalled) and not other.by_check and not other.commanded for other in events)


def projects_of(names: Iterable[Ref]) -> frozenset[str]:
    """The projects of the subject that has all of these names. A commit belongs to no project, nor does a `key:`."""
    split = (split_project(name) for name in names if not name.startswith(_WITHOUT_PROJECT))
    return frozenset(project for project, rest in split if rest)


def is_outsiders(own: Iterable[LifecycleEvent]) -> bool:
    """Whether a subject is the change of an outsider, and is not merged yet.

    Args:
        own: all events on the subject.
    """
    stated = [event for event in own if isinstance(event, Declared | Withdrawn) and event.field == "outsider"]
    return bool(stated) and bool(current_values(stated, "outsider"))


def _is_named(event: LifecycleEvent, projects: Iterable[str]) -> bool:
    """Whether the rules name one of the projects for the command."""
    patterns: tuple[str, ...] = getattr(event, "across", ())
    names = [name for project in projects for name in (project, project.partition(":")[2])]
    return any(_matches(pattern, name) for pattern in patterns for name in names)


def _matches(pattern: str, name: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), name, re.IGNORECASE) is not None
