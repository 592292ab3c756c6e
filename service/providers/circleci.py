"""CircleCI: outbound webhooks.

Source: "Outbound webhooks" and "Outbound webhooks reference" in CircleCI's documentation. A pipeline names its commit
in `vcs` (GitHub OAuth, Bitbucket Cloud) or in `trigger_parameters` (GitHub App, GitLab, Bitbucket Data Center).
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from service.deliveries.decoding import AnyObject, decode, is_commit, require_utf8, shorten, utc
from service.deliveries.delivery import Delivery, UnreadableDelivery, content_id
from service.deliveries.event_name import EventName
from service.deliveries.observation import Nothing, Observation, Outsider, finished_run
from service.deliveries.signatures import SecurityScheme, SignatureRefused, check_hmac, header_scheme
from service.lifecycle.references import ReferenceGrammar, commit

_SIGNATURE = "circleci-signature"
_EVENT = "circleci-event-type"
# CircleCI names the branch of a fork by the number of its pull request.
_OF_FORK = re.compile("pull/[0-9]+(?:/head|/merge)?")


class _Envelope(msgspec.Struct):
    type: str | None = None
    payload: AnyObject | None = None


class _Workflow(msgspec.Struct):
    name: str | None = None
    status: str | None = None
    stopped_at: datetime | None = None


class _Commit(msgspec.Struct):
    subject: str | None = None
    body: str | None = None


class _Repository(msgspec.Struct):
    origin_repository_url: str | None = None
    target_repository_url: str | None = None
    revision: str | None = None
    branch: str | None = None
    commit: _Commit | None = None


class _Trigger(msgspec.Struct):
    checkout_sha: str | None = None
    commit_sha: str | None = None
    branch: str | None = None
    commit_message: str | None = None
    commit_title: str | None = None


class _Triggers(msgspec.Struct):
    git: _Trigger | None = None
    github_app: _Trigger | None = None
    gitlab: _Trigger | None = None


class _Pipeline(msgspec.Struct):
    vcs: _Repository | None = None
    trigger_parameters: _Triggers | None = None


class _WorkflowCompleted(msgspec.Struct):
    workflow: _Workflow
    happened_at: datetime | None = None
    pipeline: _Pipeline | None = None


class _Revision(msgspec.Struct, frozen=True):
    """The commit that was built, according to one part of the payload. A field that this part lacks is empty."""

    sha: str
    branch: str
    message: str


class CircleCI:
    """CircleCI's webhooks, signed with HMAC-SHA256 over the raw body."""

    name: ClassVar[str] = "circleci"
    references: ClassVar[ReferenceGrammar | None] = None
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type", _EVENT})
    event_name: ClassVar[EventName] = EventName(header=_EVENT, name=("type",), document_first=True)
    proof_headers: ClassVar[frozenset[str]] = frozenset({_SIGNATURE})
    security_schemes: ClassVar[Mapping[str, SecurityScheme]] = {
        "CircleCI": header_scheme("circleci-signature", "v1= followed by a signature of the body.")
    }

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:  # noqa: ARG002 - the signature covers no time
        header = headers.get(_SIGNATURE)
        if not header:
            raise SignatureRefused("header circleci-signature is missing; set the webhook's secret token in CircleCI")
        versions = (part.strip() for part in header.split(","))
        signature = next((part.removeprefix("v1=") for part in versions if part.startswith("v1=")), None)
        if signature is None:
            raise SignatureRefused("header circleci-signature contains no signature of version v1")
        check_hmac(signature, body, secrets)

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        return content_id(headers.get(_EVENT, ""), body)

    def document(self, delivery: Delivery) -> bytes:
        return require_utf8(delivery.body)

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        document = self.document(delivery)
        envelope = decode(document, _Envelope)
        event = envelope.type or delivery.headers.get(_EVENT)
        if event == "workflow-completed":
            return _read_workflow(decode(document, _WorkflowCompleted))
        if event:
            return Nothing(_ignored_reason(event))
        if envelope.payload is not None:
            return Nothing("a build notification of CircleCI's old kind; set up a webhook for workflow-completed")
        raise UnreadableDelivery("the event's type is missing, both in header circleci-event-type and at `$.type`")


def _read_workflow(event: _WorkflowCompleted) -> Sequence[Observation] | Nothing:
    workflow, stopped = event.workflow, event.workflow.stopped_at or event.happened_at
    if stopped is None:
        return Nothing("the workflow does not say when it stopped")
    revision = _revision(event.pipeline) if event.pipeline else None
    if revision is None:
        return Nothing("the workflow names no commit")
    observations = finished_run(
        commit(revision.sha),
        utc(stopped),
        workflow=workflow.name,
        conclusion=workflow.status,
        branch=revision.branch,
        message=revision.message,
    )
    is_fork = _is_fork(event.pipeline, revision)
    return [*observations, *([Outsider(commit(revision.sha), utc(stopped))] if is_fork else [])]


def _is_fork(pipeline: _Pipeline | None, revision: _Revision) -> bool:
    """Whether the workflow is about a fork, whose branches and messages an outsider may write."""
    repository = (pipeline and pipeline.vcs) or _Repository()
    origin, target = repository.origin_repository_url, repository.target_repository_url
    if origin and target:
        return origin.lower() != target.lower()
    return _OF_FORK.fullmatch(revision.branch) is not None


def _revision(pipeline: _Pipeline) -> _Revision | None:
    """The first commit in the payload. Its branch and message come from the parts that name this commit."""
    triggers = pipeline.trigger_parameters or _Triggers()
    by_trigger = map(_trigger_revision, (triggers.git, triggers.github_app, triggers.gitlab))
    revisions = [_repository_revision(pipeline.vcs), *by_trigger]
    sha = next((revision.sha for revision in revisions if is_commit(revision.sha)), None)
    if sha is None:
        return None
    same = [revision for revision in revisions if revision.sha == sha]
    branch = next((revision.branch for revision in same if revision.branch), "")
    return _Revision(sha, branch, next((revision.message for revision in same if revision.message), ""))


def _repository_revision(repository: _Repository | None) -> _Revision:
    if repository is None:
        return _Revision("", "", "")
    written = repository.commit or _Commit()
    message = "\n\n".join(text for text in (written.subject, written.body) if text)
    return _Revision(repository.revision or "", repository.branch or "", message)


def _trigger_revision(trigger: _Trigger | None) -> _Revision:
    if trigger is None:
        return _Revision("", "", "")
    sha = trigger.checkout_sha or trigger.commit_sha or ""
    return _Revision(sha, trigger.branch or "", trigger.commit_message or trigger.commit_title or "")


def _ignored_reason(event: str) -> str:
    if event == "ping":
        return "a ping: the webhook is connected"
    if event == "job-completed":
        return "a job is one part of a workflow; choose the event workflow-completed instead"
    return f"CircleCI's `{shorten(event)}` events say nothing about experiments"
