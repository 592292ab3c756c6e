"""Builders of the payloads of providers other than GitHub."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from service.demo.ci_run import Run
from service.demo.payloads import buildkite, circleci, gitlab, jenkins
from service.demo.post import Post
from tests.support.builders import (
    GitHubRequest,
    Issue,
    PullRequest,
    at,
    comment,
    deployment_status,
    push,
    renamed,
    workflow_run,
)
from tests.support.signing import Request, request


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """A Jira ticket, and the deliveries that Jira sends about it."""

    key: str = "ML-12"
    summary: str = "Rank by freshness"
    type: str = "Experiment"
    labels: tuple[str, ...] = ()
    components: tuple[str, ...] = ()
    status: tuple[str, str, str] = ("10000", "To Do", "new")
    """The id and name of the status, and the key of its category."""
    resolution: str | None = None
    resolved_at: datetime | None = None
    created_at: datetime

    def created(self) -> Request:
        return self.event("jira:issue_created", self.created_at)

    def labelled(self, label: str, when: datetime) -> tuple["Ticket", Request]:
        """The ticket with one more label, and its delivery."""
        labelled = replace(self, labels=(*self.labels, label))
        change = {"field": "labels", "fromString": " ".join(self.labels), "toString": " ".join(labelled.labels)}
        return labelled, labelled.event("jira:issue_updated", when, [change])

    def moved(
        self, to: tuple[str, str, str], when: datetime, resolution: str | None = None
    ) -> tuple["Ticket", Request]:
        """The ticket in another status, with another resolution, and its delivery."""
        moved = replace(self, status=to, resolution=resolution, resolved_at=when if resolution else None)
        changes = [
            {"field": "status", "from": self.status[0], "fromString": self.status[1], "to": to[0], "toString": to[1]}
        ]
        if resolution != self.resolution:
            changes.append({"field": "resolution", "fromString": self.resolution or "", "toString": resolution or ""})
        return moved, moved.event("jira:issue_updated", when, changes)

    def commented(self, text: str, when: datetime) -> Request:
        """A comment as Jira Cloud sends it, with few of the ticket's fields."""
        comment = {"body": text, "created": stamp(when), "updated": stamp(when)}
        shown = ("summary", "issuetype", "project", "status")
        return self._posted({"webhookEvent": "comment_created", "comment": comment}, when, shown)

    def deleted(self, when: datetime) -> Request:
        return self.event("jira:issue_deleted", when)

    def event(self, name: str, when: datetime, changes: Sequence[Mapping[str, Any]] = ()) -> Request:
        """The delivery of an event. Its payload has the state after the event."""
        return self._posted({"webhookEvent": name, "changelog": {"id": "1", "items": list(changes)}}, when)

    def _posted(self, event: Mapping[str, Any], when: datetime, shown: Collection[str] | None = None) -> Request:
        number, name, category = self.status
        fields = {
            "summary": self.summary,
            "issuetype": {"name": self.type},
            "labels": list(self.labels),
            "components": [{"name": component} for component in self.components],
            "project": {"key": self.key.partition("-")[0]},
            "status": {"id": number, "name": name, "statusCategory": {"key": category}},
            "resolution": {"name": self.resolution} if self.resolution else None,
            "resolutiondate": stamp(self.resolved_at) if self.resolved_at else None,
            "created": stamp(self.created_at),
            "reporter": {"displayName": "Somebody"},
        }
        fields = {name: value for name, value in fields.items() if shown is None or name in shown}
        issue = {"key": self.key, "self": "https://acme.atlassian.net/rest/api/2/issue/10012", "fields": fields}
        milliseconds = int(when.timestamp() * 1000)
        return request("jira", {**event, "timestamp": milliseconds, "issue": issue})


IN_PROGRESS = ("3", "In Progress", "indeterminate")
IN_REVIEW = ("10004", "In Review", "indeterminate")
DONE = ("10002", "Done", "done")
TO_DO = ("10000", "To Do", "new")


def stamp(when: datetime) -> str:
    """A time as Jira writes it."""
    return when.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


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
        """The issue with one more label, and its delivery."""
        labelled = replace(self, labels=(*self.labels, label))
        changed = {
            "previous": [{"title": title} for title in self.labels],
            "current": [{"title": title} for title in labelled.labels],
        }
        return labelled, labelled.event("update", when, labels=changed)

    def closed(self, when: datetime) -> tuple["GitLabIssue", Request]:
        """The closed issue, and its delivery."""
        closed = replace(self, closed_at=when)
        return closed, closed.event("close", when)

    def reopened(self, when: datetime) -> tuple["GitLabIssue", Request]:
        """The issue, open again, and its delivery."""
        reopened = replace(self, closed_at=None)
        return reopened, reopened.event("reopen", when)

    def event(self, action: str, when: datetime, **changes: Any) -> Request:
        """The delivery of an action. Its payload has the state after the action."""
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
        """The merged merge request, and its delivery."""
        merged = replace(self, state="merged", merge_commit=commit)
        return merged, merged.event("merge", when)

    def event(self, action: str, when: datetime, **changes: Any) -> Request:
        """The delivery of an action. Its payload has the state after the action."""
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
    return _sent(gitlab.pipeline(_run(sha, when, status))[-1])


def gitlab_deployment(sha: str, when: datetime) -> Request:
    """A successful deployment to production."""
    return _sent(gitlab.deployment("acme/app", sha, "production", when))


def gitlab_push(name: str, after: str, when: datetime | None) -> Request:
    """A push of one commit to a branch or, without a time, the removal of the branch."""
    written = when.strftime("%Y-%m-%dT%H:%M:%S+00:00") if when else None
    payload = {
        "object_kind": "push",
        "ref": f"refs/heads/{name}",
        "before": "0" * 40 if when else "d" * 40,
        "after": after,
        "project": {"path_with_namespace": "acme/app", "default_branch": "main"},
        "commits": [{"id": after, "message": "Warm it", "timestamp": written}] if when else [],
    }
    return request("gitlab", payload, x_gitlab_event="Push Hook")


def circleci_workflow(sha: str, when: datetime, status: str = "success", branch: str = "cache-answers") -> Request:
    """A finished workflow."""
    return _sent(circleci.workflow(_run(sha, when, status, branch))[-1])


def buildkite_build(sha: str, when: datetime, state: str = "passed", branch: str = "cache-answers") -> Request:
    """A finished build."""
    return _sent(buildkite.build(_run(sha, when, state, branch))[-1], "buildkite_signed")


def jenkins_build(sha: str, when: datetime, status: str = "SUCCESS", branch: str = "cache-answers") -> Request:
    """A completed build."""
    return _sent(jenkins.build(_run(sha, when, status, branch))[-1])


def _run(sha: str, when: datetime, conclusion: str, branch: str = "cache-answers") -> Run:
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


def _sent(post: Post, source: str = "") -> Request:
    return Request(source or post.source, post.body, post.named)


def one_of_each() -> Sequence[GitHubRequest | Request]:
    """A story of each provider, with every kind of delivery that these builders make."""
    issue, pull = Issue(created_at=at(1), labels=("experiment",)), PullRequest(created_at=at(2), fork="octo-dev/app")
    ours = replace(pull, number=8, fork="", branch="exp/ours", labels=("experiment",), head="c" * 40)
    fork = replace(pull, number=9, branch="exp/theirs", body="", head="e" * 40)
    ticket = Ticket(created_at=at(1), labels=("experiment",))
    gitlab, merge = GitLabIssue(created_at=at(1)), MergeRequest(created_at=at(2))
    return (
        *(issue.opened(), issue.assigned(at(2)), issue.labeled("outcome:worked", at(3))[1], issue.closed(at(4))[1]),
        *(pull.opened(), pull.merged(at(5))[1], ours.opened(), fork.opened(), fork.closed(at(6))[1]),
        *(comment("/experiment conclude failed basic", at(5)), renamed("old", "acme/app", at(6))),
        *(workflow_run("a" * 40, at(3)), deployment_status("b" * 40, at(6)), push("exp/x", "a" * 40, at(3), "Warm it")),
        *(ticket.created(), ticket.moved(IN_PROGRESS, at(2))[1], ticket.moved(DONE, at(3), "Done")[1]),
        *(ticket.commented("It works", at(3)), ticket.deleted(at(9))),
        *(gitlab.opened(), gitlab.assigned(at(2)), gitlab.closed(at(3))[1], merge.opened(), merge.merged(at(4))[1]),
        *(gitlab_pipeline("a" * 40, at(3)), gitlab_deployment("b" * 40, at(5)), gitlab_push("exp/y", "f" * 40, at(3))),
        *(circleci_workflow("a" * 40, at(3)), buildkite_build("a" * 40, at(3)), jenkins_build("a" * 40, at(3))),
    )
