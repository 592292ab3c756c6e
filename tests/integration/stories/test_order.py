"""Any permutation, duplication and splitting of the same observations gives the same experiments."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service.deliveries.observation import (
    Commented,
    Identified,
    Kind,
    Linked,
    Looked,
    Mentioned,
    Observation,
    Observed,
    Pushed,
    Renamed,
    Trait,
)
from service.lifecycle.aliases import Alias, Aliases
from service.lifecycle.containers import deletion_of, end_of, find_ends
from service.lifecycle.events import LifecycleEvent, Shipped
from service.lifecycle.evidence import Graph, LinkSet
from service.lifecycle.exclusions import Exclusion, find_exclusion
from service.lifecycle.experiment import Attempt, Experiment, fold, is_marked
from service.lifecycle.identities import merge
from service.lifecycle.pushes import Push, Shipments
from service.lifecycle.references import Ref
from service.lifecycle.trust import find_objection, is_outspoken, projects_of
from service.pipeline.project import project_dirty
from service.rules.apply import apply_rules
from service.rules.model import Interpretation
from service.storage import recording
from service.storage.database import Database
from service.storage.recording import InterpretedDelivery
from tests.support.builders import NO_PAYLOAD, at
from tests.support.road import RULES, all_exclusions, all_experiments

TICKET = Ref("jira:ML-1")
ITEMS = (Ref("github:acme/app#1"), Ref("github:acme/app#2"), TICKET)
CHANGES = (Ref("github:acme/app!7"), Ref("github:acme/app!8"))
COMMITS = (Ref("commit:aaa"), Ref("commit:bbb"), Ref("commit:ccc"))
LABELS = (
    "experiment",
    "outcome:failed",
    "outcome:worked",
    "failure:basic",
    "team:search",
    "risk:bold",
    "learning:shared",
)
PARENTS = (frozenset[Ref](), frozenset({ITEMS[0]}), frozenset({TICKET}))
COMMANDS = ("/experiment start", "/experiment conclude failed basic", "/experiment team ads", "/experiment reopen")
RENAMES = (
    (Ref("github:acme/app"), Ref("github:acme/web")),
    (Ref("github:acme/app#2"), Ref("github:acme/docs#9")),
    (Ref("github:acme/web"), Ref("github:acme/app")),
    (Ref("github:acme/web"), Ref("github:acme/site")),
    (Ref("github:acme/docs"), Ref("github:acme/manual")),
    (Ref("github:acme"), Ref("github:corp")),
)
PROJECTS = (Ref("github:acme/app"), Ref("github:acme/web"), Ref("github:acme/docs"), Ref("github:acme"), Ref("jira:ML"))
ENDS: Sequence[Kind] = ("deleted", "restored", "archived", "unarchived")


@dataclass(frozen=True)
class Told:
    """The observations of one delivery, and the ids that it tells."""

    provider: str
    observations: tuple[Observation, ...]
    ids: tuple[Identified, ...] = ()
    source: str = "one"

    def interpreted(self) -> Interpretation:
        return apply_rules(RULES, self.provider, (*self.observations, *self.ids), NO_PAYLOAD)


# Use few moments, so that many of the drawn events have the same time.
moments = st.builds(lambda day, second: at(day) + timedelta(seconds=second), st.integers(2, 6), st.integers(0, 1))


def _seen(subject: Ref, when: datetime, labels: Sequence[str], branch: str = "") -> Observed:
    what = "change" if "!" in subject else "item"
    traits: dict[Trait, tuple[str, ...]] = {"what": (what,), "project": ("acme/app",), "label": tuple(labels)}
    return Observed("seen", subject, when, {**traits, "title": (f"as of {when}",), "branch": (branch,)})


@st.composite
def looks(draw: st.DrawFn, subject: Ref, when: datetime, labels: Sequence[str], *, closed: bool) -> Looked:
    """The state of a payload that may omit each of its parts. A ticket also shows its type and its status."""
    listed = draw(st.sampled_from([None, tuple(labels)]))
    is_open = draw(st.sampled_from([None, not closed]))
    if subject != TICKET:
        return Looked(subject, when, listed, is_open=is_open)
    return Looked(subject, when, listed, draw(st.sampled_from([None, "Task"])), is_open, draw(st.sampled_from("035")))


HAPPENED = (
    *("nothing", "labelled", "unlabelled", "assigned", "closed", "abandoned", "duplicate", "reopened", "moved"),
    *("in progress", "given up"),
)


@st.composite
def about_an_item(draw: st.DrawFn) -> Told:
    subject, when, happened = draw(st.sampled_from(ITEMS)), draw(moments), draw(st.sampled_from(HAPPENED))
    labels = draw(st.lists(st.sampled_from(LABELS), max_size=3))
    said: list[Observation] = [_seen(subject, when, labels)]
    closed = happened in ("closed", "abandoned", "duplicate", "given up")
    said.append(draw(looks(subject, when, labels, closed=closed)))
    said.append(Observed("created", subject, at(2), {"what": ("item",)}))
    match happened:
        case "nothing":
            # The delivery that reported the change was lost, or its payload did not say what changed.
            said.append(Linked(subject, "parent", subject, draw(st.sampled_from(PARENTS)) - {subject}, when))
        case "moved":
            words: dict[Trait, tuple[str, ...]] = {"status_from": ("Done",), "status_to": ("Doing",)}
            said.append(Observed("moved", subject, when, {**words, "category_to": ("in progress",)}))
        case "labelled" | "unlabelled" as kind:
            said.append(Observed(kind, subject, when, {"label": (draw(st.sampled_from(LABELS)),)}))
        case "assigned" | "reopened" as kind:
            said.append(Observed(kind, subject, when))
        case "closed":
            said.append(Observed("closed", subject, when, {"status_to": ("Done",)} if subject == TICKET else {}))
        case "in progress":
            # A payload shows since when the status has its category, or the time is inferred.
            said.append(Observed("started", subject, draw(moments), {"status_to": ("Doing",)}))
        case "given up":
            ended: dict[Trait, tuple[str, ...]] = {"status_to": ("Cancelled",), "ending": ("Done", "Cancelled")}
            said.append(Observed("closed", subject, draw(moments), ended))
            said.append(Linked(subject, "epic link", subject, draw(st.sampled_from(PARENTS)) - {subject}, when))
        case "abandoned":
            said.append(Observed("closed", subject, when, {"reason": ("not_planned",)}))
        case _:
            said.append(Observed("closed", subject, when, {"reason": ("duplicate",)}))
    return Told("jira" if subject == TICKET else "github", tuple(said))


@st.composite
def about_a_change(draw: st.DrawFn) -> Told:
    subject, when = draw(st.sampled_from(CHANGES)), draw(moments)
    branch = draw(st.sampled_from(["exp/ML-1-cache", "cache", "ML-1", "exp/ml-1-cache", "ml-1"]))
    closes = draw(st.frozensets(st.sampled_from(ITEMS), max_size=2))
    labels, merged = draw(st.lists(st.sampled_from(LABELS), max_size=2)), draw(st.booleans())
    said: list[Observation] = [
        _seen(subject, when, labels, branch),
        draw(looks(subject, when, labels, closed=merged)),
        Observed("created", subject, at(3), {"what": ("change",)}),
        Linked(subject, "body", subject, closes, when),
        Linked(draw(st.sampled_from(COMMITS)), "head", subject, frozenset({subject}), when),
        Mentioned(subject, "branch", branch, when),
    ]
    if merged:
        said.append(Observed("merged", subject, when))
    return Told("github", tuple(said))


runs = st.builds(
    lambda commit, when, conclusion: Told(
        "github", (Observed("finished", commit, when, {"conclusion": (conclusion,)}),)
    ),
    st.sampled_from(COMMITS),
    moments,
    st.sampled_from(["success", "failure", "skipped"]),
)
checks = st.builds(
    lambda commit, when, conclusion: Told(
        "github", (Observed("checked", commit, when, {"conclusion": (conclusion,)}),)
    ),
    st.sampled_from(COMMITS),
    moments,
    st.sampled_from(["success", "error", "neutral"]),
)
parents = st.builds(
    lambda child, targets, when: Told("github", (Linked(child, "parent", child, targets - {child}, when),)),
    st.sampled_from(ITEMS),
    st.frozensets(st.sampled_from(ITEMS), max_size=1),
    moments,
)
types = st.builds(
    lambda kind, subject, when: Told("github", (Observed(kind, subject, when, {"item_type": ("Spike",)}),)),
    st.sampled_from(["typed", "untyped", "seen"]),
    st.sampled_from(ITEMS),
    moments,
)
comments = st.builds(
    lambda subject, when, text: Told(
        "github", (Observed("active", subject, when), Commented(subject, when, text, insider=True))
    ),
    st.sampled_from((*ITEMS, *CHANGES)),
    moments,
    st.sampled_from(COMMANDS),
)
deployments = st.builds(
    lambda commit, when: Told(
        "github", (Observed("deployed", commit, when, {"conclusion": ("success",), "environment": ("production",)}),)
    ),
    st.sampled_from(COMMITS),
    moments,
)


@st.composite
def pushes(draw: st.DrawFn) -> Told:
    """A push to the default branch. The drawn pushes may contradict each other, as no real pushes do."""
    before = draw(st.none() | st.sampled_from(COMMITS))
    commits = draw(st.permutations([one for one in COMMITS if one != before]))
    pushed = tuple(commits[: draw(st.integers(1, 2))])
    project = Ref(draw(st.sampled_from(["github:acme/app", "github:acme/web"])))
    return Told("github", (Pushed(Push(project, before, pushed, draw(st.booleans()), draw(moments))),))


renames = st.builds(
    lambda names, when: Told("github", (Renamed(Alias(names[0], names[1], when)),)), st.sampled_from(RENAMES), moments
)
ends = st.builds(
    lambda project, kind, when: Told("github", (Observed(kind, project, when, {"what": ("project",)}),)),
    st.sampled_from(PROJECTS),
    st.sampled_from(ENDS),
    moments,
)
# Lost renames, transfers, names that another project gets, and one name on two sites.
SITES = ("github.com", "ghe.acme.com")
JIRA_SITES = ("acme.atlassian.net", "jira.acme.com")
NAMED = ("github:acme/app", "github:acme/web", "github:acme/docs", "github:acme/site")
sightings = st.builds(
    lambda name, site, number, when: Told("github", (), (Identified(Ref(name), site, number, when),)),
    st.sampled_from(NAMED),
    st.sampled_from((*SITES, SITES[0])),
    st.sampled_from(["1", "2", "3"]),
    moments,
)
moved_tickets = st.builds(
    lambda key, site, when: Told("jira", (), _ticket_ids(key, site, when)),
    st.sampled_from(["ML-1", "AI-1", "OPS-3"]),
    st.sampled_from(JIRA_SITES),
    moments,
)


def _ticket_ids(key: str, site: str, when: datetime) -> tuple[Identified, ...]:
    """The ids of a ticket that was moved to the project OPS, and whose project got the key AI."""
    project = key.partition("-")[0]
    number = {"ML": "10000", "AI": "10000", "OPS": "20000"}[project]
    return Identified(Ref(f"jira:{project}"), site, number, when), Identified(Ref(f"jira:{key}"), site, "555", when)


@st.composite
def identified(draw: st.DrawFn, told: st.SearchStrategy[Told]) -> Told:
    """A delivery that tells the id of the project whose name its observations have, and maybe of another project."""
    one, when = draw(told), draw(moments)
    if one.provider == "jira":
        return replace(one, ids=_ticket_ids("ML-1", draw(st.sampled_from(JIRA_SITES)), when))
    site, names = draw(st.sampled_from((*SITES, SITES[0], SITES[0]))), draw(st.sets(st.sampled_from(NAMED[1:])))
    numbers = draw(st.permutations(["1", "2", "3", "4"]))
    return replace(
        one,
        source=draw(st.sampled_from(["one", "two"])),
        ids=tuple(
            Identified(Ref(name), site, number, when)
            for name, number in zip(["github:acme/app", *sorted(names)], numbers, strict=False)
        ),
    )


told = st.one_of(
    *(about_an_item(), about_an_item(), about_a_change(), runs, comments, renames, ends, pushes(), deployments),
    *(checks, parents, types),
)
stories = st.lists(
    st.one_of(told, identified(told), identified(told), sightings, moved_tickets),
    min_size=3,
    max_size=14,
)


def derived_from(told: Sequence[Told]) -> tuple[dict[str, Experiment], dict[str, Exclusion]]:
    """Derive the experiments and exclusions of all observations, naively and in one pass."""
    said = [_said(one) for one in told]
    interpreted = [one.qualified() for one in said]
    holdings = merge(holding for one in said for holding in one.holdings()).values()
    aliases = Aliases((alias for one in interpreted for alias in one.aliases), holdings)
    heard: dict[Ref, set[LifecycleEvent]] = {}
    for event in (event for one in interpreted for event in one.events):
        heard.setdefault(aliases.canonical(event.subject, event.occurred_at), set()).add(event)
    graph = _graph_of([link for one in interpreted for link in one.links], aliases)
    ends = find_ends(heard)
    marks = [subject for subject, own in heard.items() if is_marked(own)]
    deleted = {subject: end for subject in marks if (end := deletion_of(subject, ends))}
    marked = frozenset(marks) - deleted.keys()

    shipping = _find_shipping(interpreted, heard, graph, aliases)

    def evidence_for(root: Ref) -> list[LifecycleEvent]:
        evidence = [
            (projects(one), event) for one in graph.descendants(root) for event in (*heard.get(one, ()), *shipping(one))
        ]
        own = projects(root)
        return [
            event
            for projects_of_one, event in evidence
            if not find_objection(event, own=projects_of_one, experiments=own, vouched=True)
            and not is_outspoken(event, heard.get(event.subject, ()))
        ]

    def projects(subject: Ref) -> frozenset[str]:
        return projects_of(aliases.own_names(subject))

    def attempts(root: Ref) -> list[Attempt]:
        serving = sorted(graph.descendants(root) & marked)
        return [Attempt(heard[one], part_of(one, root)) for one in serving]

    def part_of(attempt: Ref, root: Ref) -> Callable[[LifecycleEvent], bool]:
        subjects = {attempt} | graph.descendants(attempt) - {root}
        return lambda event: aliases.canonical(event.subject, event.occurred_at) in subjects

    def is_root(subject: Ref) -> bool:
        above, below = graph.ancestors(subject) & marked, graph.descendants(subject)
        return above <= below and all(subject < other for other in above)

    experiments: dict[str, Experiment] = {
        root: fold(root, heard[root], evidence_for(root), attempts(root), aliases.renamed_teams(root))
        for root in marked
        if is_root(root)
    }
    alone = (subject for subject in heard if not graph.ancestors(subject) & marked)
    excluded: dict[str, Exclusion] = {
        one: why for one in alone if (why := find_exclusion(heard[one]) or deleted.get(one))
    }
    ended = ((one.root, one, end_of(one.root, ends)) for one in experiments.values())
    archived: dict[str, Exclusion] = {root: end for root, one, end in ended if end and _rests(one, end)}
    return {root: experiments[root] for root in experiments.keys() - archived.keys()}, excluded | archived


def _rests(experiment: Experiment, end: Exclusion) -> bool:
    """Whether an experiment is open, and has no activity since its project was archived."""
    return experiment.concluded_at is None and experiment.last_activity_at <= end.since


def _graph_of(links: Iterable[LinkSet], aliases: Aliases) -> Graph:
    def meant(name: Ref, link: LinkSet) -> Ref:
        return aliases.canonical(name, link.stated_at, link.stated_by)

    newest: dict[tuple[str, ...], LinkSet] = {}
    for link in links:
        key = meant(link.evidence, link), link.channel, meant(link.stated_by, link)
        known = newest.setdefault(key, link)
        if (known.stated_at, sorted(known.targets)) < (link.stated_at, sorted(link.targets)):
            newest[key] = link
    return Graph.of(
        (meant(link.evidence, link), meant(target, link)) for link in newest.values() for target in link.targets
    )


def _find_shipping(
    interpreted: Sequence[InterpretedDelivery],
    heard: Mapping[Ref, Iterable[LifecycleEvent]],
    graph: Graph,
    aliases: Aliases,
) -> Callable[[Ref], list[Shipped]]:
    """A function that returns the deployments of later commits that ship a subject."""
    deployed = [event for events in heard.values() for event in events if isinstance(event, Shipped)]
    latest_first = sorted(deployed, key=lambda event: event.occurred_at, reverse=True)
    pushed = [push for one in interpreted for push in one.pushes]
    shipments = Shipments(pushed, {event.subject: event for event in latest_first})

    def find(subject: Ref) -> list[Shipped]:
        changes = [projects_of(aliases.names(one)) for one in graph.upwards.get(subject, ()) if "!" in one]
        return (
            shipments.of(subject, frozenset[str]().union(*changes) if changes else None)
            if subject.startswith("commit:")
            else []
        )

    return find


@given(stories, st.data())
def test_the_order_of_observations_makes_no_difference(story: list[Told], data: st.DataObject) -> None:
    again = data.draw(st.permutations([*story, *data.draw(st.lists(st.sampled_from(story), max_size=5))]))
    assert derived_from(again) == derived_from(story)


@given(stories)
def test_splitting_a_delivery_into_several_makes_no_difference(story: list[Told]) -> None:
    # The ids stay with the observations whose project they identify.
    split = [replace(one, observations=(each,)) for one in story for each in one.observations]
    split += [replace(one, observations=()) for one in story]
    assert derived_from(split) == derived_from(story)


async def _tell(database: Database, told: Sequence[Told], batch: int) -> None:
    """Run one worker that records deliveries in batches, and projects after each batch."""
    for start in range(0, len(told), batch):
        said = [_said(one) for one in told[start : start + batch]]
        async with database.transaction() as connection:
            await recording.record_deliveries(connection, said)
        await project_dirty(database, lambda: at(2))


def _said(told: Told) -> InterpretedDelivery:
    interpreted = told.interpreted()
    brought: dict[LifecycleEvent, str] = {statement.event: statement.rule for statement in interpreted.statements}
    by = uuid5(NAMESPACE_OID, repr(told))
    return InterpretedDelivery(
        by,
        at(2),
        brought,
        interpreted.links,
        interpreted.aliases,
        interpreted.pushes,
        interpreted.identities,
        told.source,
    )


async def _forget(database: Database) -> None:
    async with database.transaction() as connection:
        tables = "events, event_deliveries, spare_events, links, aliases, pushes, touched, experiments, exclusions"
        tables += ", identities, identity_version"
        await connection.exec_driver_sql(f"TRUNCATE {tables}")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(stories, st.data())
async def test_two_workers_on_postgresql_come_to_the_same_experiments(
    database: Database, story: list[Told], data: st.DataObject
) -> None:
    await _forget(database)
    shuffled: list[Any] = data.draw(st.permutations([*story, *story[:3]]))
    batch = data.draw(st.integers(1, 4))
    await asyncio.gather(_tell(database, shuffled[::2], batch), _tell(database, shuffled[1::2], batch))
    while await project_dirty(database, lambda: at(2)):
        pass
    assert (await all_experiments(database), await all_exclusions(database)) == derived_from(story)
