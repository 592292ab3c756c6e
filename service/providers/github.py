"""GitHub: repository, organisation and App webhooks.

Source: "Webhook events and payloads" and "Validating webhook deliveries" in GitHub's documentation. Only the
fields used here are decoded, since payloads vary by version and event.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import ClassVar, Literal, TypeVar
from urllib.parse import parse_qs

import msgspec

from service.lifecycle.evidence import MOST_TARGETS, Alias, Ref, branch, branches, change, commit, item, project
from service.observation import Commented, Linked, Mentioned, Nothing, Observation, Observed, Renamed, Trait
from service.webhook import SignatureRefused, UnreadableDelivery, check_hmac_sha256, content_id

_SIGNATURE = "x-hub-signature-256"
_LEGACY_SIGNATURE = "x-hub-signature"
_EVENT = "x-github-event"
_DELIVERY = "x-github-delivery"

# GitHub's keywords: "Linking a pull request to an issue using a keyword".
_CLOSES = re.compile(
    r"(?<![\w-])(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\b:?\s+"
    r"(?:https://github\.com/(?P<url_project>[\w.-]+/[\w.-]+)/issues/(?P<url_number>[0-9]{1,18})"
    r"|(?P<project>[\w.-]+/[\w.-]+)?#(?P<number>[0-9]{1,18}))\b",
    re.IGNORECASE,
)


_INSIDERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
# A rename whose time is not told yields to any that is dated.
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


class _Named(msgspec.Struct):
    name: str


class _Numbered(msgspec.Struct):
    number: int


class _Repository(msgspec.Struct):
    full_name: str
    default_branch: str = ""
    updated_at: datetime | None = None


class _Item(msgspec.Struct):
    number: int
    created_at: datetime
    title: str = ""
    html_url: str = ""
    labels: list[_Named] | None = None
    updated_at: datetime | None = None
    closed_at: datetime | None = None
    state_reason: str | None = None


class _HeadRepository(msgspec.Struct):
    full_name: str = ""


class _Head(msgspec.Struct):
    sha: str
    ref: str = ""
    repo: _HeadRepository | None = None


class _Base(msgspec.Struct):
    repo: _Repository | None = None


class _Change(_Item, kw_only=True):
    head: _Head
    base: _Base | None = None
    body: str | None = None
    merged_at: datetime | None = None
    merge_commit_sha: str | None = None


class _Moved(msgspec.Struct):
    new_issue: _Numbered | None = None
    new_repository: _Repository | None = None


class _ItemEvent(msgspec.Struct):
    action: str
    repository: _Repository
    label: _Named | None = None


class _IssueEvent(_ItemEvent, kw_only=True):
    issue: _Item
    changes: _Moved | None = None


class _PullRequestEvent(_ItemEvent, kw_only=True):
    pull_request: _Change


class _AnyObject(msgspec.Struct):
    """Any JSON object, where none of its fields is used."""


class _Comment(msgspec.Struct):
    body: str | None = None
    created_at: datetime | None = None
    author_association: str = ""


class _CommentedItem(_Item, kw_only=True):
    pull_request: _AnyObject | None = None


class _IssueCommentEvent(_ItemEvent, kw_only=True):
    issue: _CommentedItem
    comment: _Comment


class _OldName(msgspec.Struct, rename={"old": "from"}):
    old: str


class _RepositoryChanges(msgspec.Struct):
    name: _OldName | None = None


class _Account(msgspec.Struct):
    login: str


class _OldOwner(msgspec.Struct):
    user: _Account | None = None
    organization: _Account | None = None


class _OwnerChange(msgspec.Struct, rename={"old": "from"}):
    old: _OldOwner


class _RepositoryField(msgspec.Struct):
    repository: _RepositoryChanges | None = None
    owner: _OwnerChange | None = None


class _RepositoryEvent(msgspec.Struct):
    action: str
    repository: _Repository
    changes: _RepositoryField | None = None


class _Run(msgspec.Struct):
    head_sha: str
    updated_at: datetime
    name: str | None = None
    conclusion: str | None = None
    head_branch: str | None = None


class _WorkflowRunEvent(msgspec.Struct):
    action: str
    workflow_run: _Run


_Payload = TypeVar("_Payload")


class GitHub:
    """GitHub's webhooks, signed with HMAC-SHA256 over the raw body."""

    name: ClassVar[str] = "github"
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", _EVENT, _DELIVERY, "x-github-hook-id"})

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes]) -> None:
        signature = headers.get(_SIGNATURE)
        if signature is None and _LEGACY_SIGNATURE in headers:
            raise SignatureRefused("only a SHA-1 signature was sent; X-Hub-Signature-256 is required")
        if signature is None:
            raise SignatureRefused("header X-Hub-Signature-256 is missing; set the webhook's secret in GitHub")
        if not signature.startswith("sha256="):
            raise SignatureRefused("header X-Hub-Signature-256 does not begin with sha256=")
        check_hmac_sha256(signature.removeprefix("sha256="), body, secrets)

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        return headers.get(_DELIVERY) or content_id(headers.get(_EVENT, ""), body)

    def document(self, headers: Mapping[str, str], body: bytes) -> bytes:
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError as error:
            raise UnreadableDelivery(f"the body is not UTF-8: byte {error.start} cannot be decoded") from error
        if not headers.get("content-type", "").lower().startswith("application/x-www-form-urlencoded"):
            return body
        try:
            fields = parse_qs(text, max_num_fields=16, errors="strict")
        except ValueError as error:
            raise UnreadableDelivery(f"the form cannot be read: {error}") from error
        if "payload" not in fields:
            raise UnreadableDelivery("the form has no field `payload`")
        return fields["payload"][0].encode()

    def observe(self, headers: Mapping[str, str], body: bytes) -> Sequence[Observation] | Nothing:
        event = headers.get(_EVENT)
        if not event:
            raise UnreadableDelivery("header X-GitHub-Event is missing")
        document = self.document(headers, body)
        reader = _READERS.get(event)
        if reader is not None:
            return reader(document)
        _decode(document, _AnyObject)
        if event == "ping":
            return Nothing("a ping: the webhook is connected")
        return Nothing(f"GitHub's `{event}` events say nothing about experiments")


def _issue(payload: bytes) -> Sequence[Observation]:
    event = _decode(payload, _IssueEvent)
    subject = item("github", event.repository.full_name, event.issue.number)
    return [*_item(event, event.issue, subject, "item"), *_closed(event, subject), *_transferred(event, subject)]


def _pull_request(payload: bytes) -> Sequence[Observation]:
    event = _decode(payload, _PullRequestEvent)
    pull = event.pull_request
    repository = event.repository.full_name
    subject = change("github", repository, pull.number)
    at = _seen_at(pull)
    return [
        *_item(event, pull, subject, "change", pull.head.ref),
        Linked(subject, "body", subject, frozenset(_closes(pull.body or "", repository)), at),
        Mentioned(subject, "branch", pull.head.ref, at),
        Mentioned(subject, "title", pull.title, at),
        *_made_of(event, subject, at),
        *_merged_or_closed(event, subject),
    ]


def _issue_comment(payload: bytes) -> Sequence[Observation]:
    event = _decode(payload, _IssueCommentEvent)
    issue, comment = event.issue, event.comment
    named = change if issue.pull_request is not None else item
    subject = named("github", event.repository.full_name, issue.number)
    at = _utc(comment.created_at) if comment.created_at else _seen_at(issue)
    observations: list[Observation] = [Observed("active", subject, at)]
    # What an edit or a deletion leaves of a comment is not what was commanded at its time.
    if event.action == "created":
        insider = comment.author_association in _INSIDERS
        observations.append(Commented(subject, at, comment.body or "", insider))
    return observations


def _workflow_run(payload: bytes) -> Sequence[Observation] | Nothing:
    event = _decode(payload, _WorkflowRunEvent)
    if event.action != "completed":
        return Nothing(f"a workflow run that is {event.action}, not completed, is no signal yet")
    run = event.workflow_run
    known: dict[Trait, str | None] = {"workflow": run.name, "conclusion": run.conclusion, "branch": run.head_branch}
    return [Observed("finished", commit(run.head_sha), _utc(run.updated_at), _traits(known))]


def _repository(payload: bytes) -> Sequence[Observation] | Nothing:
    event = _decode(payload, _RepositoryEvent)
    before, now = _old_full_name(event), event.repository.full_name
    if before is None:
        return Nothing(f"a repository that is {event.action} says nothing about experiments")
    at = _utc(event.repository.updated_at) if event.repository.updated_at else _UNDATED
    pairs = ((project("github", before), project("github", now)), (branches(before), branches(now)))
    return [Renamed(Alias(was, becomes, at)) for was, becomes in pairs]


def _old_full_name(event: _RepositoryEvent) -> str | None:
    """What a repository that was renamed or transferred was called before."""
    owner, _, name = event.repository.full_name.partition("/")
    changes = event.changes
    if event.action == "renamed" and changes and changes.repository and changes.repository.name:
        return f"{owner}/{changes.repository.name.old}"
    if event.action == "transferred" and changes and changes.owner:
        account = changes.owner.old.organization or changes.owner.old.user
        return f"{account.login}/{name}" if account else None
    return None


_READERS: Mapping[str, Callable[[bytes], Sequence[Observation] | Nothing]] = {
    "issue_comment": _issue_comment,
    "issues": _issue,
    "pull_request": _pull_request,
    "repository": _repository,
    "workflow_run": _workflow_run,
}


def _item(
    event: _ItemEvent, seen: _Item, subject: Ref, what: Literal["item", "change"], branch: str = ""
) -> list[Observation]:
    """What issues and pull requests have in common: how they look now, their creation, and what just changed."""
    at = _seen_at(seen)
    place = _traits({"what": what, "project": event.repository.full_name, "branch": branch})
    looks = _traits({"title": seen.title, "url": seen.html_url})
    labels = tuple(label.name for label in seen.labels or ())
    observations: list[Observation] = [
        Observed("seen", subject, at, {**place, **looks, "label": labels}),
        Observed("created", subject, _utc(seen.created_at), place),
    ]
    match event.action:
        case "labeled" if event.label is not None:
            observations.append(Observed("labelled", subject, at, {**place, "label": (event.label.name,)}))
        case "unlabeled" if event.label is not None:
            observations.append(Observed("unlabelled", subject, at, {**place, "label": (event.label.name,)}))
        case "assigned" | "reopened" | "deleted":
            observations.append(Observed(event.action, subject, at, place))
        case "edited" | "synchronize":
            observations.append(Observed("active", subject, at))
        case _:
            pass
    return observations


def _closed(event: _IssueEvent, subject: Ref) -> list[Observation]:
    if event.issue.closed_at is None:
        return []
    known: dict[Trait, str | None] = {
        "what": "item",
        "project": event.repository.full_name,
        "reason": event.issue.state_reason,
    }
    return [Observed("closed", subject, _utc(event.issue.closed_at), _traits(known))]


def _transferred(event: _IssueEvent, subject: Ref) -> list[Observation]:
    moved = event.changes
    if event.action != "transferred" or moved is None or moved.new_issue is None or moved.new_repository is None:
        return []
    new = item("github", moved.new_repository.full_name, moved.new_issue.number)
    return [Renamed(Alias(subject, new, _seen_at(event.issue)))]


def _made_of(event: _PullRequestEvent, subject: Ref, at: datetime) -> list[Observation]:
    """The commits and the branch that serve the change."""
    pull = event.pull_request
    made: list[Observation] = [Linked(commit(pull.head.sha), "head", subject, frozenset({subject}), at)]
    # Before the merge this hash names a trial merge that GitHub throws away.
    if pull.merged_at and pull.merge_commit_sha:
        made.append(Linked(commit(pull.merge_commit_sha), "merge commit", subject, frozenset({subject}), at))
    home = pull.head.repo.full_name if pull.head.repo else ""
    default = pull.base.repo.default_branch if pull.base and pull.base.repo else event.repository.default_branch
    own = home.lower() == event.repository.full_name.lower()
    # A branch serves its change while that is open; the default one, or a fork's of the same name, serves all.
    if home and pull.head.ref and not (own and pull.head.ref == default):
        serves = frozenset({subject}) if pull.closed_at is None else frozenset[Ref]()
        made.append(Linked(branch(home, pull.head.ref), "branch", subject, serves, at))
    return made


def _merged_or_closed(event: _PullRequestEvent, subject: Ref) -> list[Observation]:
    pull = event.pull_request
    place = _traits({"what": "change", "project": event.repository.full_name, "branch": pull.head.ref})
    if pull.merged_at is not None:
        return [Observed("merged", subject, _utc(pull.merged_at), place)]
    if pull.closed_at is not None:
        return [Observed("closed", subject, _utc(pull.closed_at), place)]
    return []


def _traits(known: Mapping[Trait, str | None]) -> Mapping[Trait, tuple[str, ...]]:
    return {trait: (value,) for trait, value in known.items() if value}


def _closes(body: str, project: str) -> list[Ref]:
    """The first items that a body says it closes; anybody can write one that names thousands."""
    return [
        item("github", found["url_project"] or found["project"] or project, int(found["url_number"] or found["number"]))
        for found in islice(_CLOSES.finditer(body), MOST_TARGETS)
    ]


def _seen_at(seen: _Item) -> datetime:
    return _utc(seen.updated_at or seen.created_at)


def _utc(at: datetime) -> datetime:
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise UnreadableDelivery(f"the time {at.isoformat()} is out of range") from error


def _decode(payload: bytes, expected: type[_Payload]) -> _Payload:
    try:
        return msgspec.json.decode(payload, type=expected)
    except msgspec.ValidationError as error:
        raise UnreadableDelivery(f"a field is missing or malformed: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableDelivery(f"the body is not JSON: {error}") from error
