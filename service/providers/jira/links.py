"""The links of a ticket: to its parent, to its epic, and to the tickets that it is evidence for."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from msgspec import UNSET, UnsetType

from service.deliveries.observation import Linked, Observation
from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.references import Ref
from service.providers.jira.payloads import Change, Fields, Link
from service.providers.jira.references import reference
from service.providers.jira.tickets import Ticket

_SERVES = frozenset({"implements", "tests", "validates", "is part of", "is evidence for"})
_CLOUDS_PARENT = "issueparentassociation"
# The names that changelogs give to the fields of a parent: Cloud's, those of sub-tasks in Data Center, and two custom
# fields. A custom field has a channel of its own, because a payload shows it under an id that each site chooses.
_CHANNELS: Mapping[str, str] = {
    _CLOUDS_PARENT: "parent",
    "parent": "parent",
    "parent issue": "parent",
    "epic link": "epic link",
    "customfield_10014": "epic link",
    "parent link": "parent link",
}


def links(ticket: Ticket, changes: Sequence[Change] = ()) -> list[Observation]:
    """The links that a payload shows, and those that its changes set or remove.

    Args:
        changes: the changes at the time of the payload.
    """
    others = ticket.fields.links
    targets = _changed(changes) | _shown_epic(ticket.fields) | _shown_parent(ticket.fields)
    if others is not None:
        targets["link"] = frozenset(islice(_served(others), MOST_TARGETS))
    return [Linked(ticket.subject, channel, ticket.subject, found, ticket.at) for channel, found in targets.items()]


def _shown_parent(fields: Fields) -> dict[str, frozenset[Ref]]:
    parent = fields.parent
    if isinstance(parent, UnsetType):
        return {"parent": frozenset()} if _is_complete(fields) else {}
    above = reference(parent.key) if parent else None
    return {} if parent and above is None else {"parent": frozenset({above} if above else ())}


def _shown_epic(fields: Fields) -> dict[str, frozenset[Ref]]:
    if isinstance(fields.epic, str) and (above := reference(fields.epic.strip())):
        return {"epic link": frozenset({above})}
    # In Data Center, the field with this id may be another one. Only Jira Cloud tells the time of the category.
    is_without = fields.epic is None and bool(fields.category_changed)
    return {"epic link": frozenset()} if is_without else {}


def _is_complete(fields: Fields) -> bool:
    """Whether a payload shows every field of a ticket. Jira omits the field `parent` of a ticket without a parent."""
    shown = (fields.links, fields.labels, fields.issuetype, fields.status, fields.created, fields.updated)
    return all(field is not None for field in shown)


def _changed(changes: Sequence[Change]) -> dict[str, frozenset[Ref]]:
    """The parents that changes set, by channel. A change that does not name the key of the new parent is left out."""
    found: dict[str, frozenset[Ref]] = {}
    for change in changes:
        # A site may translate the name of a field, but not its id.
        names = ((name or "").lower() for name in (change.field_id, change.field))
        channel = next((_CHANNELS[name] for name in names if name in _CHANNELS), None)
        above = reference(change.to_text)
        removed = not change.to_text and (change.to is UNSET or not change.to)
        if channel and (above or removed):
            found[channel] = frozenset({above} if above else ())
    # Jira Cloud has made one field of the parent and the epic, so this change ends the link to a former epic too.
    if any((change.field or "").lower() == _CLOUDS_PARENT for change in changes):
        found.setdefault("epic link", frozenset())
    return found


def _served(links: list[Link]) -> Iterator[Ref]:
    """The tickets that a ticket with these links is evidence for: the targets of links with a name in `_SERVES`."""
    for link in links:
        name = (link.type.outward or "").strip().lower() if link.type else ""
        target = reference(link.outward_issue.key) if link.outward_issue else None
        if name in _SERVES and target is not None:
            yield target
