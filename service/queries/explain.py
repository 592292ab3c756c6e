"""Explain: one experiment with every event behind it, and every figure that it counts in."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from service.lifecycle.codec import event_id
from service.lifecycle.errors import UnknownSubject
from service.lifecycle.events import Declaration, LifecycleEvent
from service.lifecycle.exclusions import Exclusion, find_exclusion
from service.lifecycle.experiment import Experiment, applies_to_experiment
from service.lifecycle.references import Ref, parse_reference
from service.lifecycle.stages import Omission, omissions
from service.metrics import METRICS
from service.metrics.terms import Terms
from service.metrics.view import ORGANISATION, View
from service.pipeline.surroundings import Surroundings, read_surroundings
from service.queries.experiments import ExperimentStatus, explain_absence, status_of
from service.storage import aliases, events, experiments
from service.storage.database import Database
from service.storage.events import Origin

_BRANCH = "branch:"


@dataclass(frozen=True, slots=True)
class ExplainedEvent:
    """One event, who said it, and whether it counts for the experiment.

    Attributes:
        subject: the event's, but for the branch of a fork, whose owner is a person.
    """

    event: LifecycleEvent
    subject: str
    counts: bool
    origins: Sequence[Origin]


@dataclass(frozen=True, slots=True)
class MetricSample:
    """A sample of a figure that the experiment counts in."""

    metric: str
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is known of a subject.

    Attributes:
        subject: under its newest name.
        status: the experiment that it is, or None.
        serves: the experiments that it is evidence for.
        why_not: why it is no experiment; empty where it is one.
        events: every event of it and of its evidence, in order of time.
        omissions: what figures leave out of it now, and why.
        samples: what it counts in now; empty where it is no experiment.
        excluded: why and since when it is no experiment any more, although it was marked as one; None for others.
    """

    subject: Ref
    status: ExperimentStatus | None
    serves: Sequence[Ref]
    why_not: str
    events: Sequence[ExplainedEvent]
    omissions: Sequence[Omission]
    samples: Sequence[MetricSample]
    excluded: Exclusion | None = None


async def explain(database: Database, subject: Ref, terms: Terms, now: datetime) -> Explanation:
    """Explain a subject as of `now`, by any of its names.

    Raises:
        UnknownSubject: nothing was ever said of it.
        DatabaseUnavailable: it cannot be read.
    """
    async with database.transaction() as connection:
        names = await aliases.read_all(connection)
        newest = names.canonical(subject)
        around = await read_surroundings(connection, [newest])
        subjects = {newest} | around.graph.descendants(newest)
        heard = [event for one in subjects for event in around.heard.get(one, ())]
        if not heard and newest not in around.graph.upwards:
            raise UnknownSubject(explain_absence(subject, around))
        origins = await events.origins_of(connection, {event.subject for event in heard})
    experiment = around.fold(newest) if newest in around.roots else None
    return Explanation(
        subject=newest,
        status=status_of(experiment, terms, now) if experiment else None,
        serves=sorted(around.graph.ancestors(newest) & around.roots),
        why_not="" if experiment else _why_not(around, newest),
        events=[
            ExplainedEvent(
                event,
                shown,
                experiment is not None and applies_to_experiment(event, own=names.canonical(event.subject) == newest),
                origins.get((event.subject, event_id(event)), ()),
            )
            for event in sorted(heard, key=lambda event: (event.occurred_at, event.subject, event_id(event)))
            # What is declared of a fork's branch, its address and its project, names the owner and counts nowhere.
            if (shown := _without_owner(event.subject, subjects)) == event.subject or not isinstance(event, Declaration)
        ],
        omissions=omissions(experiment, now) if experiment else (),
        samples=_samples(experiment, terms, now) if experiment else (),
        excluded=around.excluded.get(newest),
    )


async def find_subject(database: Database, named: str) -> Ref:
    """The root of the experiment whose id is named, or the reference that is.

    Raises:
        UnknownSubject: no experiment has this id.
        BadReference: it is neither an id nor a reference.
    """
    try:
        experiment = UUID(named)
    except ValueError:
        return parse_reference(named)
    async with database.transaction() as connection:
        root = await experiments.root_of(connection, experiment)
    if root is None:
        raise UnknownSubject(f"there is no experiment {named}")
    return root


def _without_owner(subject: Ref, around: Collection[Ref]) -> str:
    """A subject as anybody may read it: forks live in people's own accounts, and only their branches are evidence."""
    if not subject.startswith(_BRANCH):
        return subject
    project, _, name = subject.removeprefix(_BRANCH).partition("@")
    at_home = any(other.partition(":")[2].startswith((f"{project}#", f"{project}!")) for other in around)
    return subject if at_home or (subject in around and len(around) == 1) else f"{_BRANCH}fork@{name}"


def _why_not(around: Surroundings, subject: Ref) -> str:
    above = ", ".join(sorted(around.graph.ancestors(subject) & around.roots))
    if subject in around.marked:
        return f"it is marked, and so is what it serves: {above}"
    left_out = find_exclusion(around.heard.get(subject, ()))
    why = f"it is excluded: {left_out.reason}" if left_out else "nothing marks it as an experiment"
    return f"{why}; it is evidence for {above}" if above else why


def _samples(experiment: Experiment, terms: Terms, now: datetime) -> list[MetricSample]:
    """The samples that are not zero in figures about this experiment alone: those that it counts in."""
    alone = View.of([experiment], replace(terms, min_sample=1), now)
    return [
        MetricSample(sample.name, sample.labels)
        for families in METRICS
        for family in families(alone)
        for sample in family.samples
        if sample.value
        and sample.labels.get("team") != ORGANISATION
        and not sample.name.endswith(("_bucket", "_gsum", "threshold_seconds", "minimum_sample"))
    ]
