"""GitHub: repository, organisation and App webhooks.

Source: "Webhook events and payloads" and "Validating webhook deliveries" in GitHub's documentation. Only the
fields used here are decoded, since payloads vary by version and event.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar, TypeVar
from urllib.parse import parse_qs

import msgspec

from service.lifecycle.evidence import Ref, change, commit, item
from service.observation import ChangeSeen, ItemChanged, ItemSeen, LabelChanged, Nothing, Observation, RunFinished
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


class _Named(msgspec.Struct):
    name: str


class _Repository(msgspec.Struct):
    full_name: str


class _Item(msgspec.Struct):
    number: int
    created_at: datetime
    title: str = ""
    html_url: str = ""
    labels: list[_Named] | None = None
    updated_at: datetime | None = None
    closed_at: datetime | None = None
    state_reason: str | None = None


class _Head(msgspec.Struct):
    sha: str
    ref: str = ""


class _Change(_Item, kw_only=True):
    head: _Head
    body: str | None = None
    merged_at: datetime | None = None
    merge_commit_sha: str | None = None


class _ItemEvent(msgspec.Struct):
    action: str
    repository: _Repository
    label: _Named | None = None


class _IssueEvent(_ItemEvent, kw_only=True):
    issue: _Item


class _PullRequestEvent(_ItemEvent, kw_only=True):
    pull_request: _Change


class _Run(msgspec.Struct):
    head_sha: str
    updated_at: datetime
    name: str | None = None
    conclusion: str | None = None


class _AnyEvent(msgspec.Struct):
    """Any JSON object: for the events of which no field is used."""


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

    def observe(self, headers: Mapping[str, str], body: bytes) -> Sequence[Observation] | Nothing:
        event = headers.get(_EVENT)
        if not event:
            raise UnreadableDelivery("header X-GitHub-Event is missing")
        payload = _json_text(headers, body)
        reader = _READERS.get(event)
        if reader is not None:
            return reader(payload)
        _decode(payload, _AnyEvent)
        if event == "ping":
            return Nothing("a ping: the webhook is connected")
        return Nothing(f"GitHub's `{event}` events say nothing about experiments")


def _issue(payload: bytes) -> Sequence[Observation]:
    event = _decode(payload, _IssueEvent)
    subject = item("github", event.repository.full_name, event.issue.number)
    return [*_item(event, event.issue, subject), *_closed(event.issue, subject)]


def _pull_request(payload: bytes) -> Sequence[Observation]:
    event = _decode(payload, _PullRequestEvent)
    pull = event.pull_request
    project = event.repository.full_name
    subject = change("github", project, pull.number)
    # Before the merge this hash names a trial merge that GitHub throws away.
    merged = [commit(pull.merge_commit_sha)] if pull.merged_at and pull.merge_commit_sha else []
    return [
        *_item(event, pull, subject, is_change=True),
        ChangeSeen(
            subject=subject,
            seen_at=_seen_at(pull),
            branch=pull.head.ref,
            commits=(commit(pull.head.sha), *merged),
            closes=frozenset(_closes(pull.body or "", project)),
        ),
        *_merged_or_closed(pull, subject),
    ]


def _workflow_run(payload: bytes) -> Sequence[Observation] | Nothing:
    event = _decode(payload, _WorkflowRunEvent)
    if event.action != "completed":
        return Nothing(f"a workflow run that is {event.action}, not completed, is no signal yet")
    run = event.workflow_run
    return [
        RunFinished(
            subject=commit(run.head_sha),
            workflow=run.name or "",
            conclusion=run.conclusion or "",
            at=_utc(run.updated_at),
        )
    ]


_READERS: Mapping[str, Callable[[bytes], Sequence[Observation] | Nothing]] = {
    "issues": _issue,
    "pull_request": _pull_request,
    "workflow_run": _workflow_run,
}


def _item(event: _ItemEvent, seen: _Item, subject: Ref, *, is_change: bool = False) -> list[Observation]:
    """What issues and pull requests have in common: how they look now, their creation, and what just changed."""
    at = _seen_at(seen)
    observations: list[Observation] = [
        ItemSeen(
            subject=subject,
            seen_at=at,
            project=event.repository.full_name,
            title=seen.title,
            url=seen.html_url,
            labels=tuple(label.name for label in seen.labels or ()),
        ),
        ItemChanged(subject=subject, happened="created", at=_utc(seen.created_at), is_change=is_change),
    ]
    match event.action:
        case "labeled" | "unlabeled" if event.label is not None:
            added = event.action == "labeled"
            observations.append(LabelChanged(subject=subject, label=event.label.name, added=added, at=at))
        case "assigned":
            observations.append(ItemChanged(subject=subject, happened="assigned", at=at, is_change=is_change))
        case "reopened":
            observations.append(ItemChanged(subject=subject, happened="reopened", at=at, is_change=is_change))
        case _:
            pass
    return observations


def _closed(issue: _Item, subject: Ref) -> list[Observation]:
    if issue.closed_at is None:
        return []
    at = _utc(issue.closed_at)
    match issue.state_reason:
        case "not_planned":
            return [ItemChanged(subject=subject, happened="not planned", at=at, is_change=False)]
        case "duplicate":
            return [ItemChanged(subject=subject, happened="duplicate", at=at, is_change=False)]
        case _:
            return [ItemChanged(subject=subject, happened="closed", at=at, is_change=False)]


def _merged_or_closed(pull: _Change, subject: Ref) -> list[Observation]:
    if pull.merged_at is not None:
        return [ItemChanged(subject=subject, happened="merged", at=_utc(pull.merged_at), is_change=True)]
    if pull.closed_at is not None:
        return [ItemChanged(subject=subject, happened="closed", at=_utc(pull.closed_at), is_change=True)]
    return []


def _closes(body: str, project: str) -> list[Ref]:
    return [
        item("github", found["url_project"] or found["project"] or project, int(found["url_number"] or found["number"]))
        for found in _CLOSES.finditer(body)
    ]


def _seen_at(seen: _Item) -> datetime:
    return _utc(seen.updated_at or seen.created_at)


def _utc(at: datetime) -> datetime:
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as error:
        raise UnreadableDelivery(f"the time {at.isoformat()} is out of range") from error


def _json_text(headers: Mapping[str, str], body: bytes) -> bytes:
    """The JSON document in the body, which hooks of content type *form* send as the field `payload`."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableDelivery(f"the body is not UTF-8: byte {error.start} cannot be decoded") from error
    if not headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return body
    try:
        fields = parse_qs(text, max_num_fields=16)
    except ValueError as error:
        raise UnreadableDelivery(f"the form cannot be read: {error}") from error
    if "payload" not in fields:
        raise UnreadableDelivery("the form has no field `payload`")
    return fields["payload"][0].encode()


def _decode(payload: bytes, expected: type[_Payload]) -> _Payload:
    try:
        return msgspec.json.decode(payload, type=expected)
    except msgspec.ValidationError as error:
        raise UnreadableDelivery(f"a field is missing or malformed: {error}") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise UnreadableDelivery(f"the body is not JSON: {error}") from error
