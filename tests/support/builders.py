"""Builders of experiments, and of GitHub's deliveries as GitHub signs them."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from service.deliveries.delivery import Delivery
from service.deliveries.payload import RawPayload
from service.demo.ci_run import Run
from service.demo.payloads import github as payloads
from service.demo.post import Post, zulu
from service.lifecycle.events import Declared, LifecycleEvent, Withdrawn
from service.lifecycle.experiment import Experiment, Restart
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics.terms import Terms, Window
from service.providers import CLOUD_EVENTS

SECRET = "It's a Secret to Everybody"


def at(day: int, time: str = "09:00:00") -> datetime:
    """A moment of March 2026, UTC."""
    return datetime.fromisoformat(f"2026-03-{day:02}T{time}+00:00")


def experiment(
    root: str = "github:acme/app#45",
    *,
    idea_at: datetime,
    team: str = "search",
    risk: Risk | None = None,
    started_at: datetime | None = None,
    first_signal_at: datetime | None = None,
    concluded_at: datetime | None = None,
    outcome: Outcome | None = None,
    failure_category: FailureCategory | None = None,
    shared_at: datetime | None = None,
    shipped_at: datetime | None = None,
    last_activity_at: datetime | None = None,
    title: str = "Answer from the cache",
    url: str = "https://github.com/acme/app/issues/45",
    restarts: tuple[Restart, ...] = (),
) -> Experiment:
    """An experiment as the fold would make it.

    If `concluded_at` is given without `outcome`, the outcome is undeclared.
    """
    if concluded_at is not None and outcome is None:
        outcome = Outcome.UNDECLARED
    instants = (idea_at, started_at, first_signal_at, concluded_at, shared_at, shipped_at)
    return Experiment(
        root=Ref(root),
        title=title,
        url=url,
        team=team,
        risk=risk,
        idea_at=idea_at,
        idea_inferred=False,
        started_at=started_at,
        first_signal_at=first_signal_at,
        concluded_at=concluded_at,
        outcome=outcome,
        failure_category=failure_category,
        shared_at=shared_at,
        shipped_at=shipped_at,
        last_activity_at=last_activity_at or max(instant for instant in instants if instant is not None),
        restarts=restarts,
    )


def taken_up(when: datetime, quiet: timedelta = timedelta(0), *, concluded: bool = True) -> Restart:
    """A restart at the time `when`, after the experiment was without activity for the time `quiet`.

    If `concluded` is true, the experiment was concluded before the restart.
    """
    return Restart(when, concluded, quiet)


def terms(
    *windows: str,
    thresholds: Mapping[str, timedelta] | None = None,
    forgotten_after: timedelta = timedelta(days=30),
    min_sample: int = 5,
    max_teams: int = 200,
) -> Terms:
    """The operator's settings for metrics. Windows are given as `7d`; the threshold `default` is 14 days."""
    return Terms(
        windows=tuple(Window(label, timedelta(days=int(label.removesuffix("d")))) for label in windows),
        thresholds={"default": timedelta(days=14), **(thresholds or {})},
        forgotten_after=forgotten_after,
        min_sample=min_sample,
        max_teams=max_teams,
    )


@dataclass(frozen=True, slots=True)
class GitHubRequest:
    """A webhook request of GitHub."""

    event: str
    body: bytes
    delivery_id: str
    content_type: str = "application/json"
    path: str = "/webhooks/github"

    def headers(self, secret: str = SECRET) -> dict[str, str]:
        """The headers, including the signature of the body."""
        signature = hmac.digest(secret.encode(), self.body, "sha256").hex()
        return {
            "content-type": self.content_type,
            "x-github-event": self.event,
            "x-github-delivery": self.delivery_id,
            "x-hub-signature-256": f"sha256={signature}",
        }

    def delivery(self, received_at: datetime, source: str = "github") -> Delivery:
        """The request as a delivery, whose headers do not include the signature."""
        kept = {name: value for name, value in self.headers().items() if name != "x-hub-signature-256"}
        return Delivery(source, "github", self.delivery_id, kept, self.body, received_at)


def github(event: str, payload: Mapping[str, Any] | bytes) -> GitHubRequest:
    """A delivery of an event. Its id is a hash of the event and the payload, so a redelivery has the same id."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return GitHubRequest(event, body, str(uuid5(NAMESPACE_OID, event + repr(body))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Issue:
    """A GitHub issue, and the deliveries that GitHub sends about it."""

    number: int = 45
    repository: str = "acme/app"
    title: str = "Answer from the cache"
    labels: tuple[str, ...] = ("experiment",)
    created_at: datetime
    updated_at: datetime | None = None
    closed_at: datetime | None = None
    state_reason: str | None = None

    def opened(self) -> GitHubRequest:
        return self.event("opened", self.created_at)

    def assigned(self, when: datetime) -> GitHubRequest:
        return self.event("assigned", when)

    def labeled(self, label: str, when: datetime) -> tuple["Issue", GitHubRequest]:
        """The issue with one more label, and the delivery that reports this change."""
        relabelled = replace(self, labels=(*self.labels, label))
        return relabelled, relabelled.event("labeled", when, label={"name": label})

    def unlabeled(self, label: str, when: datetime) -> tuple["Issue", GitHubRequest]:
        """The issue without one of its labels, and the delivery that reports this change."""
        relabelled = replace(self, labels=tuple(one for one in self.labels if one != label))
        return relabelled, relabelled.event("unlabeled", when, label={"name": label})

    def closed(self, when: datetime, reason: str = "completed") -> tuple["Issue", GitHubRequest]:
        """The closed issue, and the delivery that reports this change."""
        closed = replace(self, closed_at=when, state_reason=reason)
        return closed, closed.event("closed", when)

    def reopened(self, when: datetime) -> tuple["Issue", GitHubRequest]:
        """The reopened issue, and the delivery that reports this change."""
        reopened = replace(self, closed_at=None, state_reason="reopened")
        return reopened, reopened.event("reopened", when)

    def edited(self, when: datetime) -> GitHubRequest:
        return self.event("edited", when)

    def commented(self, text: str, when: datetime, association: str = "MEMBER") -> GitHubRequest:
        return _sent(self._issue().comment(text, when, association))

    def event(self, action: str, when: datetime, **more: Any) -> GitHubRequest:
        """The delivery of an action such as `opened`. Its payload shows the issue as it is after the action."""
        return _sent(self._issue().event(action, when, **more))

    def _issue(self) -> payloads.Issue:
        return payloads.Issue(
            repository=self.repository,
            number=self.number,
            title=self.title,
            created_at=self.created_at,
            labels=list(self.labels),
            closed_at=self.closed_at,
            reason=self.state_reason,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRequest:
    """A GitHub pull request, and the deliveries that GitHub sends about it."""

    number: int = 7
    repository: str = "acme/app"
    title: str = "Cache answers"
    body: str = "Closes #45"
    branch: str = "cache-answers"
    fork: str = ""
    labels: tuple[str, ...] = ()
    head: str = "a" * 40
    created_at: datetime
    closed_at: datetime | None = None
    merged_at: datetime | None = None
    merge_commit: str | None = None

    def opened(self) -> GitHubRequest:
        return self.event("opened", self.created_at)

    def labeled(self, label: str, when: datetime) -> tuple["PullRequest", GitHubRequest]:
        """The pull request with one more label, and the delivery that reports this change."""
        relabelled = replace(self, labels=(*self.labels, label))
        return relabelled, relabelled.event("labeled", when, label={"name": label})

    def edited(self, body: str, when: datetime) -> tuple["PullRequest", GitHubRequest]:
        """The pull request with another body, and the delivery that reports this change."""
        edited = replace(self, body=body)
        return edited, edited.event("edited", when)

    def pushed(self, head: str, when: datetime) -> tuple["PullRequest", GitHubRequest]:
        """The pull request with another head, and the delivery that reports this change."""
        pushed = replace(self, head=head)
        return pushed, pushed.event("synchronize", when)

    def closed(self, when: datetime) -> tuple["PullRequest", GitHubRequest]:
        """The pull request, closed without a merge, and the delivery that reports this change."""
        closed = replace(self, closed_at=when)
        return closed, closed.event("closed", when)

    def merged(self, when: datetime, commit: str = "b" * 40) -> tuple["PullRequest", GitHubRequest]:
        """The merged pull request, and the delivery that reports this change."""
        merged = replace(self, closed_at=when, merged_at=when, merge_commit=commit)
        return merged, merged.event("closed", when)

    def commented(self, text: str, when: datetime) -> GitHubRequest:
        """The delivery of a comment. Like GitHub's, its payload describes the pull request in the field `issue`."""
        issue = Issue(
            number=self.number,
            repository=self.repository,
            title=self.title,
            labels=self.labels,
            created_at=self.created_at,
            closed_at=self.closed_at,
        )
        request = issue.commented(text, when)
        address = f"https://api.github.com/repos/{self.repository}/pulls/{self.number}"
        return changed(request, issue={**json.loads(request.body)["issue"], "pull_request": {"url": address}})

    def event(self, action: str, when: datetime, **more: Any) -> GitHubRequest:
        """The delivery of an action such as `opened`. Its payload shows the pull request as it is after the action."""
        pull = payloads.PullRequest(
            repository=self.repository,
            number=self.number,
            title=self.title,
            body=self.body,
            branch=self.branch,
            head=self.head,
            created_at=self.created_at,
            closed_at=self.closed_at,
            merged_at=self.merged_at,
            merge_commit=self.merge_commit,
            labels=self.labels,
            fork=self.fork,
        )
        return _sent(pull.event(action, when, **more))


def finished_run(sha: str, when: datetime, conclusion: str, branch: str = "cache-answers") -> Run:
    """A finished CI run on a commit of acme/app. The payload of any CI tool can be built from it."""
    return Run(
        project="acme/app",
        sha=sha,
        branch=branch,
        message="",
        number=1,
        ended_at=when,
        took=timedelta(minutes=5),
        succeeded=True,
        conclusion=conclusion,
    )


def workflow_run(sha: str, when: datetime, conclusion: str = "success") -> GitHubRequest:
    """A completed run of a workflow on a commit."""
    return _sent(payloads.workflow_run(finished_run(sha, when, conclusion))[-1])


def push(
    name: str, head: str, when: datetime, message: str = "Warm it", *, repository: str = "acme/app", **more: Any
) -> GitHubRequest:
    """A push of one commit to a branch. `more` replaces fields of the payload."""
    return changed(_sent(payloads.push(repository, name, head, message, when)), **more)


def branch_deleted(name: str, when: datetime) -> GitHubRequest:
    """The removal of a branch."""
    return push(name, "0" * 40, when, deleted=True, commits=[], head_commit=None)


def deployment_status(sha: str, when: datetime, environment: str = "production") -> GitHubRequest:
    """A successful deployment of a commit."""
    return _sent(payloads.deployment_status("acme/app", sha, environment, when))


def changed(request: GitHubRequest, **fields: Any) -> GitHubRequest:
    """The request with other values for some fields of its payload."""
    return github(request.event, {**json.loads(request.body), **fields})


def _sent(post: Post) -> GitHubRequest:
    return GitHubRequest(post.named["x-github-event"], post.body, post.named["x-github-delivery"])


def renamed(old: str, full_name: str, when: datetime) -> GitHubRequest:
    """The rename of a repository."""
    repository = {"full_name": full_name, "updated_at": zulu(when)}
    changes = {"repository": {"name": {"from": old}}}
    return github("repository", {"action": "renamed", "repository": repository, "changes": changes})


def of_repository(name: str, request: GitHubRequest) -> GitHubRequest:
    """The delivery with the id of the repository that has this name in other deliveries: it was renamed."""
    payload = json.loads(request.body)
    payload["repository"]["id"] = json.loads(Issue(repository=name, created_at=at(1)).opened().body)["repository"]["id"]
    return github(request.event, payload)


def raw_payload(body: object = b"{}") -> RawPayload:
    """The raw payload of a delivery with this body, which is bytes or a value to encode as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawPayload(CLOUD_EVENTS, Delivery("events", CLOUD_EVENTS.name, "1", {}, raw, at(1)))


NO_PAYLOAD = raw_payload()
"""A payload for tests in which no rule reads the payload."""


def without_label(event: LifecycleEvent) -> LifecycleEvent:
    """The event without `label`, the label that stated or withdrew the value."""
    return replace(event, label="") if isinstance(event, Declared | Withdrawn) else event
