"""Branches without a change that a push merged into the default branch.

A push to the default branch lists its new commits. If the newest commit of another branch is among them, that branch
was merged.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from service.lifecycle.events import Concluded, Declared, LifecycleEvent
from service.lifecycle.references import Ref


@dataclass(frozen=True, slots=True)
class Head:
    """A commit to which a branch pointed, and when."""

    branch: Ref
    commit: Ref
    since: datetime


def newest_heads(heads: Iterable[Head]) -> list[Head]:
    """The newest head of each branch."""
    newest: dict[Ref, Head] = {}
    for head in sorted(heads, key=lambda one: (one.since, one.commit)):
        newest[head.branch] = head
    return list(newest.values())


def merges_of(head: Head, events: Mapping[Ref, Collection[LifecycleEvent]]) -> list[Concluded]:
    """The events that say that a head came to the default branch, and so concluded its branch.

    A branch that follows the default branch points to a commit that came to the default branch before. This is no merge
    of the branch.
    """
    return [
        event
        for event in events.get(head.commit, ())
        if isinstance(event, Concluded) and not event.commanded and event.occurred_at >= head.since
    ]


def conclude_merged(own: Iterable[LifecycleEvent], merges: Collection[Concluded]) -> list[LifecycleEvent]:
    """The events of a branch with its merges. The deletion of a merged branch tidies up, and does not exclude it."""
    merged_at = min(event.occurred_at for event in merges)
    kept = (event for event in own if not (_is_deletion(event) and event.occurred_at >= merged_at))
    return [*kept, *merges]


def _is_deletion(event: LifecycleEvent) -> bool:
    return isinstance(event, Declared) and (event.field, event.value) == ("excluded", "deleted")
