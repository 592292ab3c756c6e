"""Read a changelog: labels, types, statuses, resolutions, assignments and new keys."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from operator import itemgetter

from service.deliveries.decoding import read_time
from service.deliveries.observation import Observation, Observed, Renamed, Trait
from service.lifecycle.aliases import Alias
from service.providers.jira.payloads import Change, History, Status
from service.providers.jira.references import reference
from service.providers.jira.tickets import MOST_LABELS, Ticket, ending

MOST_CHANGES = 200
"""The maximum number of changes to read from one changelog."""


@dataclass(frozen=True, slots=True)
class _Update:
    """The context of a change: the ticket, whether the event changes its status, and the change of its resolution."""

    ticket: Ticket
    has_status: bool
    resolution: Change | None


def read_changelog(ticket: Ticket, changes: Sequence[Change]) -> list[Observation]:
    """The observations of a ticket's changes. All changes without an observation of their own together
    become one `active` observation.
    """
    named = [(_field(change), change) for change in changes]
    resolution = next((change for field, change in named if field == "resolution"), None)
    update, active = _Update(ticket, any(field == "status" for field, _ in named), resolution), ticket.active()
    observations = [made for field, change in named for made in _READERS.get(field, _other)(update, change)]
    specific = [made for made in observations if made != active]
    return specific if len(specific) == len(observations) else [*specific, active]


def read_history(ticket: Ticket, history: History | None) -> list[Observation]:
    """The observations of the changes that a ticket lists, each at its own time. Changes without a time are skipped."""
    past = [(each.created, each.items or []) for each in (history.histories if history else None) or ()]
    dated = [(created, change) for created, changes in past if created for change in changes][:MOST_CHANGES]
    return [
        observation
        for created, changes in groupby(dated, key=itemgetter(0))
        for observation in read_changelog(_dated(ticket, created), [change for _, change in changes])
    ]


def _dated(ticket: Ticket, created: str) -> Ticket:
    return replace(ticket, at=read_time(created, "$.changelog.histories[…].created"))


def _field(change: Change) -> str:
    """The id or name of the changed field, or an empty text for a custom field.

    A custom field may have the same name as a built-in field, but it must not be read like that field.
    """
    if change.fieldtype == "custom":
        return ""
    names = [(name or "").lower() for name in (change.field_id, change.field)]
    return next((name for name in names if name in _READERS), names[-1])


def _labels(update: _Update, change: Change) -> list[Observation]:
    # Compare labels without case, so that a change of case does not count as a removal.
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
    # After a move to another project, a type of the same name does not count as a new type.
    if before.lower() == now.lower():
        return [update.ticket.active()]
    return [
        *([update.ticket.observed("typed", {"item_type": now})] if now else []),
        *([update.ticket.observed("untyped", {"item_type": before})] if before else []),
    ]


def _status(update: _Update, change: Change) -> list[Observation]:
    category = _category_to(update.ticket, change)
    # The initial status of a ticket matters only if it says that work has started or ended.
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
    """The category of the new status, if the ticket still has that status.

    Names are compared only without ids: a status may have been renamed, and another status may have its name now.
    """
    status = ticket.fields.status or Status()
    shown, entered = str(status.id), str(change.to)
    if shown.isdecimal() and entered.isdecimal():
        return ticket.category if shown == entered else None
    same_name = bool(status.name) and (status.name or "").lower() == (change.to_text or "").lower()
    return ticket.category if same_name else None


def _moved(update: _Update, known: Mapping[Trait, str | None]) -> Observed:
    change, current = update.resolution, update.ticket.fields.resolution
    before, now = None, current.name if current else None
    if change is not None:
        before, now = _resolved(change.from_text), None if change.to is None else _resolved(change.to_text)
    moved = update.ticket.observed("moved", {**known, "resolution_from": before, "resolution": now})
    if known.get("category_to") != "done":
        return moved
    return replace(moved, traits={**moved.traits, **ending(now, known.get("status_to"))})


def _resolved(text: str | None) -> str | None:
    """The name of a resolution. Jira writes the text `None` if the ticket has no resolution."""
    return None if not text or text.lower() == "none" else text
