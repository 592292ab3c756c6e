"""Events of tickets, comments and workflow transitions."""

from collections.abc import Sequence
from typing import TypeGuard

from service.deliveries.decoding import decode
from service.deliveries.observation import Nothing, Observation, Observed
from service.providers.jira.changelog import MOST_CHANGES, read_changelog, read_history
from service.providers.jira.comments import read_comment, read_edited_comment
from service.providers.jira.links import links
from service.providers.jira.payloads import Change, Comment, CommentEvent, Issue, IssueEvent, TransitionEvent
from service.providers.jira.tickets import Ticket, identities, looks, reached

_CREATED = "jira:issue_created"
_UPDATED = "jira:issue_updated"
_DELETED = "jira:issue_deleted"
# Values of `issue_event_type_name`, which old servers omit.
_COMMENTED = "issue_commented"
_EDITED = "issue_comment_edited"
_REWRITTEN = frozenset({_EDITED, "issue_comment_deleted"})


def read_issue_event(name: str, payload: bytes) -> list[Observation]:
    event = decode(payload, IssueEvent)
    ticket = Ticket.of(event.issue, event.timestamp, event.comment)
    changes = ((event.changelog.items if event.changelog else None) or [])[:MOST_CHANGES]
    comment = read_comment(ticket, event.comment) if event.comment and _is_new(name, event, event.comment) else []
    edited = event.comment if event.issue_event_type_name == _EDITED else None
    unnamed = not changes and not comment and name not in (_CREATED, _DELETED)
    changed = read_changelog(ticket, changes)
    return [
        *looks(ticket),
        *([ticket.observed("deleted")] if name == _DELETED else []),
        *changed,
        *comment,
        *([ticket.active()] if unnamed else []),
        *([read_edited_comment(ticket, edited)] if edited else []),
        # If the status changed, the changelog reports the start or closing, so no time needs to be inferred.
        *reached(ticket, inferred=not any(map(_is_move, changed))),
        *links(ticket, changes),
        *identities(ticket),
    ]


def read_state(payload: bytes) -> list[Observation]:
    """Read a body that has a ticket and names no event: the state of the ticket, and the changes that it lists."""
    event = decode(payload, IssueEvent)
    changes = ((event.changelog.items if event.changelog else None) or [])[:MOST_CHANGES]
    return _read_state(Ticket.of(event.issue, event.timestamp, event.comment), event.issue, changes)


def read_ticket(payload: bytes) -> list[Observation]:
    """Read a body that is a ticket."""
    issue = decode(payload, Issue)
    return _read_state(Ticket.of(issue, None), issue, [])


def _read_state(ticket: Ticket, issue: Issue, changes: Sequence[Change]) -> list[Observation]:
    # Report no activity: a rule may send every ticket at a set time, although nothing happened to them.
    past, changed = read_history(ticket, issue.changelog), read_changelog(ticket, changes)
    told = any(map(_is_move, changed)) or any(_is_move(one) and _is_current(one, ticket) for one in past)
    return [
        *looks(ticket),
        *past,
        *changed,
        *reached(ticket, inferred=not told),
        *links(ticket, changes),
        *identities(ticket),
    ]


def _is_move(one: Observation) -> TypeGuard[Observed]:
    return isinstance(one, Observed) and one.kind == "moved"


def _is_current(moved: Observed, ticket: Ticket) -> bool:
    """Whether a move in the past led to the category that the ticket still has."""
    return moved.traits.get("category_to") == (ticket.category,)


def read_transition(payload: bytes) -> list[Observation]:
    event = decode(payload, TransitionEvent)
    ticket = Ticket.of(event.issue, event.timestamp)
    change = Change(field="status", from_text=event.transition.from_status, to_text=event.transition.to_status)
    changed = read_changelog(ticket, [change])
    # The payload may show the ticket before the transition, so only a time that it tells counts.
    return [*looks(ticket), *changed, *reached(ticket, inferred=False), *links(ticket), *identities(ticket)]


def read_comment_event(name: str, payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode(payload, CommentEvent)
    if event.issue is None:
        return Nothing("the comment does not name its ticket")
    ticket = Ticket.of(event.issue, event.timestamp, event.comment)
    known = [*looks(ticket, in_part=True), *reached(ticket)] if event.issue.fields else []
    known += identities(ticket)
    # Commands count only when a comment is new. Commands are dated to when their comment was written. A command that an
    # edit added later would get this earlier time.
    if event.comment and name == "comment_created":
        return [*known, *read_comment(ticket, event.comment)]
    edited = [read_edited_comment(ticket, event.comment)] if event.comment and name == "comment_updated" else []
    return [*known, ticket.active(), *edited]


def _is_new(name: str, event: IssueEvent, comment: Comment) -> bool:
    """Whether the update of a ticket adds a comment, either alone or together with a change of status."""
    if name != _UPDATED or event.issue_event_type_name in _REWRITTEN:
        return False
    named = event.issue_event_type_name == _COMMENTED
    return named or (comment.created is not None and comment.created == comment.updated)
