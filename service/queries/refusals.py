"""Refusals: the commands and labels that have no effect, and why.

Each request computes them from all committed events.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from uuid import UUID

from service.lifecycle.codec import event_id
from service.lifecycle.errors import TooManyRelatives, UnreadableEvent
from service.lifecycle.events import Declared, LifecycleEvent, RefusedChannel
from service.lifecycle.experiment import Experiment, fold
from service.lifecycle.futility import Keep, find_futility, futile_labels, is_relevant, standing_refusals
from service.lifecycle.references import Ref
from service.pipeline.surroundings import Surroundings, read_experiments_of
from service.rules.apply import COMMANDED
from service.storage import events
from service.storage.database import Connection
from service.storage.events import Origin

# To judge a comment, a query folds its experiment several times. The time of a fold is proportional to the number of
# events. So a query limits the comments, and the sum of the events of their experiments.
_MOST_JUDGED = 200
_MOST_FOLDED = 50_000

Origins = Mapping[tuple[Ref, UUID], Sequence[Origin]]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command, a label or a link without effect.

    Attributes:
        channel: `comment`, `label` or `link`.
        reason: why it has no effect. The text quotes no word that may be a person's name.
        origins: the deliveries that brought it.
    """

    subject: Ref
    occurred_at: datetime
    channel: RefusedChannel
    reason: str
    origins: Sequence[Origin]


def find_refusals(surroundings: Surroundings, found: Collection[LifecycleEvent], origins: Origins) -> list[Refusal]:
    """Find the commands and labels among events that have no effect, in order of time.

    Args:
        surroundings: the surroundings with all events of the subjects of `found`.
        found: the events to judge.
        origins: the deliveries of each event, by subject and event id.
    """

    def origins_of(event: LifecycleEvent) -> Sequence[Origin]:
        return origins.get((event.subject, event_id(event)), ())

    refusals = [
        Refusal(surroundings.subject_of(event), event.occurred_at, event.channel, event.reason, origins_of(event))
        for event in standing_refusals(found)
    ]
    commanded = [event for event in found if any(origin.rule == COMMANDED for origin in origins_of(event))]
    for comment in _affordable(surroundings, _comments(commanded)):
        first = comment[0]
        refusals += [
            Refusal(surroundings.subject_of(first), first.occurred_at, "comment", reason, origins_of(first))
            for reason in _judge(surroundings, comment)
        ]
    refusals += [
        Refusal(root, event.occurred_at, "label", reason, origins_of(event))
        for root in {surroundings.subject_of(event) for event in found} & surroundings.roots
        for event, reason in futile_labels(surroundings.grounds(root), surroundings.fold(root))
    ]
    return sorted(refusals, key=lambda refusal: (refusal.occurred_at, refusal.subject, refusal.reason))


async def futile_commands(connection: Connection, deliveries: Collection[UUID]) -> dict[UUID, list[str]]:
    """Find the reasons why commands of deliveries have no effect, by delivery.

    Only commands that state events are judged: the reason of a delivery already names those that state none.
    """
    stated = await events.stated_by(connection, deliveries, COMMANDED)
    if not stated:
        return {}
    subjects = {event.subject for brought in stated.values() for event in brought}
    try:
        surroundings = await read_experiments_of(connection, subjects)
    except (UnreadableEvent, TooManyRelatives):
        # A newer release wrote an event about one of the subjects, or the subjects have too many links. The deliveries
        # can still be listed.
        return {}
    judged = await asyncio.to_thread(_judge_all, surroundings, stated)
    return {delivery: reasons for delivery, reasons in judged.items() if reasons}


def _judge_all(surroundings: Surroundings, stated: Mapping[UUID, Sequence[LifecycleEvent]]) -> dict[UUID, list[str]]:
    """The reasons why commands have no effect, by delivery."""
    comments = {delivery: _comments(brought) for delivery, brought in stated.items()}
    latest = sorted(chain.from_iterable(comments.values()), key=lambda comment: comment[0].occurred_at, reverse=True)
    reasons = {id(comment): _judge(surroundings, comment) for comment in _affordable(surroundings, latest)}
    return {
        delivery: [reason for comment in brought for reason in reasons.get(id(comment), ())]
        for delivery, brought in comments.items()
    }


def _affordable(
    surroundings: Surroundings, comments: Iterable[Sequence[LifecycleEvent]]
) -> Iterator[Sequence[LifecycleEvent]]:
    """The first of the comments: as many as can be judged in about a second, and at least one."""
    spent = 0
    for comment in islice(comments, _MOST_JUDGED):
        subject = surroundings.subject_of(comment[0])
        relatives = {subject, *surroundings.graph.ancestors(subject), *surroundings.graph.descendants(subject)}
        cost = sum(len(surroundings.events.get(relative, ())) for relative in relatives)
        if spent and spent + cost > _MOST_FOLDED:
            return
        spent += cost
        yield comment


def _comments(commanded: Iterable[LifecycleEvent]) -> list[list[LifecycleEvent]]:
    """Group the events of commands by comment, and return the latest comments."""
    comments: dict[tuple[Ref, datetime], list[LifecycleEvent]] = {}
    for event in commanded:
        comments.setdefault((event.subject, event.occurred_at), []).append(event)
    latest = sorted(comments, key=lambda comment: comment[1], reverse=True)[:_MOST_JUDGED]
    return [comments[comment] for comment in latest]


def _judge(surroundings: Surroundings, comment: Sequence[LifecycleEvent]) -> list[str]:
    """The reasons why the commands of a comment have no effect."""
    subject = surroundings.subject_of(comment[0])
    roots = [subject] if subject in surroundings.roots else sorted(_served(surroundings, subject))
    if not roots:
        return list(_explain_absence(surroundings, subject, comment))
    reasons = [reason for root in roots for reason in _judge_for(surroundings, root, comment)]
    if subject not in surroundings.marked and any(map(_is_exclusion, comment)):
        reasons.append(f"only a comment on the experiment itself excludes it: comment on {' or '.join(roots)}")
    return list(dict.fromkeys(reasons))


def _served(surroundings: Surroundings, subject: Ref) -> frozenset[Ref]:
    return frozenset(surroundings.graph.ancestors(subject)) & surroundings.roots


def _judge_for(surroundings: Surroundings, root: Ref, comment: Collection[LifecycleEvent]) -> list[str]:
    objection = surroundings.objections(root)
    if objections := list(dict.fromkeys(filter(None, map(objection, comment)))):
        return objections
    counting = {root: surroundings.events.get(root, ()), **surroundings.evidence(root)}
    stated: dict[Ref, list[LifecycleEvent]] = {
        subject: list(filter(is_relevant, of_one)) for subject, of_one in counting.items()
    }
    every = [event for of_one in stated.values() for event in of_one]

    def fold_kept(keep: Keep) -> Experiment | None:
        kept = {subject: list(filter(keep, of_one)) for subject, of_one in stated.items()}
        evidence = chain.from_iterable(of_one for subject, of_one in kept.items() if subject != root)
        return fold(root, kept[root], evidence) if any(kept.values()) else None

    return find_futility(comment, every, fold_kept)


def _explain_absence(surroundings: Surroundings, subject: Ref, comment: Sequence[LifecycleEvent]) -> Iterator[str]:
    """Say why the subject is no experiment, unless the command had its effect before the experiment was excluded."""
    exclusion = surroundings.excluded.get(subject)
    if exclusion is None:
        yield "nothing marks this as an experiment; comment /experiment propose, or add a mark that the rules name"
    elif comment[0].occurred_at > exclusion.since:
        yield f"the experiment is excluded: {exclusion.reason}"


def _is_exclusion(event: LifecycleEvent) -> bool:
    return isinstance(event, Declared) and event.field == "excluded"
