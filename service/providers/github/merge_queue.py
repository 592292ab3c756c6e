"""Merge queues: GitHub tests each pull request of a queue on a branch of its own, and merges what passes.

Source: "Managing a merge queue" in GitHub's documentation.
"""

import re
from collections.abc import Sequence
from datetime import datetime

from service.deliveries.decoding import is_commit, utc
from service.deliveries.observation import Linked, Nothing, Observation
from service.lifecycle.references import change, commit
from service.providers.github.identities import identified
from service.providers.github.payloads import MergeGroupEvent
from service.providers.github.shapes import decode_event

# Such as gh-readonly-queue/main/pr-104-79e78ba1: the branch that the queue merges into, the number of the last pull
# request of the group, and the commit below it. Only GitHub itself may create such a branch.
_QUEUE = "gh-readonly-queue/"
_BRANCH = re.compile(rf"(?:refs/heads/)?{_QUEUE}.+/pr-([0-9]{{1,18}})(?:-[0-9A-Fa-f]{{1,64}})?")


def is_queued(branch: str | None) -> bool:
    """Whether a branch belongs to a merge queue. Such a branch is no experiment, whatever its name says."""
    return branch is not None and branch.startswith(_QUEUE)


def queued(repository: str | None, branch: str | None, sha: str, at: datetime) -> list[Linked]:
    """The link from a commit of a merge queue to the pull request that the branch of the queue names."""
    found = _BRANCH.fullmatch(branch or "")
    if not found or not repository or not is_commit(sha):
        return []
    subject = change("github", repository, int(found[1]))
    return [Linked(commit(sha), "merge queue", subject, frozenset({subject}), at)]


def read_merge_group(payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode_event("merge_group", payload, MergeGroupEvent)
    group = event.merge_group
    if group.head_commit is None or group.head_commit.timestamp is None:
        return Nothing("the merge group names no time")
    at = utc(group.head_commit.timestamp)
    links = queued(event.repository.full_name, group.head_ref, group.head_sha, at)
    known = identified(event.repository, at)
    return [*links, *known] if links else Nothing("the merge group names no pull request", tuple(known))
