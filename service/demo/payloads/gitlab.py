"""GitLab's webhooks. Source: "Webhook events" in GitLab's documentation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.demo.ci_run import Run
from service.demo.post import ACCOUNT, Post, number_of, sha_of, written, zulu

_INSTANCE = "https://gitlab.example.com"
_USER = {"id": 7, "name": ACCOUNT, "username": ACCOUNT}


@dataclass(slots=True, kw_only=True)
class Issue:
    """An issue and its current state."""

    project: str
    number: int
    title: str
    created_at: datetime
    labels: list[str]
    closed_at: datetime | None = None
    moved_to: int | None = None

    def event(self, action: str, at: datetime, **changes: Any) -> Post:
        """The delivery for an action on the issue, with the issue's state after the action."""
        attributes = {**self._attributes(at), "action": action}
        payload = {"object_attributes": attributes, "labels": _labels(self.labels), "changes": changes}
        return _post("Issue Hook", "issue", at, self.project, payload)

    def assigned(self, at: datetime) -> Post:
        return self.event("update", at, assignees={"previous": [], "current": [_USER]})

    def labelled(self, labels: Sequence[str], at: datetime) -> Post:
        """Add labels to the issue, and return the delivery for this change."""
        before = _labels(self.labels)
        self.labels.extend(labels)
        return self.event("update", at, labels={"previous": before, "current": _labels(self.labels)})

    def note(self, text: str, at: datetime) -> Post:
        """The delivery for a comment on the issue."""
        number = number_of(self.project, self.number, text, zulu(at))
        attributes = {
            "id": number,
            "note": text,
            "noteable_type": "Issue",
            "action": "create",
            "system": False,
            "created_at": _spaced(at),
            "updated_at": _spaced(at),
            "url": f"{_page(self.project)}/-/issues/{self.number}#note_{number}",
        }
        payload = {"object_attributes": attributes, "issue": {**self._attributes(at), "labels": _labels(self.labels)}}
        return _post("Note Hook", "note", at, self.project, payload)

    def _attributes(self, at: datetime) -> dict[str, Any]:
        return {
            "id": number_of(self.project, "issue", self.number),
            "iid": self.number,
            "title": self.title,
            "type": "Issue",
            "url": f"{_page(self.project)}/-/issues/{self.number}",
            "state": "closed" if self.closed_at else "opened",
            "created_at": _spaced(self.created_at),
            "updated_at": _spaced(at),
            "closed_at": _spaced(self.closed_at) if self.closed_at else None,
            **({"moved_to_id": self.moved_to} if self.moved_to else {}),
        }


@dataclass(slots=True, kw_only=True)
class MergeRequest:
    """A merge request and its current state."""

    project: str
    number: int
    title: str
    description: str
    branch: str
    head: str
    created_at: datetime
    state: str = "opened"
    merge_commit: str | None = None
    labels: Sequence[str] = ()

    def event(self, action: str, at: datetime, **changes: Any) -> Post:
        """The delivery for an action on the merge request, with the merge request's state after the action."""
        attributes = {
            "id": number_of(self.project, "merge request", self.number),
            "iid": self.number,
            "title": self.title,
            "description": self.description,
            "url": f"{_page(self.project)}/-/merge_requests/{self.number}",
            "state": self.state,
            "action": action,
            "source_branch": self.branch,
            "target_branch": "main",
            "source": _project(self.project),
            "target": _project(self.project),
            "last_commit": {"id": self.head, "message": self.title, "timestamp": zulu(at)},
            "merge_commit_sha": self.merge_commit,
            "created_at": _spaced(self.created_at),
            "updated_at": _spaced(at),
        }
        payload = {"object_attributes": attributes, "labels": _labels(self.labels), "changes": changes}
        return _post("Merge Request Hook", "merge_request", at, self.project, payload)


def pipeline(run: Run) -> list[Post]:
    """The posts of a pipeline: one when the pipeline is running, and one when it has finished."""
    began = run.ended_at - run.took
    common = {
        "id": run.number,
        "iid": run.number % 10_000,
        "ref": run.branch,
        "tag": False,
        "sha": run.sha,
        "source": "push",
        "stages": ["build", "test"],
        "created_at": _spaced(began),
    }
    commit = {"id": run.sha, "message": run.message, "timestamp": zulu(began)}
    running = {**common, "status": "running", "finished_at": None, "duration": None}
    status = run.result("success", "failed")
    duration = int(run.took.total_seconds())
    finished = {**common, "status": status, "finished_at": _spaced(run.ended_at), "duration": duration}
    phases = ((began, running), (run.ended_at, finished))
    return [
        _post("Pipeline Hook", "pipeline", at, run.project, {"object_attributes": attributes, "commit": commit})
        for at, attributes in phases
    ]


def deployment(project: str, sha: str, environment: str, at: datetime) -> Post:
    """The delivery for a successful deployment of a commit."""
    payload = {
        "status": "success",
        "status_changed_at": at.strftime("%Y-%m-%d %H:%M:%S +0000"),
        "deployment_id": number_of(project, sha, environment),
        "environment": environment,
        "environment_tier": environment,
        "short_sha": sha[:8],
        "commit_url": f"{_page(project)}/-/commit/{sha}",
    }
    return _post("Deployment Hook", "deployment", at, project, payload)


def push(project: str, branch: str, head: str, message: str, at: datetime) -> Post:
    """The delivery for a push of one commit."""
    payload = {
        "event_name": "push",
        "ref": f"refs/heads/{branch}",
        "before": sha_of(head, "before"),
        "after": head,
        "checkout_sha": head,
        "commits": [{"id": head, "message": message, "timestamp": zulu(at)}],
        "total_commits_count": 1,
    }
    return _post("Push Hook", "push", at, project, payload)


def wiki_page(project: str, title: str, at: datetime) -> Post:
    """A delivery about a new wiki page, which loopgauge ignores."""
    attributes = {"title": title, "format": "markdown", "action": "create", "message": f"Create {title} {zulu(at)}"}
    return _post("Wiki Page Hook", "wiki_page", at, project, {"object_attributes": attributes})


def _post(hook: str, kind: str, at: datetime, project: str, payload: Mapping[str, Any]) -> Post:
    named = {"object_kind": kind, "event_type": kind, "user": _USER, "project": _project(project), **payload}
    # GitLab's id of the delivery.
    return written("gitlab", at, named, x_gitlab_event=hook, idempotency_key=sha_of("gitlab", zulu(at), named))


def _project(path: str) -> dict[str, Any]:
    return {
        "id": number_of("project", path),
        "name": path.rpartition("/")[2],
        "path_with_namespace": path,
        "web_url": _page(path),
        "default_branch": "main",
    }


def _page(project: str) -> str:
    return f"{_INSTANCE}/{project}"


def _labels(titles: Sequence[str]) -> list[dict[str, Any]]:
    return [{"id": number_of("label", title), "title": title, "color": "#5319e7"} for title in titles]


def _spaced(when: datetime) -> str:
    return when.strftime("%Y-%m-%d %H:%M:%S UTC")
