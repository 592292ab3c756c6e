"""Surroundings: everything that is committed about some subjects and about the subjects linked to them."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain

from service.lifecycle.aliases import Aliases
from service.lifecycle.containers import containers_of, deletion_of, end_of, find_ends
from service.lifecycle.errors import TooManyRelatives
from service.lifecycle.events import LifecycleEvent, Shipped
from service.lifecycle.evidence import Graph
from service.lifecycle.exclusions import Exclusion, find_exclusion
from service.lifecycle.experiment import Attempt, Experiment, fold, is_marked
from service.lifecycle.grounds import Grounds, find_grounds
from service.lifecycle.identities import site_of
from service.lifecycle.merged_branches import Head, conclude_merged, merges_of, newest_heads
from service.lifecycle.pushes import Shipments
from service.lifecycle.references import Ref, split_project
from service.lifecycle.roots import Components
from service.lifecycle.thinning import thin
from service.lifecycle.trust import (
    OUTSPOKEN,
    find_objection,
    is_outsiders,
    is_outspoken,
    projects_of,
    without_outspoken,
)
from service.pipeline.linked import Pairs, read_links
from service.pipeline.off_loop import compute
from service.storage import aliases, events, links, pushes
from service.storage.database import Connection
from service.storage.events import EventRow

MOST_EVENTS = 100_000
"""The largest number of events of some subjects and their relatives."""
_CROWD = 100
_BUSY = 1000


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Some subjects with their ancestors and descendants, each under its newest name.

    Attributes:
        names: every name of the subjects and of their ancestors and descendants.
        marked: every subject in `events` that is marked as an experiment and not excluded.
        roots: the subjects, ancestors and descendants that are experiments.
        excluded: the subjects, ancestors and descendants that metrics exclude and that are evidence for no experiment.
        outsiders: the changes of outsiders that are not merged.
        events: the events of the subjects, and of every subject in `graph`, without events that thinning leaves out.
        merges: the events on commits that conclude branches.
        shipments: for each commit, the deployments of later commits of the default branch that ship it.
        ends: the projects and groups that are deleted or archived, and since when.
        crowded: the stored names of subjects with many events that are not in `events`, because they are spare.
    """

    names: frozenset[Ref]
    marked: frozenset[Ref]
    roots: frozenset[Ref]
    excluded: Mapping[Ref, Exclusion]
    graph: Graph
    components: Components
    outsiders: frozenset[Ref]
    events: Mapping[Ref, list[LifecycleEvent]]
    aliases: Aliases
    merges: frozenset[LifecycleEvent]
    shipments: Mapping[Ref, Sequence[Shipped]]
    ends: Mapping[Ref, Exclusion]
    crowded: Sequence[Ref]

    def canonical(self, subject: Ref) -> Ref:
        """The newest name of a subject."""
        return self.aliases.canonical(subject)

    def subject_of(self, event: LifecycleEvent) -> Ref:
        """The newest name of the subject of a stored event."""
        return self.aliases.canonical(event.subject, event.occurred_at)

    def ancestors(self, subject: Ref) -> frozenset[Ref]:
        """The ancestors of a subject, whichever of its names is given."""
        return self.graph.ancestors(self.canonical(subject))

    def fold(self, root: Ref) -> Experiment:
        """Fold the experiment of a root from the events of the root and of its evidence."""
        restarting = self._vouched(root) & self.marked
        attempts = [Attempt(self.events[subject], self._part_of(subject, root)) for subject in restarting]
        evidence = chain.from_iterable(self.evidence(root).values())
        return fold(root, self.events[root], evidence, attempts, self.aliases.renamed_teams(root))

    def exclusion_of(self, experiment: Experiment) -> Exclusion | None:
        """The exclusion of an experiment that is open and quiet since its project was archived."""
        end = end_of(experiment.root, self.ends)
        if end is None or experiment.concluded_at is not None or experiment.last_activity_at > end.since:
            return None
        return end

    def evidence(self, root: Ref) -> dict[Ref, list[LifecycleEvent]]:
        """The events on the evidence for a root by subject, without the events that do not count for it."""
        evidence, vouched, projects = self.graph.descendants(root), self._vouched(root), self._places(root)
        counting: dict[Ref, list[LifecycleEvent]] = {}
        for subject in evidence:
            stated = [*without_outspoken(self.events.get(subject, ())), *self.shipments.get(subject, ())]
            own, is_vouched = self._projects(subject), subject in vouched
            if not (is_vouched and own & projects):
                stated = [
                    event
                    for event in stated
                    if not find_objection(event, own=own, experiments=projects, vouched=is_vouched)
                ]
            counting[subject] = stated
        return counting

    def objections(self, root: Ref) -> Callable[[LifecycleEvent], str]:
        """A function that returns why an event on evidence does not count for a root, or an empty text if it counts."""
        vouched, projects = self._vouched(root), self._places(root)
        shipping = {one.subject for subject in vouched for one in self.shipments.get(subject, ())}

        def find(event: LifecycleEvent) -> str:
            subject = self.subject_of(event)
            if subject == root:
                return ""
            if is_outspoken(event, self.events.get(subject, ())):
                return OUTSPOKEN
            own = self._projects(subject)
            return find_objection(
                event, own=own, experiments=projects, vouched=subject in vouched or subject in shipping
            )

        return find

    def _vouched(self, root: Ref) -> frozenset[Ref]:
        """The evidence that links connect with a root even without the unmerged changes of outsiders."""
        return self.graph.descendants_without(root, self.outsiders)

    def _projects(self, subject: Ref) -> frozenset[str]:
        return projects_of(self.aliases.own_names(subject))

    def _places(self, root: Ref) -> frozenset[str]:
        """The projects of an experiment. The rules name an experiment without a project, such as a `key:`, itself."""
        return self._projects(root) or self.aliases.own_names(root)

    @property
    def size(self) -> int:
        """The number of events and links."""
        return sum(map(len, self.events.values())) + sum(map(len, self.graph.upwards.values()))

    def effort(self, root: Ref) -> int:
        """The effort to fold the experiment of a root: the number of events and of pieces of evidence.

        A fold also searches the events once for each attempt, a hundred times as fast as it reads them.
        """
        evidence = self.graph.descendants(root)
        stated = sum(len(self.events.get(one, ())) + len(self.shipments.get(one, ())) for one in {root, *evidence})
        return len(evidence) + stated + stated * len(evidence & self.marked) // 100

    def _part_of(self, attempt: Ref, root: Ref) -> Callable[[LifecycleEvent], bool]:
        """A function that tells whether an event is on the attempt or on evidence for it, but not on the root."""
        is_evidence = self.components.evidence_of(attempt)
        # A subject has many events, and few names.
        canonical = cache(self.aliases.canonical)
        is_contested = cache(self.aliases.is_contested)

        def is_part(event: LifecycleEvent) -> bool:
            name = event.subject
            subject = canonical(name, event.occurred_at) if is_contested(name) else canonical(name)
            return subject != root and is_evidence(subject)

        return is_part

    def grounds(self, root: Ref) -> Grounds:
        """Find the events that decide the experiment of a root."""
        return find_grounds(self.events[root], chain.from_iterable(self.evidence(root).values()))

    def with_events(self, root: Ref, events: Iterable[LifecycleEvent]) -> "Surroundings":
        """A copy of the surroundings with additional events of a root."""
        return replace(self, events={**self.events, root: [*self.events[root], *events]})


async def read_surroundings(
    connection: Connection, subjects: Collection[Ref], names: Aliases | None = None
) -> Surroundings:
    """Read the surroundings of subjects, as they are committed now.

    The surroundings contain all evidence below the subjects. They also contain all ancestors of the subjects and of
    this evidence, with their events, but not all evidence below these ancestors.

    Args:
        names: the recorded renames, if the caller has read them in this transaction.

    Raises:
        TooManyRelatives: there are more than `MOST_LINKS` links or more than `MOST_EVENTS` events.
        UnreadableEvent: a newer release of loopgauge wrote an event in a form that this release cannot read.
    """
    names = names or await aliases.read_all(connection)
    subjects = frozenset[Ref]().union(*map(names.subjects, subjects))
    pairs = await read_links(connection, names, subjects)
    linked = subjects | set(chain.from_iterable(pairs))
    linked |= {container for subject in linked for container in containers_of(subject)}
    rows = await events.read_rows(connection, frozenset[Ref]().union(*map(names.names, linked)), MOST_EVENTS + 1)
    if len(rows) > MOST_EVENTS:
        busy = [name for name, number in Counter(row[0] for row in rows).items() if number > _BUSY]
        raise TooManyRelatives(f"the linked subjects have more than {MOST_EVENTS:,} events", busy)
    commits = {evidence for evidence, _ in pairs if evidence.startswith("commit:")}
    shipments = await pushes.read_shipments(connection, commits, names)
    heads = await _read_heads(connection, names, pairs, rows)
    return await compute(partial(_surroundings, names, subjects, pairs, rows, shipments, heads), len(pairs) + len(rows))


async def read_experiments_of(
    connection: Connection, subjects: Collection[Ref], names: Aliases | None = None
) -> Surroundings:
    """Read the surroundings of subjects, with all evidence of the experiments that the subjects serve.

    Args:
        names: the recorded renames, if the caller has read them in this transaction.

    Raises:
        TooManyRelatives: the subjects or these experiments have more links or events than loopgauge follows.
        UnreadableEvent: a newer release of loopgauge wrote an event in a form that this release cannot read.
    """
    names = names or await aliases.read_all(connection)
    subjects = frozenset[Ref]().union(*map(names.subjects, subjects))
    surroundings = await read_surroundings(connection, subjects, names)
    served = {root for subject in subjects for root in surroundings.ancestors(subject) & surroundings.roots}
    if served <= subjects:
        return surroundings
    return await read_surroundings(connection, served | subjects, names)


def _surroundings(
    names: Aliases,
    subjects: Collection[Ref],
    pairs: Pairs,
    rows: Iterable[EventRow],
    shipments: Shipments,
    heads: Iterable[Head],
) -> Surroundings:
    graph = Graph.of(pairs)
    events_by_subject: dict[Ref, list[LifecycleEvent]] = {}
    crowded: list[Ref] = []
    for name, stored in events.decode_rows(rows).items():
        thinned = thin(stored)
        crowded += [name] if len(stored) - len(thinned) >= _CROWD else []
        for subject, own in _by_subject(names, name, thinned):
            events_by_subject.setdefault(subject, []).extend(own)
    renamed = (replace(head, branch=names.canonical(head.branch, head.since)) for head in heads)
    merges = _conclude_branches(events_by_subject, newest_heads(renamed))
    ends = find_ends(events_by_subject)
    deleted = {subject: end for subject in events_by_subject if (end := deletion_of(subject, ends))} if ends else {}
    marks = {subject for subject, own in events_by_subject.items() if is_marked(own)}
    marked = frozenset(marks - deleted.keys())
    components = Components(graph, marked)
    relatives = graph.relatives(subjects)
    excluded = {
        subject: exclusion
        for subject in relatives & events_by_subject.keys()
        if (
            exclusion := find_exclusion(events_by_subject[subject])
            or (deleted.get(subject) if subject in marks else None)
        )
        and not components.has_marked_ancestor(subject)
    }
    return Surroundings(
        names=frozenset[Ref](subjects).union(*map(names.names, relatives)),
        marked=marked,
        roots=frozenset(filter(components.is_root, relatives)),
        excluded=excluded,
        graph=graph,
        components=components,
        outsiders=frozenset(subject for subject, own in events_by_subject.items() if is_outsiders(own)),
        events=events_by_subject,
        aliases=names,
        merges=merges,
        shipments=_shipments(shipments, graph, names),
        ends=ends,
        crowded=crowded,
    )


def _shipments(shipments: Shipments, graph: Graph, names: Aliases) -> dict[Ref, Sequence[Shipped]]:
    """The deployments that ship each commit."""
    found: dict[Ref, Sequence[Shipped]] = {}
    for subject, targets in graph.upwards.items() if shipments else ():
        if shipped := shipments.of(subject, _places_of_pushes(shipments, targets, names)):
            found[subject] = shipped
    return found


def _places_of_pushes(shipments: Shipments, targets: Iterable[Ref], names: Aliases) -> Collection[str] | None:
    """The projects whose pushes count for a commit with these targets; None if the pushes of every project count.

    Anyone may push the commits of a project to the default branch of a fork. So only the pushes to the project of the
    commit's change count or, if the commit itself closes an issue, those to projects of the issue's owner.
    """
    kinds = [(target, split_project(target)[1][:1]) for target in targets]
    changes = [projects_of(names.names(target)) for target, kind in kinds if kind == "!"]
    if changes:
        return frozenset[str]().union(*changes)
    projects = [project for target, kind in kinds if kind == "#" for project in projects_of(names.own_names(target))]
    owners = {_owner(project) for project in projects if not site_of(project)}
    if not owners:
        return None
    return {project for project in shipments.projects if _owner(names.canonical(Ref(project))) in owners}


def _owner(project: str) -> str:
    """The owner in the plain name of a project."""
    return project.partition("~")[0].rpartition("/")[0]


async def _read_heads(connection: Connection, names: Aliases, pairs: Pairs, rows: Iterable[EventRow]) -> list[Head]:
    """Read the heads of the branches of which a commit came to the default branch."""
    merged = {row[0] for row in rows if row[1] == "concluded" and row[0].startswith("commit:")}
    if not merged:
        return []
    linked = [(commit, branch) for commit, branch in pairs if _is_head(commit, branch)]
    branches = frozenset[Ref]().union(*(names.names(branch) for commit, branch in linked if commit in merged))
    return await links.heads(connection, {commit for commit, _ in linked}, branches) if branches else []


def _is_head(commit: Ref, branch: Ref) -> bool:
    return commit.startswith("commit:") and branch.startswith("branch:")


def _conclude_branches(
    events_by_subject: dict[Ref, list[LifecycleEvent]], heads: Iterable[Head]
) -> frozenset[LifecycleEvent]:
    """Add their merges to the events of branches, and return these merges."""
    merged = {head.branch: merges for head in heads if (merges := merges_of(head, events_by_subject))}
    for branch, merges in merged.items():
        events_by_subject[branch] = conclude_merged(events_by_subject.get(branch, ()), merges)
    return frozenset(chain.from_iterable(merged.values()))


def _by_subject(
    names: Aliases, name: Ref, stored: Collection[LifecycleEvent]
) -> Iterable[tuple[Ref, Collection[LifecycleEvent]]]:
    """The events that are stored under a name, by the canonical name of the subject that each of them means."""
    if not names.is_contested(name):
        return [(names.canonical(name), stored)]
    return [(names.canonical(name, event.occurred_at), [event]) for event in stored]
