"""GitHub's webhooks. Source: "Webhook events and payloads" in GitHub's documentation."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from service.demo.ci_run import Run
from service.demo.post import ACCOUNT, ORGANISATION, Post, number_of, sha_of, written, zulu, zulu_or_none

_COLOURS = {"experiment": "5319e7", "learning": "0e8a16", "outcome": "1d76db", "failure": "d93f0b"}
_USER = {"login": ACCOUNT, "id": 583231, "type": "User", "site_admin": False}
_BEFORE_IT_RUNS = timedelta(seconds=40)


@dataclass(slots=True, kw_only=True)
class Issue:
    """An issue and its current state."""

    repository: str
    number: int
    title: str
    created_at: datetime
    labels: list[str]
    body: str = ""
    assigned: bool = False
    closed_at: datetime | None = None
    reason: str | None = None

    def event(self, action: str, at: datetime, **more: Any) -> Post:
        """The delivery for an action on the issue, with the issue's state after the action."""
        return _delivered("issues", at, self.repository, {"action": action, "issue": self._state(at), **more})

    def comment(self, text: str, at: datetime, association: str = "MEMBER") -> Post:
        """The delivery for a comment on the issue."""
        number = number_of(self.repository, self.number, text, zulu(at))
        comment = {
            "id": number,
            "html_url": f"{_page(self.repository)}/issues/{self.number}#issuecomment-{number}",
            "body": text,
            "user": _USER,
            "author_association": association,
            "created_at": zulu(at),
            "updated_at": zulu(at),
        }
        payload = {"action": "created", "issue": self._state(at), "comment": comment}
        return _delivered("issue_comment", at, self.repository, payload)

    def _state(self, at: datetime) -> dict[str, Any]:
        return {
            "id": number_of(self.repository, "issue", self.number),
            "number": self.number,
            "title": self.title,
            "html_url": f"{_page(self.repository)}/issues/{self.number}",
            "user": _USER,
            "labels": _labels(self.labels),
            "state": "closed" if self.closed_at else "open",
            "state_reason": self.reason,
            "assignees": [_USER] if self.assigned else [],
            "author_association": "MEMBER",
            "created_at": zulu(self.created_at),
            "updated_at": zulu(at),
            "closed_at": zulu_or_none(self.closed_at),
            "body": self.body,
        }


@dataclass(slots=True, kw_only=True)
class PullRequest:
    """A pull request and its current state."""

    repository: str
    number: int
    title: str
    body: str
    branch: str
    head: str
    created_at: datetime
    closed_at: datetime | None = None
    merged_at: datetime | None = None
    merge_commit: str | None = None
    labels: Sequence[str] = ()
    fork: str = ""

    def event(self, action: str, at: datetime, **more: Any) -> Post:
        """The delivery for an action on the pull request, with the pull request's state after the action."""
        payload = {"action": action, "number": self.number, "pull_request": self._state(at), **more}
        return _delivered("pull_request", at, self.repository, payload)

    def _state(self, at: datetime) -> dict[str, Any]:
        base = {"full_name": self.repository, "default_branch": "main", "fork": False}
        head = {**base, "full_name": self.fork, "fork": True} if self.fork else base
        return {
            "id": number_of(self.repository, "pull", self.number),
            "number": self.number,
            "title": self.title,
            "body": self.body,
            "html_url": f"{_page(self.repository)}/pull/{self.number}",
            "user": _USER,
            "labels": _labels(self.labels),
            "draft": False,
            "state": "closed" if self.closed_at else "open",
            "merged": self.merged_at is not None,
            "created_at": zulu(self.created_at),
            "updated_at": zulu(at),
            "closed_at": zulu_or_none(self.closed_at),
            "merged_at": zulu_or_none(self.merged_at),
            "merge_commit_sha": self.merge_commit,
            "head": {"label": f"{ORGANISATION}:{self.branch}", "ref": self.branch, "sha": self.head, "repo": head},
            "base": {"label": f"{ORGANISATION}:main", "ref": "main", "sha": sha_of("main"), "repo": base},
        }


def label(name: str) -> dict[str, Any]:
    """A label as GitHub's payloads contain it."""
    colour = _COLOURS.get(name.partition(":")[0], "ededed")
    return {"id": number_of("label", name), "name": name, "color": colour, "default": False, "description": None}


def push(repository: str, branch: str, head: str, message: str, at: datetime, *, created: bool = False) -> Post:
    """The delivery for a push of one commit."""
    pushed = {
        "id": head,
        "message": message,
        "timestamp": zulu(at),
        "url": f"{_page(repository)}/commit/{head}",
        "author": {"username": ACCOUNT},
        "added": [],
        "modified": ["README.md"],
        "removed": [],
    }
    payload = {
        "ref": f"refs/heads/{branch}",
        "before": "0" * 40 if created else sha_of(head, "before"),
        "after": head,
        "created": created,
        "deleted": False,
        "forced": False,
        "commits": [pushed],
        "head_commit": pushed,
        "repository": {**_repository(repository), "pushed_at": int(at.timestamp())},
    }
    return _delivered("push", at, repository, payload)


def workflow_run(run: Run) -> list[Post]:
    """The posts of a workflow run: one when the run is requested, and one when it has completed."""
    began = run.ended_at - run.took
    common = {
        "id": run.number,
        "name": "CI",
        "head_branch": run.branch,
        "head_sha": run.sha,
        "path": ".github/workflows/ci.yml",
        "run_number": run.number % 10_000,
        "run_attempt": 1,
        "event": "push",
        "html_url": f"{_page(run.project)}/actions/runs/{run.number}",
        "pull_requests": [],
        "created_at": zulu(began),
        "run_started_at": zulu(began),
    }
    requested = {**common, "status": "queued", "conclusion": None, "updated_at": zulu(began)}
    conclusion = run.result("success", "failure")
    completed = {**common, "status": "completed", "conclusion": conclusion, "updated_at": zulu(run.ended_at)}
    return [
        _delivered("workflow_run", began, run.project, {"action": "requested", "workflow_run": requested}),
        _delivered("workflow_run", run.ended_at, run.project, {"action": "completed", "workflow_run": completed}),
    ]


def deployment_status(repository: str, sha: str, environment: str, at: datetime) -> Post:
    """The delivery for a successful deployment of a commit."""
    number = number_of(repository, sha, environment)
    deployment = {
        "id": number,
        "sha": sha,
        "ref": "main",
        "task": "deploy",
        "environment": environment,
        "created_at": zulu(at - _BEFORE_IT_RUNS),
    }
    status = {"id": number + 1, "state": "success", "environment": environment, "created_at": zulu(at)}
    payload = {"action": "created", "deployment_status": status, "deployment": deployment}
    return _delivered("deployment_status", at, repository, payload)


def ping(at: datetime) -> Post:
    """The first delivery that GitHub sends for a new webhook."""
    hook = {"type": "Organization", "id": 42, "active": True, "events": ["*"]}
    return _post("ping", at, {"zen": "Design for failure.", "hook_id": 42, "hook": hook})


def star(repository: str, at: datetime) -> Post:
    """A delivery about a star for a repository, which loopgauge ignores."""
    return _delivered("star", at, repository, {"action": "created", "starred_at": zulu(at)})


def _delivered(event: str, at: datetime, repository: str, payload: Mapping[str, Any]) -> Post:
    place = {"repository": _repository(repository), "organization": {"login": ORGANISATION}, "sender": _USER}
    return _post(event, at, {**place, **payload})


def _post(event: str, at: datetime, payload: Mapping[str, Any]) -> Post:
    # GitHub's id of the delivery. A redelivery has the same id.
    delivery = str(uuid5(NAMESPACE_URL, f"{event} {zulu(at)} {payload}"))
    return written("github", at, payload, x_github_event=event, x_github_delivery=delivery, x_github_hook_id="42")


def _repository(full_name: str) -> dict[str, Any]:
    return {
        "id": number_of("repository", full_name),
        "name": full_name.partition("/")[2],
        "full_name": full_name,
        "private": True,
        "owner": {"login": ORGANISATION, "type": "Organization"},
        "html_url": _page(full_name),
        "default_branch": "main",
    }


def _page(repository: str) -> str:
    return f"https://github.com/{repository}"


def _labels(names: Sequence[str]) -> list[dict[str, Any]]:
    return [label(name) for name in names]
