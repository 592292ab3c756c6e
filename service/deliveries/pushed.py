"""Pushes to default branches, as the payloads of providers report them. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.deliveries.decoding import is_commit
from service.deliveries.observation import Pushed
from service.lifecycle.pushes import Push
from service.lifecycle.references import Ref, commit

# All tools begin the message of a merge commit with this word, unless a person chooses another message.
_MERGE = "Merge"


@dataclass(frozen=True, slots=True)
class ListedCommit:
    """A commit in the payload of a push.

    Attributes:
        known_before: whether the payload says that the commit was pushed before, to another branch.
    """

    sha: str
    message: str
    known_before: bool = False


def describe_push(
    project: Ref,
    *,
    before: str,
    after: str,
    listed: Sequence[ListedCommit],
    complete: bool,
    at: datetime,
    forward: bool = False,
) -> list[Pushed]:
    """The push that a payload reports; none if it brings no new commit.

    A payload does not tell the parents of the commits. If none of them is a merge commit, each stands on the commit in
    front of it. Otherwise it is known only that the last commit contains all others.

    Args:
        before: the commit on which the new commits stand; empty if they stand on none that is known.
        listed: the new commits, the oldest or the newest first.
        complete: whether the payload lists all new commits.
        forward: whether the payload says that the branch moved forward, even if it lists no new commit.
    """
    commits = [one for one in listed if is_commit(one.sha)]
    if not is_commit(after) or not (commits or (forward and is_commit(before) and after != before)):
        return []
    commits = commits or [ListedCommit(after, "", known_before=True)]
    if commits[0].sha.lower() == after.lower():
        commits.reverse()
    shas = list(dict.fromkeys(commit(one.sha) for one in commits))
    ends = shas[-1] == commit(after)
    merges = any(one.known_before or one.message.startswith(_MERGE) for one in commits)
    new = tuple(shas if ends else [*(sha for sha in shas if sha != commit(after)), commit(after)])
    base = commit(before) if is_commit(before) and set(before) != {"0"} and commit(before) not in new else None
    return [Pushed(Push(project, base, new, complete and ends and not merges, at))]
