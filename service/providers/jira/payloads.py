"""The fields that are read from Jira's payloads.

Sources: Atlassian's documentation ("Webhooks" for Jira Cloud, "Managing webhooks" for Jira Data Center, "Issue data
payload for Send Web Request" in both formats for Jira Automation, "Automation webhooks" for Jira Service Management),
and published payloads of older servers and of workflow post functions. Most fields are optional, because comment events
contain few fields and each site configures its own fields.
"""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from service.deliveries.decoding import AnyObject

Milliseconds = Annotated[int, msgspec.Meta(ge=0, lt=10**15)]
"""A time as milliseconds since 1970."""
Id: TypeAlias = str | int
"""An id. Jira's webhooks send it as a text, and Jira Automation sends it as a number."""


class Named(msgspec.Struct):
    name: str | None = None


class Project(msgspec.Struct, rename={"address": "self"}):
    key: str | None = None
    id: object = None
    address: object = None


class Category(msgspec.Struct):
    id: Id | None = None
    key: str | None = None


class Status(msgspec.Struct, rename={"category": "statusCategory"}):
    id: Id | None = None
    name: str | None = None
    category: Category | None = None


class OtherTicket(msgspec.Struct):
    key: str | None = None


class LinkType(msgspec.Struct):
    outward: str | None = None


class Link(msgspec.Struct, rename={"outward_issue": "outwardIssue"}):
    type: LinkType | None = None
    outward_issue: OtherTicket | None = None


_FIELD_NAMES = {
    "resolution_date": "resolutiondate",
    "category_changed": "statuscategorychangedate",
    "links": "issuelinks",
    "epic": "customfield_10014",
}


class Fields(msgspec.Struct, rename=_FIELD_NAMES):
    """A ticket's fields. The ticket has no parent if `parent` is null, or absent among all other fields."""

    summary: str | None = None
    created: str | None = None
    updated: str | None = None
    labels: list[str] | None = None
    components: list[Named] | None = None
    issuetype: Named | None = None
    project: Project | None = None
    status: Status | None = None
    resolution: Named | None = None
    resolution_date: str | None = None
    category_changed: str | None = None
    """When the category of the status last changed. Only Jira Cloud sends this field."""
    parent: OtherTicket | UnsetType | None = UNSET
    links: list[Link] | None = None
    epic: object = UNSET
    """The key of the epic: Jira Cloud creates its field "Epic Link" with this id. On any other site, another field may
    have the id, so the value may be anything.
    """


class Change(msgspec.Struct, rename={"field_id": "fieldId", "from_text": "fromString", "to_text": "toString"}):
    """A changed field. `to` is the id of the new value; `from_text` and `to_text` are the values as displayed.

    `field` is the name of the field, which a site may translate. Old servers send no `field_id`.
    """

    field: str | None = None
    field_id: str | None = None
    fieldtype: str | None = None
    from_text: str | None = None
    to: Id | UnsetType | None = UNSET
    to_text: str | None = None


class Changelog(msgspec.Struct):
    items: list[Change] | None = None


class PastChanges(Changelog, kw_only=True):
    """Changes of one moment in the past."""

    created: str | None = None


class History(msgspec.Struct):
    """The changelog that Jira Automation and Jira's API put into a ticket."""

    histories: list[PastChanges] | None = None


class Issue(msgspec.Struct, rename={"address": "self"}):
    key: str
    address: str | None = None
    id: object = None
    fields: Fields | None = None
    changelog: History | None = None


class Mark(msgspec.Struct):
    type: str | None = None


class Node(msgspec.Struct):
    """A node of a document tree. Source: "Atlassian Document Format", section "Structure"."""

    type: str | None = None
    text: str | None = None
    marks: list[Mark] | None = None
    content: list["Node"] | None = None


Text: TypeAlias = str | Node
"""A text in wiki markup, or as a document tree."""


class Comment(msgspec.Struct):
    body: Text | None = None
    created: str | None = None
    updated: str | None = None


class Announcement(msgspec.Struct, rename={"webhook_event": "webhookEvent"}):
    webhook_event: str | None = None


class IssueEvent(msgspec.Struct):
    issue: Issue
    timestamp: Milliseconds | None = None
    issue_event_type_name: str | None = None
    changelog: Changelog | None = None
    comment: Comment | None = None


class CommentEvent(msgspec.Struct):
    issue: Issue | None = None
    timestamp: Milliseconds | None = None
    comment: Comment | None = None


class ProjectEvent(msgspec.Struct):
    project: Project
    timestamp: Milliseconds | None = None


class Transition(msgspec.Struct):
    from_status: str | None = None
    to_status: str | None = None


class Unnamed(msgspec.Struct):
    """The members that tell the kind of a body that names no event."""

    transition: Transition | None = None
    issue: AnyObject | None = None
    key: str | None = None


class TransitionEvent(msgspec.Struct):
    transition: Transition
    issue: Issue
    timestamp: Milliseconds | None = None
