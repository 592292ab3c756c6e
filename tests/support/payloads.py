"""Builders of the payloads of providers other than GitHub."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from service.demo.payloads import buildkite, circleci, gitlab, jenkins, jira
from service.demo.payloads.jira import DONE, IN_PROGRESS, TO_DO
from service.demo.post import Post
from tests.support.builders import (
    GitHubRequest,
    Issue,
    PullRequest,
    at,
    deployment_status,
    finished_run,
    push,
    renamed,
    workflow_run,
)
from tests.support.signing import Request

IN_REVIEW: jira.Status = ("10004", "In Review", "indeterminate")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A Jira ticket, and the deliveries that Jira sends about it.

    The deliveries about comments contain `statuscategorychangedate`, which only Jira Cloud sends; the others omit it.
    """

    key: str = "ML-12"
    summary: str = "Rank by freshness"
    type: str = "Experiment"
    labels: tuple[str, ...] = ()
    component: str = ""
    status: jira.Status = TO_DO
    resolution: str | None = None
    resolved_at: datetime | None = None
    created_at: datetime

    def created(self) -> Request:
        return self.event("jira:issue_created", self.created_at)

    def labelled(self, label: str, when: datetime) -> tuple["Ticket", Request]:
        """The ticket with one more label, and the delivery that reports this change."""
        ticket = self._ticket()
        labelled = _without_category_date(ticket.labelled([label], when))
        return replace(self, labels=tuple(ticket.labels)), labelled

    def moved(self, to: jira.Status, when: datetime, resolution: str | None = None) -> tuple["Ticket", Request]:
        """The ticket in another status, with another resolution, and the delivery that reports this change."""
        ticket = self._ticket()
        moved = _without_category_date(ticket.moved(to, when, resolution))
        return replace(self, status=to, resolution=resolution, resolved_at=ticket.resolved_at), moved

    def commented(self, text: str, when: datetime) -> Request:
        """A comment as Jira Cloud sends it, with few of the ticket's fields."""
        return _sent(self._ticket().commented(text, when))

    def deleted(self, when: datetime) -> Request:
        return self.event("jira:issue_deleted", when)

    def event(self, name: str, when: datetime, changes: Sequence[Mapping[str, Any]] = ()) -> Request:
        """The delivery of an event such as `jira:issue_created`. Its payload shows the ticket after the event."""
        return _without_category_date(self._ticket().event(name, name.removeprefix("jira:"), when, changes))

    def _ticket(self) -> jira.Ticket:
        return jira.Ticket(
            key=self.key,
            summary=self.summary,
            type=self.type,
            created_at=self.created_at,
            labels=list(self.labels),
            component=self.component,
            status=self.status,
            resolution=self.resolution,
            resolved_at=self.resolved_at,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class GitLabIssue:
    """A GitLab issue, and the deliveries that GitLab sends about it."""

    number: int = 45
    project: str = "acme/app"
    labels: tuple[str, ...] = ("experiment",)
    created_at: datetime
    closed_at: datetime | None = None
    moved_to: int | None = None

    def opened(self) -> Request:
        return self.event("open", self.created_at)

    def assigned(self, when: datetime) -> Request:
        return self.event("update", when, assignees={"previous": [], "current": [{"id": 7, "username": "octo-dev"}]})

    def labelled(self, label: str, when: datetime) -> tuple["GitLabIssue", Request]:
        """The issue with one more label, and the delivery that reports this change."""
        labelled = replace(self, labels=(*self.labels, label))
        changed = {
            "previous": [{"title": title} for title in self.labels],
            "current": [{"title": title} for title in labelled.labels],
        }
        return labelled, labelled.event("update", when, labels=changed)

    def closed(self, when: datetime) -> tuple["GitLabIssue", Request]:
        """The closed issue, and the delivery that reports this change."""
        closed = replace(self, closed_at=when)
        return closed, closed.event("close", when)

    def reopened(self, when: datetime) -> tuple["GitLabIssue", Request]:
        """The reopened issue, and the delivery that reports this change."""
        reopened = replace(self, closed_at=None)
        return reopened, reopened.event("reopen", when)

    def event(self, action: str, when: datetime, **changes: Any) -> Request:
        """The delivery of an action such as `open`. Its payload shows the issue as it is after the action."""
        issue = gitlab.Issue(
            project=self.project,
            number=self.number,
            title="Answer from the cache",
            created_at=self.created_at,
            labels=list(self.labels),
            closed_at=self.closed_at,
            moved_to=self.moved_to,
        )
        return _sent(issue.event(action, when, **changes))


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRequest:
    """A GitLab merge request, and the deliveries that GitLab sends about it."""

    number: int = 7
    project: str = "acme/app"
    title: str = "Cache answers"
    description: str = "Closes #45"
    branch: str = "cache-answers"
    labels: tuple[str, ...] = ()
    head: str = "a" * 40
    merge_commit: str | None = None
    created_at: datetime
    state: str = "opened"

    def opened(self) -> Request:
        return self.event("open", self.created_at)

    def merged(self, when: datetime, commit: str = "b" * 40) -> tuple["MergeRequest", Request]:
        """The merged merge request, and the delivery that reports this change."""
        merged = replace(self, state="merged", merge_commit=commit)
        return merged, merged.event("merge", when)

    def event(self, action: str, when: datetime, **changes: Any) -> Request:
        """The delivery of an action such as `open`. Its payload shows the merge request as it is after the action."""
        merge = gitlab.MergeRequest(
            project=self.project,
            number=self.number,
            title=self.title,
            description=self.description,
            branch=self.branch,
            head=self.head,
            created_at=self.created_at,
            state=self.state,
            merge_commit=self.merge_commit,
            labels=self.labels,
        )
        return _sent(merge.event(action, when, **changes))


def gitlab_pipeline(sha: str, when: datetime, status: str = "success") -> Request:
    """A finished pipeline."""
    return _sent(gitlab.pipeline(finished_run(sha, when, status))[-1])


def gitlab_deployment(sha: str, when: datetime) -> Request:
    """A successful deployment to production."""
    return _sent(gitlab.deployment("acme/app", sha, "production", when))


def gitlab_push(name: str, head: str, when: datetime, message: str = "Warm it") -> Request:
    """A push of one commit to a branch."""
    return _sent(gitlab.push("acme/app", name, head, message, when))


def gitlab_branch_deleted(name: str) -> Request:
    """The delivery about the removal of a branch. The payload contains no time."""
    pushed = gitlab_push(name, "0" * 40, at(1))
    payload = {**json.loads(pushed.body), "checkout_sha": None, "commits": [], "total_commits_count": 0}
    return replace(pushed, body=json.dumps(payload).encode())


def circleci_workflow(sha: str, when: datetime, status: str = "success", branch: str = "cache-answers") -> Request:
    """A finished workflow."""
    return _sent(circleci.workflow(finished_run(sha, when, status, branch))[-1])


def buildkite_build(sha: str, when: datetime, state: str = "passed", branch: str = "cache-answers") -> Request:
    """A finished build."""
    return _sent(buildkite.build(finished_run(sha, when, state, branch))[-1], "buildkite_signed")


def jenkins_build(sha: str, when: datetime, status: str = "SUCCESS", branch: str = "cache-answers") -> Request:
    """A completed build."""
    return _sent(jenkins.build(finished_run(sha, when, status, branch))[-1])


def _sent(post: Post, source: str = "") -> Request:
    return Request(source or post.source, post.body, post.named)


def _without_category_date(post: Post) -> Request:
    payload = json.loads(post.body)
    del payload["issue"]["fields"]["statuscategorychangedate"]
    return Request(post.source, json.dumps(payload).encode(), post.named)


def one_of_each() -> Sequence[GitHubRequest | Request]:
    """Deliveries of every provider except CloudEvents, of most of the kinds that the builders can make."""
    issue, pull = Issue(created_at=at(1), labels=("experiment",)), PullRequest(created_at=at(2), fork="octo-dev/app")
    ours = replace(pull, number=8, fork="", branch="exp/ours", labels=("experiment",), head="c" * 40)
    fork = replace(pull, number=9, branch="exp/theirs", body="", head="e" * 40)
    ticket = Ticket(created_at=at(1), labels=("experiment",))
    gitlab, merge = GitLabIssue(created_at=at(1)), MergeRequest(created_at=at(2))
    return (
        *(issue.opened(), issue.assigned(at(2)), issue.labeled("outcome:worked", at(3))[1], issue.closed(at(4))[1]),
        *(pull.opened(), pull.merged(at(5))[1], ours.opened(), fork.opened(), fork.closed(at(6))[1]),
        *(issue.commented("/experiment conclude failed basic", at(5)), renamed("old", "acme/app", at(6))),
        *(workflow_run("a" * 40, at(3)), deployment_status("b" * 40, at(6)), push("exp/x", "a" * 40, at(3))),
        *(ticket.created(), ticket.moved(IN_PROGRESS, at(2))[1], ticket.moved(DONE, at(3), "Done")[1]),
        *(ticket.commented("It works", at(3)), ticket.deleted(at(9))),
        *(gitlab.opened(), gitlab.assigned(at(2)), gitlab.closed(at(3))[1], merge.opened(), merge.merged(at(4))[1]),
        *(gitlab_pipeline("a" * 40, at(3)), gitlab_deployment("b" * 40, at(5)), gitlab_push("exp/y", "f" * 40, at(3))),
        *(circleci_workflow("a" * 40, at(3)), buildkite_build("a" * 40, at(3)), jenkins_build("a" * 40, at(3))),
    )
