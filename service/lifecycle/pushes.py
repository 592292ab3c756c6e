"""Pushes to default branches: they tell which earlier commits a deployed commit contains.

A deployment of a commit ships everything that the commit stands on. Only shipments follow pushes downwards: starts,
results and activity belong to the commit that they name.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from service.lifecycle.events import Shipped
from service.lifecycle.references import Ref

MOST_PUSHES = 1000
"""The largest number of pushes between a commit and the deployment that ships it. A deployment after more pushes does
not ship the commit."""


@dataclass(frozen=True, slots=True)
class Push:
    """A push that moved the default branch of a project.

    Attributes:
        project: the reference of the project, such as `github:acme/app`.
        before: the commit at which the branch was before; None if the new commits do not stand on it, as after a forced
            push.
        commits: the new commits, the oldest first. The last of them is the commit to which the branch points now.
        linear: whether each commit stands on the commit in front of it, and the first on `before`. If not, it is known
            only that the last commit contains the others and `before`.
        pushed_at: when the branch moved, as far as the payload tells.
    """

    project: Ref
    before: Ref | None
    commits: tuple[Ref, ...]
    linear: bool
    pushed_at: datetime

    def containing(self, commit: Ref) -> tuple[Ref, ...]:
        """The commits of the push that contain a commit: one of them, or the commit on which they stand."""
        if not self.linear:
            return self.commits[-1:]
        return self.commits if commit == self.before else self.commits[self.commits.index(commit) :]


class Shipments:
    """The deployments that ship commits of default branches.

    Args:
        pushes: the pushes between the commits and their deployments. Further pushes make no difference.
        shipped: the earliest deployment of each commit.
    """

    def __init__(self, pushes: Iterable[Push], shipped: Mapping[Ref, Shipped]) -> None:
        self._pushes = list(pushes)
        self._shipped = shipped
        self._above: defaultdict[Ref, set[int]] = defaultdict(set)
        for place, push in enumerate(self._pushes):
            for commit in push.commits if push.before is None else (push.before, *push.commits):
                self._above[commit].add(place)

    def __bool__(self) -> bool:
        return bool(self._pushes)

    @property
    def projects(self) -> frozenset[Ref]:
        """The projects of the pushes."""
        return frozenset(push.project for push in self._pushes)

    def of(self, commit: Ref, projects: Collection[str] | None = None) -> list[Shipped]:
        """The deployments of later commits of the default branch that ship a commit; the earliest is among them.

        The search goes from push to push. It passes over pushes after the earliest deployment that it has found,
        because such a push is deployed later.

        Args:
            projects: the projects whose pushes count; None if the pushes of every project count.
        """
        found = {commit: self._shipped[commit]} if commit in self._shipped else {}
        visited: set[int] = set()
        frontier = {commit}
        for _ in range(MOST_PUSHES):
            earliest = min((shipped.occurred_at for shipped in found.values()), default=None)
            steps = [
                (place, below)
                for below in frontier
                for place in self._above.get(below, set()) - visited
                if _may_precede(self._pushes[place], earliest, projects)
            ]
            if not steps:
                break
            visited.update(place for place, _ in steps)
            frontier = {above for place, below in steps for above in self._pushes[place].containing(below)}
            found |= {above: self._shipped[above] for above in frontier if above in self._shipped}
        return [shipped for above, shipped in sorted(found.items()) if above != commit]


def _may_precede(push: Push, earliest: datetime | None, projects: Collection[str] | None) -> bool:
    """Whether a push counts, and may be deployed before the earliest deployment that is known so far."""
    return (projects is None or push.project in projects) and (earliest is None or push.pushed_at <= earliest)
