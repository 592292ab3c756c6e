"""The shapes of GitHub's bodies: the members by which the body of one event differs from the body of another.

GitHub signs the body, but not the header X-GitHub-Event. A body that is sent again with the name of another event still
has a valid signature. Therefore a body counts only if it has the shape of the event that the header names: the body of
a deleted comment also has an issue, and would otherwise report the deletion of this issue.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from operator import attrgetter
from typing import TypeVar, cast

import msgspec

from service.deliveries.decoding import decode, decode_usual, shorten
from service.deliveries.delivery import UnreadableDelivery

SHAPES: Mapping[str, frozenset[str]] = {
    "check_run": frozenset({"check_run"}),
    "check_suite": frozenset({"check_suite"}),
    "deployment_status": frozenset({"deployment", "deployment_status", "check_run", "workflow_run"}),
    # Gitea adds the pull request to a comment on a pull request.
    "issue_comment": frozenset({"issue", "comment", "pull_request"}),
    "issues": frozenset({"issue", "label", "milestone"}),
    "merge_group": frozenset({"merge_group"}),
    "pull_request": frozenset({"pull_request", "label", "milestone", "before", "after"}),
    "push": frozenset({"ref", "before", "after"}),
    "repository": frozenset(),
    "status": frozenset({"commit"}),
    "sub_issues": frozenset({"sub_issue", "parent_issue"}),
    "workflow_run": frozenset({"workflow_run"}),
}
"""For each event that loopgauge reads, the members of `_TELLING` that its body may have."""

_TELLING = (
    "after",
    "alert",
    "before",
    "build",
    "check_run",
    "check_suite",
    "client_payload",
    "comment",
    "commit",
    "deployment",
    "deployment_status",
    "discussion",
    "forkee",
    "hook",
    "issue",
    "key",
    "label",
    "member",
    "membership",
    "merge_group",
    "milestone",
    "package",
    "pages",
    "parent_issue",
    "project",
    "project_card",
    "project_column",
    "pull_request",
    "pusher_type",
    "ref",
    "ref_type",
    "release",
    "review",
    "rule",
    "starred_at",
    "sub_issue",
    "team",
    "thread",
    "workflow_job",
    "workflow_run",
)
"""The members of bodies that tell events apart."""
_OF_REPOSITORIES = frozenset(
    {"action", "changes", "enterprise", "installation", "organization", "repository", "secret", "sender"}
)
_ABSENT = msgspec.Raw()
_Event = TypeVar("_Event", bound=msgspec.Struct)


def decode_event(event: str, document: bytes, expected: type[_Event]) -> _Event:
    """Decode a body, and check that it can be the body of an event.

    Raises:
        UnreadableDelivery: the document cannot be decoded, or has a member that no body of this event has.
    """
    body: _Event | None = decode_usual(document, _with_foreign(event, expected))
    if body is None:
        # A field is missing or of another type than usual. The body of another event lacks fields, too.
        _refuse_foreign(event, decode(document, _with_foreign(event, msgspec.Struct)))
        return decode(document, expected)
    _refuse_foreign(event, body)
    return body


@cache
def _with_foreign(event: str, expected: type[_Event]) -> type[_Event]:
    """A type with the fields of another one, and with the members that no body of the event has."""
    members = [(name, msgspec.Raw, _ABSENT) for name in _foreign_to(event)]
    return cast("type[_Event]", msgspec.defstruct(expected.__name__, members, bases=(expected,), kw_only=True))


@cache
def _foreign_to(event: str) -> Sequence[str]:
    return [name for name in _TELLING if name not in SHAPES[event]]


@cache
def _reader_of_foreign(event: str) -> tuple[Callable[[object], Sequence[msgspec.Raw]], Sequence[msgspec.Raw]]:
    """A function that reads the members that no body of the event has, and its result if the body has none of them."""
    names = _foreign_to(event)
    return attrgetter(*names), (_ABSENT,) * len(names)


def _refuse_foreign(event: str, body: msgspec.Struct) -> None:
    read, absent = _reader_of_foreign(event)
    # In nearly every body all of them are absent, and one comparison finds this out.
    if (members := read(body)) != absent:
        given = zip(_foreign_to(event), members, strict=True)
        _refuse(event, [name for name, member in given if member is not _ABSENT and bytes(member) != b"null"])


def check_repository(document: bytes) -> None:
    """Check that a body has the members of a repository event, and no others.

    The body of a star that is taken back differs from the body of a deleted repository only by a member that is null,
    and later versions of GitHub may send others. Therefore only a body whose members are all known deletes or archives
    a repository.

    Raises:
        UnreadableDelivery: the body has another member.
    """
    _refuse("repository", [name for name in decode(document, dict[str, msgspec.Raw]) if name not in _OF_REPOSITORIES])


def _refuse(event: str, foreign: Sequence[str]) -> None:
    if foreign:
        raise UnreadableDelivery(
            f"the body has `{shorten(foreign[0])}`, so it is not the body of the event `{event}` that X-GitHub-Event "
            "names; the signature does not cover this header, so the delivery may be a copy under another name"
        )
