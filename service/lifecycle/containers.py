"""Containers: projects, and groups of projects. A container that is deleted or archived takes with it what is in it.

The events of a container are declarations of the field `excluded` on the container's own name, such as
`github:acme/app`, `branch:acme/app`, `gitlab:acme` or `jira:ML`. So they may arrive before or after the events of the
items, and a replay gives the same result.
"""

from collections.abc import Iterable, Iterator, Mapping

from service.lifecycle.declarations import current_values, declarations_in
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.exclusions import Exclusion
from service.lifecycle.groups import groups_of
from service.lifecycle.references import Ref, split_project

ARCHIVED = "archived"
"""The reason of a container that is archived. It excludes only experiments that are open and quiet since then."""

# A name of these schemes contains nothing, whatever its form.
_WITHOUT_PROJECT = frozenset({"key", "run", "commit"})


def is_container(subject: Ref) -> bool:
    """Whether a reference is the name of a project or group, and not of something in it."""
    return subject.partition(":")[0] not in _WITHOUT_PROJECT and not split_project(subject)[1]


def containers_of(subject: Ref) -> Iterator[Ref]:
    """The project that a subject is in, and the groups of this project, from the innermost to the outermost.

    Args:
        subject: the newest name of the subject: a project that has left a group is no longer in it.
    """
    project, rest = split_project(subject)
    if not rest or project.partition(":")[0] in _WITHOUT_PROJECT:
        return
    yield Ref(project)
    yield from groups_of(project)


def find_end(own: Iterable[LifecycleEvent]) -> Exclusion | None:
    """Find out from a container's own events whether it is deleted or archived, and since when."""
    standing = current_values(declarations_in(own), "excluded", several=True)
    # A container may be archived first and then deleted, also at the same moment.
    ends = sorted(standing, key=lambda value: (value.value == ARCHIVED, value.first, value.value))
    return Exclusion(ends[0].value, ends[0].first) if ends else None


def find_ends(events: Mapping[Ref, Iterable[LifecycleEvent]]) -> Mapping[Ref, Exclusion]:
    """The containers among these subjects that are deleted or archived."""
    containers = (subject for subject in events if is_container(subject))
    return {container: end for container in containers if (end := find_end(events[container]))}


def deletion_of(subject: Ref, ends: Mapping[Ref, Exclusion]) -> Exclusion | None:
    """The exclusion of a subject whose project or group is deleted."""
    end = end_of(subject, ends)
    return end if end and end.reason != ARCHIVED else None


def end_of(subject: Ref, ends: Mapping[Ref, Exclusion]) -> Exclusion | None:
    """The exclusion of a subject by its containers: a deletion before an archiving, and a project before its groups."""
    found = [ends[container] for container in containers_of(subject) if container in ends]
    return min(found, key=lambda end: end.reason == ARCHIVED, default=None)
