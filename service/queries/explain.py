"""Explain one subject: show its events, and the metrics that count it."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from service.lifecycle.codec import event_id
from service.lifecycle.declarations import declarations_in, value_of
from service.lifecycle.errors import UnknownSubject
from service.lifecycle.events import EARLIEST, Concluded, Declaration, Declared, LifecycleEvent
from service.lifecycle.exclusions import Exclusion, find_exclusion
from service.lifecycle.experiment import Experiment, is_marked_but_for_author
from service.lifecycle.grounds import Grounds, applies_to_experiment, find_grounds
from service.lifecycle.in_force import FieldInForce, fields_in_force
from service.lifecycle.outweighed import explain_outweighed
from service.lifecycle.references import Ref
from service.lifecycle.stages import Omission, omissions
from service.metrics.terms import Terms
from service.pipeline.off_loop import compute
from service.pipeline.surroundings import Surroundings, read_experiments_of
from service.queries.contributions import Contribution, TeamRow, find_contributions, read_row
from service.queries.experiments import ExperimentStatus, explain_absence, status_of
from service.queries.refusals import Refusal, find_refusals
from service.storage import aliases, events, spare_events
from service.storage.cursors import EventPosition, decode_event_cursor, encode_event_cursor
from service.storage.database import Connection, Database
from service.storage.events import Origin

_BRANCH = "branch:"
MOST_SHOWN = 1000
"""The largest number of events of a page."""
_BEGINNING: EventPosition = (EARLIEST, "", UUID(int=0))


@dataclass(frozen=True, slots=True)
class ExplainedEvent:
    """One event, the deliveries that brought it, and whether it applies to the experiment.

    Attributes:
        objection: why the event does not count, although events like it on evidence usually do; empty otherwise.
        outweighed: why the event counts but has no effect, such as a later value; empty otherwise.
        subject: the event's subject. The name of a fork's branch omits the fork's owner, who is a person.
    """

    event: LifecycleEvent
    subject: str
    counts: bool
    objection: str
    outweighed: str
    origins: Sequence[Origin]


@dataclass(frozen=True, slots=True)
class ExplainedExperiment:
    """The experiment of a subject.

    Attributes:
        grounds: the events that decide the experiment.
        fields: the fields of the experiment, with the statements that are in force.
        omissions: the parts of the experiment that metrics omit now, and why.
        row: the value of the label `team` in the metrics that count the experiment.
        contributions: the metric samples that count the experiment now.
    """

    status: ExperimentStatus
    grounds: Grounds
    fields: Sequence[FieldInForce]
    omissions: Sequence[Omission]
    row: str
    contributions: Sequence[Contribution]


@dataclass(frozen=True, slots=True)
class Explanation:
    """The explanation of a subject: its events, and the conclusions from these events.

    Attributes:
        subject: the subject's newest name.
        title: the title that the subject's own events state; empty if they state none.
        as_of: the time of the explanation.
        terms: the windows, thresholds and limits of the metrics.
        experiment: None if the subject is not an experiment.
        serves: the roots of the experiments for which the subject is evidence.
        why_not: why the subject is not an experiment; empty if it is one.
        excluded: the reason why metrics exclude the subject, and since when; None if no metric excludes it.
        events: a page of the events of the subject and of its evidence, in order of time, without declarations about a
            fork's branch.
        following: the cursor of the next page of events; None on the last page.
        origins: for each event, the delivery that brought it first.
        refusals: the commands and labels without effect, in order of time.
    """

    subject: Ref
    title: str
    as_of: datetime
    terms: Terms
    experiment: ExplainedExperiment | None
    serves: Sequence[Ref]
    why_not: str
    excluded: Exclusion | None
    events: Sequence[ExplainedEvent]
    following: str | None
    origins: Mapping[LifecycleEvent, Origin]
    refusals: Sequence[Refusal]


async def explain(
    database: Database, subject: Ref, terms: Terms, now: datetime, cursor: str | None = None
) -> Explanation:
    """Explain a subject as of `now`. `subject` may be any of its names, old or new.

    Args:
        cursor: the end of the previous page of events.

    Raises:
        UnknownSubject: no event or link names the subject.
        TooManyRelatives: the subject has too many links, or its relatives have too many events.
        InvalidCursor: the cursor is malformed.
        DatabaseUnavailable: the events cannot be read.
    """
    after = decode_event_cursor(cursor) if cursor else _BEGINNING
    async with database.transaction() as connection:
        names = await aliases.read_all(connection)
        canonical = names.canonical(subject)
        surroundings = await read_experiments_of(connection, [canonical], names)
        subjects = {canonical} | surroundings.graph.descendants(canonical)
        found = [event for subject in subjects for event in surroundings.events.get(subject, ())]
        shipping = {event for subject in subjects for event in surroundings.shipments.get(subject, ())}
        deployed = {event.subject for event in shipping} - subjects
        if not found and canonical not in surroundings.graph.upwards:
            raise UnknownSubject(await explain_absence(connection, subject, surroundings))
        found += [event for event in shipping if event.subject in deployed]
        page, following = await _read_page(connection, surroundings, subjects | deployed, after)
        identified = await compute(partial(_identify, found, page), len(found))
        origins = await events.origins_of(connection, identified)
        is_root = canonical in surroundings.roots
        folded = await compute(partial(surroundings.fold, canonical), len(found)) if is_root else None
        excluded = surroundings.excluded.get(canonical) or (surroundings.exclusion_of(folded) if folded else None)
        folded = None if excluded else folded
        row = await read_row(connection, folded, terms, now) if folded else None
    experiment = await _explain_experiment(surroundings, folded, row, terms, now) if folded and row else None
    objection = _objections(surroundings, canonical)
    own = surroundings.events.get(canonical, ())
    outweighed = await asyncio.to_thread(_find_outweighed, experiment, own, [event for event, _ in page])
    refusals = await asyncio.to_thread(find_refusals, surroundings, found, origins)
    return Explanation(
        subject=canonical,
        title=value_of(declarations_in(surroundings.events.get(canonical, ())), "title"),
        as_of=now,
        terms=terms,
        experiment=experiment,
        serves=sorted(surroundings.graph.ancestors(canonical) & surroundings.roots),
        why_not="" if experiment else _why_not(surroundings, canonical, excluded),
        excluded=excluded,
        events=[
            ExplainedEvent(
                event,
                shown,
                counts := experiment is not None
                and applies_to_experiment(
                    event, own=surroundings.subject_of(event) == canonical or event in surroundings.merges
                )
                and not objection(event),
                objection(event),
                outweighed.get(event, "") if counts or experiment is None else "",
                origins.get((event.subject, identifier), ()),
            )
            for event, identifier in page
            # Show only the deployment of a later commit.
            if event.subject not in deployed or event in shipping
            # Each commit that comes to the default branch has such an event, but only the head of a branch concludes.
            if not _is_merge(event) or event in surroundings.merges
            # Omit the declarations about a fork's branch: they contain the owner's name, and no metric uses them.
            if (shown := _without_owner(about := surroundings.subject_of(event), subjects)) == about
            or not isinstance(event, Declaration)
        ],
        following=following,
        origins=await compute(partial(_first_origins, found, origins), len(found)),
        refusals=refusals,
    )


async def _read_page(
    connection: Connection, surroundings: Surroundings, subjects: Collection[Ref], after: EventPosition
) -> tuple[list[tuple[LifecycleEvent, UUID]], str | None]:
    """A page of the events of subjects, and the cursor of the next page."""
    names = frozenset[Ref]().union(*map(surroundings.aliases.names, subjects))
    rows = await spare_events.read_page(connection, names, after, MOST_SHOWN)
    page = [
        (events.decode_row(subject, kind, occurred_at, data), identifier)
        for subject, kind, occurred_at, data, identifier in rows
    ]
    # A contested name has events of several subjects.
    return [one for one in page if surroundings.subject_of(one[0]) in subjects], _following(page)


def _identify(found: Iterable[LifecycleEvent], page: Iterable[tuple[LifecycleEvent, UUID]]) -> set[tuple[Ref, UUID]]:
    identified = ((event.subject, event_id(event)) for event in found)
    return {*identified, *((event.subject, identifier) for event, identifier in page)}


def _following(page: Sequence[tuple[LifecycleEvent, UUID]]) -> str | None:
    """The cursor of the next page, or None if this page is the last."""
    if len(page) < MOST_SHOWN:
        return None
    last, identifier = page[-1]
    return encode_event_cursor((last.occurred_at, last.subject, identifier))


async def _explain_experiment(
    surroundings: Surroundings, experiment: Experiment, row: TeamRow, terms: Terms, now: datetime
) -> ExplainedExperiment:
    grounds = await asyncio.to_thread(surroundings.grounds, experiment.root)
    # A row with many experiments takes a while. Use a thread, so that the event loop goes on to serve other requests.
    contributions = await asyncio.to_thread(find_contributions, experiment, row, terms, now)
    return ExplainedExperiment(
        status_of(experiment, terms, now),
        grounds,
        fields_in_force(
            grounds,
            experiment.outcome,
            experiment.failure_category,
            surroundings.aliases.renamed_teams(experiment.root),
        ),
        omissions(experiment, now),
        row.name,
        contributions,
    )


def _objections(surroundings: Surroundings, subject: Ref) -> Callable[[LifecycleEvent], str]:
    """A function that returns why an event counts for none of the experiments that the subject is or serves.

    It returns an empty text if the event counts for one of them.
    """
    served = (
        [subject] if subject in surroundings.roots else sorted(surroundings.ancestors(subject) & surroundings.roots)
    )
    by_root = [surroundings.objections(root) for root in served]

    def find(event: LifecycleEvent) -> str:
        reasons = [objection(event) for objection in by_root]
        return reasons[0] if reasons and all(reasons) else ""

    return find


def _is_merge(event: LifecycleEvent) -> bool:
    """Whether an event says that a commit came to the default branch."""
    return isinstance(event, Concluded) and event.subject.startswith("commit:")


def _find_outweighed(
    explained: ExplainedExperiment | None, own: Collection[LifecycleEvent], page: Iterable[LifecycleEvent]
) -> Mapping[LifecycleEvent, str]:
    """The events of a page that other events outweigh, each with the reason.

    Args:
        own: the events of the subject. If it is no experiment, only the reasons why it has lost its marks are found.
    """
    if explained is not None:
        explain_event = explain_outweighed(explained.grounds, explained.status.experiment.outcome)
        return {event: why for event in page if (why := explain_event(event))}
    marks = {event for event in own if isinstance(event, Declared) and event.field == "experiment"}
    explain_mark = explain_outweighed(find_grounds(own, ()), None) if marks else None
    return {event: why for event in page if explain_mark and event in marks and (why := explain_mark(event))}


def _without_owner(subject: Ref, subjects: Collection[Ref]) -> str:
    """The subject's name without the owner of a fork, who is a person. Only branches can belong to a fork."""
    if not subject.startswith(_BRANCH):
        return subject
    project, _, name = subject.removeprefix(_BRANCH).partition("@")
    at_home = any(other.partition(":")[2].startswith((f"{project}#", f"{project}!")) for other in subjects)
    return subject if at_home or (subject in subjects and len(subjects) == 1) else f"{_BRANCH}fork@{name}"


def _why_not(surroundings: Surroundings, subject: Ref, excluded: Exclusion | None) -> str:
    above = ", ".join(sorted(surroundings.graph.ancestors(subject) & surroundings.roots))
    if subject in surroundings.marked and not excluded:
        return f"it is marked, but it is evidence for another marked subject: {above}"
    exclusion = excluded or find_exclusion(surroundings.events.get(subject, ()))
    if not exclusion and not above and is_marked_but_for_author(surroundings.events.get(subject, ())):
        return "its branch marks it, but it is the change of an outsider; merge it, or add a label that marks it"
    why = f"it is excluded: {exclusion.reason}" if exclusion else "nothing marks it as an experiment"
    return f"{why}; it is evidence for {above}" if above else why


def _first_origins(
    found: Iterable[LifecycleEvent], origins: Mapping[tuple[Ref, UUID], Sequence[Origin]]
) -> dict[LifecycleEvent, Origin]:
    by_event = ((event, origins.get((event.subject, event_id(event)), ())) for event in found)
    return {event: brought[0] for event, brought in by_event if brought}
