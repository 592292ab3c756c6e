"""Read issues and other work items; merge requests use the same functions for their state and their changes."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import TypeAlias

from service.deliveries.decoding import decode, first_known, read_time, traits
from service.deliveries.observation import OPEN_STATES, Looked, Nothing, Observation, Observed, Trait
from service.lifecycle.references import Ref, item
from service.providers.gitlab.payloads import AssigneeChange, Changes, Issue, IssueEvent, Item, ItemEvent, Label
from service.providers.gitlab.projects import identified, known_path, path

Traits: TypeAlias = Mapping[Trait, tuple[str, ...]]

_HERE = "$.object_attributes"
_MOST_LABELS = 100


def read_work_item(payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode(payload, IssueEvent)
    if known_path(event.project, event.repository) is None:
        return Nothing("a work item of a group, such as an epic, belongs to no project")
    return _observed(event)


def read_issue(payload: bytes) -> Sequence[Observation]:
    return _observed(decode(payload, IssueEvent))


def _observed(event: IssueEvent) -> Sequence[Observation]:
    seen, project = event.object_attributes, path(event.project, event.repository)
    subject = item("gitlab", project, seen.iid)
    at, place = seen_at(seen), traits({"what": "item", "project": project})
    return [
        *looks(seen, subject, traits({"item_type": seen.type}), place, event.labels),
        *happened(event, seen.action, subject, place, at),
        *closed(seen, subject, place),
        *identified(event.project, at),
    ]


def looks(
    seen: Item, subject: Ref, known: Traits, place: Traits, labels: Sequence[Label] | None, where: str = _HERE
) -> list[Observation]:
    """An observation of the state of an issue or merge request, and an observation of its creation.

    Args:
        known: further traits for the observation of the state; the observation of the creation omits them.
        labels: the labels that the payload lists outside the item; None to use the item's own labels.
        where: the item's path in the payload.
    """
    described = traits({"title": seen.title, "url": seen.url})
    listed = labels if labels is not None else seen.labels
    every = _titles(listed)
    titles = tuple(islice(every, _MOST_LABELS))
    labelled: Traits = {"label": titles} if titles else {}
    # A list with a label without a title, or a longer list, is not read as a whole.
    is_complete = listed is not None and len(every) <= _MOST_LABELS and all(label.title for label in listed)
    at, created = seen_at(seen, where), opened_at(seen, where)
    type_name = next(iter(known.get("item_type", ())), None)
    return [
        Observed("seen", subject, at, {**place, **known, **described, **labelled}),
        *([Observed("created", subject, created, place)] if created else []),
        Looked(subject, at, titles if is_complete else None, type_name, is_open(seen)),
    ]


def is_open(seen: Item) -> bool | None:
    """Whether an issue or merge request is open, if the payload tells."""
    return OPEN_STATES.get((seen.state or "").lower())


def happened(event: ItemEvent, action: str | None, subject: Ref, place: Traits, at: datetime) -> list[Observation]:
    """The observations of the change that an event about an issue or merge request reports."""
    changes = event.changes or Changes()
    observations = _labelled(changes, subject, place, at)
    # Do not report the assignee of a newly opened item, because this assignee has not started to work yet.
    if action != "open" and _has_new_assignee(changes.assignees):
        observations.append(Observed("assigned", subject, at, place))
    match action:
        case "reopen":
            observations.append(Observed("reopened", subject, at, place))
        case "update":
            observations.append(Observed("active", subject, at))
        case _:
            pass
    return observations


def closed(seen: Issue, subject: Ref, place: Traits, where: str = _HERE) -> list[Observation]:
    # A payload without the time of the closing may still show that the issue is closed, at the time of its last change.
    if seen.action != "close" and is_open(seen) is not False and (is_open(seen) or not seen.closed_at):
        return []
    at = read_time(seen.closed_at, f"{where}.closed_at") if seen.closed_at else seen_at(seen, where)
    reason = "duplicate" if seen.duplicated_to_id is not None else "moved" if seen.moved_to_id is not None else None
    return [Observed("closed", subject, at, {**place, **traits({"reason": reason})})]


def seen_at(seen: Item, where: str = _HERE) -> datetime:
    """The time at which an issue or merge request had the state that the payload shows."""
    updated = read_time(seen.updated_at, f"{where}.updated_at") if seen.updated_at else None
    return updated or first_known(opened_at(seen, where), where=f"{where}.created_at".removeprefix("$."))


def opened_at(seen: Item, where: str = _HERE) -> datetime | None:
    """When an issue or merge request was opened, if the payload says so."""
    return read_time(seen.created_at, f"{where}.created_at") if seen.created_at else None


def _labelled(changes: Changes, subject: Ref, place: Traits, at: datetime) -> list[Observation]:
    if changes.labels is None:
        return []
    before, now = _titles(changes.labels.previous), _titles(changes.labels.current)
    added = islice((title for title in now if title not in before), _MOST_LABELS)
    removed = islice((title for title in before if title not in now), _MOST_LABELS)
    return [
        *(Observed("labelled", subject, at, {**place, "label": (title,)}) for title in added),
        *(Observed("unlabelled", subject, at, {**place, "label": (title,)}) for title in removed),
    ]


def _titles(labels: Iterable[Label] | None) -> dict[str, None]:
    """The names of labels in their order, without duplicates."""
    return dict.fromkeys(label.title for label in labels or () if label.title)


def _has_new_assignee(assignees: AssigneeChange | None) -> bool:
    if assignees is None:
        return False
    before = {(person.id, person.username) for person in assignees.previous or ()}
    return any((person.id, person.username) not in before for person in assignees.current or ())
