"""Comments, which GitLab calls notes."""

from collections.abc import Sequence
from datetime import datetime
from typing import TypeVar

from service.deliveries.decoding import decode, is_commit, read_time, traits
from service.deliveries.delivery import UnreadableDelivery
from service.deliveries.observation import Commented, Nothing, Observation, Observed
from service.lifecycle.references import Ref, change, commit, item
from service.providers.gitlab.changes import identities, outsider
from service.providers.gitlab.items import closed, looks, seen_at
from service.providers.gitlab.payloads import Issue, MergeRequest, Note, NoteEvent
from service.providers.gitlab.projects import identified, path

_MERGE_REQUEST = "$.merge_request"
_Subject = TypeVar("_Subject")


def read_note(payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode(payload, NoteEvent)
    match event.object_attributes.noteable_type:
        case "Issue" | "WorkItem":
            return _on_issue(event, _required(event.issue, "issue"))
        case "MergeRequest":
            return _on_change(event, _required(event.merge_request, "merge_request"))
        case "Commit":
            return _on_commit(event)
        case _:
            return Nothing("comments on anything but issues, merge requests and commits say nothing about experiments")


def _on_issue(event: NoteEvent, seen: Issue) -> Sequence[Observation]:
    project = path(event.project, event.repository)
    subject = item("gitlab", project, seen.iid)
    place = traits({"what": "item", "project": project})
    return [
        # The comment may be the first delivery about an issue that is older than the webhook, so report its state too.
        *looks(seen, subject, traits({"item_type": seen.type}), place, None, "$.issue"),
        *closed(seen, subject, place, "$.issue"),
        *_comment(event.object_attributes, subject),
        *identified(event.project, _newest(event.object_attributes, seen_at(seen, "$.issue"))),
    ]


def _on_change(event: NoteEvent, merge: MergeRequest) -> Sequence[Observation]:
    project = path(merge.target, event.project, event.repository)
    subject = change("gitlab", project, merge.iid)
    place = traits({"what": "change", "project": project, "branch": merge.source_branch})
    return [
        *looks(merge, subject, {}, place, None, _MERGE_REQUEST),
        *_comment(event.object_attributes, subject),
        # This may be the first delivery about the merge request.
        *outsider(merge, subject, project, seen_at(merge, _MERGE_REQUEST), _MERGE_REQUEST),
        *identities(event.project, merge, _newest(event.object_attributes, seen_at(merge, _MERGE_REQUEST))),
    ]


def _on_commit(event: NoteEvent) -> Sequence[Observation] | Nothing:
    sha = (event.commit.id if event.commit else None) or event.object_attributes.commit_id
    at = _written_or_changed_at(event.object_attributes)
    if not sha or not is_commit(sha) or at is None:
        return Nothing("the comment names no commit or no time")
    return [Observed("active", commit(sha), at), *identified(event.project, at)]


def _comment(note: Note, subject: Ref) -> list[Observation]:
    at = _written_or_changed_at(note)
    if at is None:
        return []
    active = Observed("active", subject, at)
    # Commands count only when a comment is new: an edited comment is dated to its edit, and its old commands would
    # count again at that time. Skip system notes, because GitLab writes them itself.
    if note.system:
        return [active]
    return [active, Commented(subject, at, note.note or "", insider=None, edited=not _is_new(note))]


def _is_new(note: Note) -> bool:
    """Whether the comment is new.

    Before GitLab 16.11, payloads have no `action`. Then a comment is new if `created_at` equals `updated_at`.
    """
    if note.action:
        return note.action == "create"
    return bool(note.updated_at) and _created_at(note) == _updated_at(note)


def _written_or_changed_at(note: Note) -> datetime | None:
    """The time at which a new comment was written, or an old comment was changed."""
    created, updated = _created_at(note), _updated_at(note)
    return (created or updated) if note.action == "create" else (updated or created)


def _newest(note: Note, seen: datetime) -> datetime:
    """The newest time in the payload."""
    return max(filter(None, (seen, _created_at(note), _updated_at(note))))


def _created_at(note: Note) -> datetime | None:
    return read_time(note.created_at, "$.object_attributes.created_at") if note.created_at else None


def _updated_at(note: Note) -> datetime | None:
    return read_time(note.updated_at, "$.object_attributes.updated_at") if note.updated_at else None


def _required(found: _Subject | None, name: str) -> _Subject:
    if found is None:
        raise UnreadableDelivery(f"a field is missing or malformed: missing required field `{name}`")
    return found
