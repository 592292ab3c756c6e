"""A ticket: its reference, its state, its creation and its closing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from service.deliveries.decoding import from_unix, read_time, traits
from service.deliveries.delivery import UnreadableDelivery
from service.deliveries.identities import identify, site_of
from service.deliveries.observation import Identified, Kind, Looked, Observation, Observed, Trait
from service.lifecycle.references import Ref
from service.providers.jira.payloads import Comment, Fields, Issue
from service.providers.jira.references import reference

MOST_LABELS = 100
"""The maximum number of labels, and of components, to read from a ticket."""

# Maps the key, or else the id, of a Jira status category to the value of the trait `category_to`. Both are the same on
# every site. A template may write the English name as the key.
_CATEGORIES: Mapping[str, str] = {
    "new": "new",
    "indeterminate": "in progress",
    "done": "done",
    "2": "new",
    "4": "in progress",
    "3": "done",
    "to do": "new",
    "in progress": "in progress",
}
# Reject the URL of Atlassian's API gateway, which payloads for apps contain: it leads to no page for people.
_GATEWAY = "api.atlassian.com"
_PARTS = re.compile(r"\s[-\u2013\u2014]\s|[:()\[\]]")
_MOST_PARTS = 3
_SITE = re.compile(r"(?!https?://api\.atlassian\.com/)(https?://[^\s/?#@]+(?:/[^\s?#@]*?)?)/rest/", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket as an event of Jira shows it.

    Attributes:
        at: when the event happened.
        place: the traits that say what the ticket is and where it belongs.
    """

    subject: Ref
    at: datetime
    address: str
    id: object
    fields: Fields
    place: Mapping[Trait, tuple[str, ...]]

    @classmethod
    def of(cls, issue: Issue, timestamp: int | None, comment: Comment | None = None) -> "Ticket":
        """Read the ticket from an event's `issue`, `timestamp` (in milliseconds since 1970) and `comment`.

        Without a timestamp, the time of the event is the latest time that the ticket and the comment tell.

        Raises:
            UnreadableDelivery: the key is malformed, or the time is missing.
        """
        subject = reference(issue.key)
        if subject is None:
            raise UnreadableDelivery("a field is malformed: expected a key such as ML-12 - at `$.issue.key`")
        fields = issue.fields or Fields()
        at = _time(timestamp, fields, comment)
        return cls(subject, at, issue.address or "", issue.id, fields, _place(subject, fields))

    @property
    def category(self) -> str | None:
        """The category of the ticket's status."""
        category = self.fields.status.category if self.fields.status else None
        return _CATEGORIES.get(str(category.key or category.id).lower()) if category else None

    def observed(self, kind: Kind, known: Mapping[Trait, str | None] | None = None) -> Observed:
        """An observation of the ticket at the time of the event."""
        return Observed(kind, self.subject, self.at, {**self.place, **traits(known or {})})

    def active(self) -> Observed:
        """An observation of activity without further detail."""
        return Observed("active", self.subject, self.at)


def looks(ticket: Ticket, *, in_part: bool = False) -> list[Observation]:
    """The observations of the ticket's state and of its creation.

    Args:
        in_part: whether the event may omit fields. If it omits the components, the observation of the state omits the
            project too. Otherwise the rules would derive the team from the project, although one of the omitted
            components may name another team.
    """
    fields = ticket.fields
    place = ticket.place
    if in_part and fields.components is None:
        place = {trait: values for trait, values in place.items() if trait != "project"}
    known: dict[Trait, str | None] = {
        "title": fields.summary,
        "url": _url(ticket),
        "item_type": fields.issuetype.name if fields.issuetype else None,
    }
    labels = tuple(islice(filter(None, fields.labels or ()), MOST_LABELS))
    labelled: dict[Trait, tuple[str, ...]] = {"label": labels} if labels else {}
    seen = Observed("seen", ticket.subject, ticket.at, {**place, **traits(known), **labelled})
    if not fields.created:
        return [seen, _looked(ticket)]
    created = read_time(fields.created, "$.issue.fields.created")
    return [seen, _looked(ticket), Observed("created", ticket.subject, created, ticket.place)]


def _looked(ticket: Ticket) -> Looked:
    fields = ticket.fields
    complete = fields.labels is not None and len(fields.labels) <= MOST_LABELS
    labels = tuple(filter(None, fields.labels or ())) if complete else None
    item_type = (fields.issuetype.name or None) if fields.issuetype else None
    is_open = None if ticket.category is None else ticket.category != "done"
    status = fields.status.id if fields.status else None
    return Looked(ticket.subject, ticket.at, labels, item_type, is_open, "" if status is None else str(status))


def identities(ticket: Ticket) -> list[Identified]:
    """The ids of the ticket and of its project. They stay when the ticket is moved or the project gets another key."""
    own, at = ticket.fields.project, ticket.at
    site = site_of_ticket(ticket.address) or (site_of_ticket(own.address) if own else "")
    key = ticket.subject.rpartition("-")[0]
    # Without the project's key, its id may be the id of the project that the ticket has left.
    is_home = own is not None and own.key is not None and f"jira:{own.key.upper()}" == key
    return [
        *identify(ticket.subject, site, ticket.id, at),
        *(identify(Ref(key), site, own.id, at) if own is not None and is_home else []),
    ]


def site_of_ticket(address: object) -> str:
    """The site of an address of Jira's API; empty for the API gateway, which all sites share."""
    site = site_of(address)
    return "" if site == _GATEWAY else site


def reached(ticket: Ticket, *, inferred: bool = True) -> list[Observation]:
    """An observation of the start or closing that a ticket's status shows, even if it was before the webhook existed.

    Args:
        inferred: whether the time of the last update may stand for the time of the start or closing. It is later, or
            equal. The earliest start counts, and the earliest closing since the last reopening, so a later report does
            no harm.
    """
    at, fields = _category_since(ticket, inferred=inferred), ticket.fields
    status = fields.status.name if fields.status else None
    if at is None or ticket.category not in ("in progress", "done"):
        return []
    if ticket.category == "in progress":
        return [Observed("started", ticket.subject, at, {**ticket.place, **traits({"status_to": status})})]
    resolution = fields.resolution.name if fields.resolution else None
    known = {**traits({"reason": resolution, "status_to": status}), **ending(resolution, status)}
    return [Observed("closed", ticket.subject, at, {**ticket.place, **known})]


def _category_since(ticket: Ticket, *, inferred: bool) -> datetime | None:
    """The best time that the payload tells for the last change of the status category."""
    fields = ticket.fields
    if fields.category_changed:
        return read_time(fields.category_changed, "$.issue.fields.statuscategorychangedate")
    if not inferred:
        return None
    if fields.resolution_date and ticket.category == "done":
        return read_time(fields.resolution_date, "$.issue.fields.resolutiondate")
    return read_time(fields.updated, "$.issue.fields.updated") if fields.updated else ticket.at


def ending(resolution: str | None, status: str | None) -> Mapping[Trait, tuple[str, ...]]:
    """The trait that says how a ticket ended: in its resolution and its status, which is in the category done.

    The parts of a name such as "Closed - Won't Do" or "Done (Duplicate)" are values too.
    """
    words = [word for word in (resolution, status) if word]
    parts = [part.strip() for word in words for part in _PARTS.split(word, _MOST_PARTS) if part.strip()]
    return {"ending": tuple(dict.fromkeys([*words, *parts]))} if words else {}


def _time(timestamp: int | None, fields: Fields, comment: Comment | None) -> datetime:
    if timestamp is not None:
        return from_unix(timestamp, "$.timestamp")
    told = {
        "issue.fields.updated": fields.updated,
        "issue.fields.statuscategorychangedate": fields.category_changed,
        "issue.fields.resolutiondate": fields.resolution_date,
        "issue.fields.created": fields.created,
        "comment.updated": comment.updated if comment else None,
        "comment.created": comment.created if comment else None,
    }
    times = [read_time(text, f"$.{field}") for field, text in told.items() if text]
    if not times:
        raise UnreadableDelivery("a field is missing or malformed: missing required field `timestamp`")
    return max(times)


def _place(subject: Ref, fields: Fields) -> dict[Trait, tuple[str, ...]]:
    own_project = subject.removeprefix("jira:").rpartition("-")[0]
    project = (fields.project.key if fields.project else None) or own_project
    names = (component.name for component in fields.components or ())
    components = tuple(islice(filter(None, names), MOST_LABELS))
    return {**traits({"what": "item", "project": project}), **({"component": components} if components else {})}


def _url(ticket: Ticket) -> str | None:
    site = _SITE.match(ticket.address)
    return f"{site[1]}/browse/{ticket.subject.removeprefix('jira:')}" if site else None
