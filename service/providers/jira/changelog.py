"""What a changelog says: labels, types, statuses, resolutions, assignments and new keys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from service.deliveries.observation import Observation, Observed, Renamed, Trait
from service.lifecycle.aliases import Alias
from service.providers.jira.payloads import Change, Status
from service.providers.jira.tickets import MOST_LABELS, Ticket, reference

MOST_CHANGES = 200
"""How many changes of one changelog are read."""


@dataclass(frozen=True, slots=True)
class _Update:
    """One ticket, and of all that changed of it at once what belongs together."""

    ticket: Ticket
    has_status: bool
    resolution: Change | None


def read_changelog(ticket: Ticket, changes: Sequence[Change]) -> list[Observation]:
    """What changed of a ticket; of all that is not understood, one sign of life."""
    named = [(_field(change), change) for change in changes]
    resolution = next((change for field, change in named if field == "resolution"), None)
    update, active = _Update(ticket, any(field == "status" for field, _ in named), resolution), ticket.active()
    said = [one for field, change in named for one in _READERS.get(field, _other)(update, change)]
    understood = [one for one in said if one != active]
    return understood if len(understood) == len(said) else [*understood, active]


def moves(change: Change) -> bool:
    """Whether a change is one of status."""
    return _field(change) == "status"


def _field(change: Change) -> str:
    """The name of the field; one that a site added itself may be called as any of Jira's own."""
    return (change.field or "").lower() if change.fieldtype != "custom" else ""


def _labels(update: _Update, change: Change) -> list[Observation]:
    # Labels are compared without case, so that one which is only written otherwise was not taken off.
    before = {label.lower(): label for label in (change.from_text or "").split()}
    now = {label.lower(): label for label in (change.to_text or "").split()}
    added = islice((label for low, label in now.items() if low not in before), MOST_LABELS)
    removed = islice((label for low, label in before.items() if low not in now), MOST_LABELS)
    return [
        *(update.ticket.observed("labelled", {"label": label}) for label in added),
        *(update.ticket.observed("unlabelled", {"label": label}) for label in removed),
    ]


def _type(update: _Update, change: Change) -> list[Observation]:
    before, now = change.from_text or "", change.to_text or ""
    # Another project may have a type of its own with the same name.
    if before.lower() == now.lower():
        return [update.ticket.active()]
    return [
        *([update.ticket.observed("typed", {"item_type": now})] if now else []),
        *([update.ticket.observed("untyped", {"item_type": before})] if before else []),
    ]


def _status(update: _Update, change: Change) -> list[Observation]:
    category = _category_to(update.ticket, change)
    # The status in which a ticket is created tells only what differs from a ticket that nobody has touched.
    if not change.from_text and category not in ("in progress", "done"):
        return []
    return [_moved(update, {"status_from": change.from_text, "status_to": change.to_text, "category_to": category})]


def _resolution(update: _Update, change: Change) -> list[Observation]:
    if update.has_status or change is not update.resolution:
        return []
    status = update.ticket.fields.status
    if status is None or update.ticket.category != "done":
        return [_moved(update, {})]
    return [_moved(update, {"status_to": status.name, "category_to": "done"})]


def _assignee(update: _Update, change: Change) -> list[Observation]:
    return [update.ticket.observed("assigned") if change.to or change.to_text else update.ticket.active()]


def _key(update: _Update, change: Change) -> list[Observation]:
    old, new = reference(change.from_text), reference(change.to_text)
    if old is None or new is None or old == new:
        return [update.ticket.active()]
    return [Renamed(Alias(old, new, update.ticket.at))]


def _other(update: _Update, _: Change) -> list[Observation]:
    return [update.ticket.active()]


_READERS: Mapping[str, Callable[[_Update, Change], list[Observation]]] = {
    "assignee": _assignee,
    "issuetype": _type,
    "key": _key,
    "labels": _labels,
    "resolution": _resolution,
    "status": _status,
}


def _category_to(ticket: Ticket, change: Change) -> str | None:
    """The category of the status that was entered, where the ticket still has that status."""
    status = ticket.fields.status or Status()
    same_name = bool(status.name) and (status.name or "").lower() == (change.to_text or "").lower()
    return ticket.category if same_name or (status.id is not None and status.id == change.to) else None


def _moved(update: _Update, known: Mapping[Trait, str | None]) -> Observed:
    change, current = update.resolution, update.ticket.fields.resolution
    if change is None:
        return update.ticket.observed("moved", {**known, "resolution": current.name if current else None})
    now = None if change.to is None else _resolved(change.to_text)
    return update.ticket.observed("moved", {**known, "resolution_from": _resolved(change.from_text), "resolution": now})


def _resolved(text: str | None) -> str | None:
    """The name of a resolution; Jira writes `None` of a ticket that has none."""
    return None if not text or text.lower() == "none" else text
