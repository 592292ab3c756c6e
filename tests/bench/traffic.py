"""Simulate the webhooks of a GitHub organisation that sends every event: nine in ten deliveries are irrelevant.

Each piece of work is an issue and the pull request that closes it, with pushes, CI runs and comments. The bodies are
about 12 KB long and consist mostly of URLs that the service does not read. Like the examples in GitHub's documentation,
they compress to a seventh of their size.
"""

import json
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha1
from itertools import count, islice
from typing import Any

from service.demo.post import zulu
from tests.support.builders import GitHubRequest

BODY_BYTES = 12_000
"""The size of a padded body."""
_BEGINNING = datetime(2026, 3, 2, 9, tzinfo=UTC)
_EVERY = timedelta(minutes=7)
_REPOSITORIES = 40
# One in `_MARKED_EVERY` pieces of work is an experiment.
_MARKED_EVERY = 4
_PUSHES = 3
_CHECKS = 3
_WORKFLOWS = 3
_ADDRESSES = [
    "forks",
    "keys",
    "collaborators",
    "teams",
    "hooks",
    "issue_events",
    "events",
    "assignees",
    "branches",
    "tags",
    "blobs",
    "git_tags",
    "git_refs",
    "trees",
    "statuses",
    "languages",
    "stargazers",
    "contributors",
    "subscribers",
    "subscription",
    "commits",
    "git_commits",
    "comments",
    "issue_comment",
    "contents",
    "compare",
    "merges",
    "archive",
    "downloads",
    "issues",
    "pulls",
    "milestones",
    "notifications",
    "labels",
    "releases",
    "deployments",
]
# The number of random identifiers in each body. Without them, the body would compress better than a real one.
_IDS = 30
_WORDS = [
    "answer",
    "cache",
    "query",
    "index",
    "result",
    "page",
    "latency",
    "user",
    "search",
    "team",
    "idea",
    "fast",
    "slow",
    "measure",
    "deploy",
    "rollback",
    "metric",
    "because",
    "should",
    "whether",
    "before",
    "after",
    "about",
    "between",
    "every",
    "first",
    "second",
    "first",
    "try",
    "learn",
    "fail",
    "work",
    "question",
]


def traffic(deliveries: int, *, since: datetime = _BEGINNING) -> Iterator[GitHubRequest]:
    """Generate deliveries, the same on each call, in the order of sending."""
    return islice((one for number in count() for one in _work(number, since + number * _EVERY)), deliveries)


def _work(number: int, at: datetime) -> Iterator[GitHubRequest]:
    """Generate one piece of work from the issue to the deployment: about a hundred deliveries."""
    work = _Work(number, at)
    issue, pull = work.issue(), work.pull()
    yield work.delivery("issues", {"action": "opened", "issue": issue})
    yield work.delivery("issues", {"action": "labeled", "issue": issue, "label": issue["labels"][0]})
    yield work.delivery("issues", {"action": "assigned", "issue": issue})
    yield work.delivery("issue_comment", {"action": "created", "issue": issue, "comment": work.comment(0)})
    yield work.delivery("create", {"ref": work.branch, "ref_type": "branch"})
    for push in range(_PUSHES):
        yield work.delivery("push", work.push(push))
        opened = "synchronize" if push else "opened"
        yield work.delivery("pull_request", {"action": opened, "pull_request": {**pull, **work.head(push)}})
        yield from _runs(work, push)
        yield work.delivery("pull_request_review_comment", {"action": "created", "comment": work.comment(push)})
        yield work.delivery("pull_request_review", {"action": "submitted", "review": work.comment(push)})
    merged = {**pull, **work.head(_PUSHES - 1), **work.merged()}
    yield work.delivery("pull_request", {"action": "closed", "pull_request": merged})
    yield work.delivery("delete", {"ref": work.branch, "ref_type": "branch"})
    yield work.delivery("issues", {"action": "closed", "issue": {**issue, **work.closed()}})
    yield work.delivery("star", {"action": "created", "starred_at": zulu(at)})


def _runs(work: "_Work", push: int) -> Iterator[GitHubRequest]:
    # GitHub Actions reports each of its workflows as a check too.
    suite = {**work.run(push), "app": {"slug": "github-actions", "name": "GitHub Actions"}}
    for action in ("requested", "completed"):
        yield work.delivery("check_suite", {"action": action, "check_suite": suite})
    for check in range(_CHECKS):
        for action in ("created", "completed"):
            yield work.delivery("check_run", {"action": action, "check_run": {**suite, "name": f"check {check}"}})
    for workflow in range(_WORKFLOWS):
        run = {**work.run(push), "name": f"workflow {workflow}"}
        for action in ("queued", "in_progress", "completed"):
            yield work.delivery("workflow_job", {"action": action, "workflow_job": run})
        for action in ("requested", "in_progress", "completed"):
            yield work.delivery("workflow_run", {"action": action, "workflow_run": run})
    for state in ("pending", "success"):
        yield work.delivery("status", {"sha": work.sha(push), "state": state})


class _Work:
    """One piece of work, as GitHub represents it."""

    def __init__(self, number: int, at: datetime) -> None:
        self._at = at
        self._number = 2 * (number // _REPOSITORIES) + 1
        self._repository = f"acme/app-{number % _REPOSITORIES}"
        self._experiment = number % _MARKED_EVERY == 0
        self._page = f"https://github.com/{self._repository}"
        self._words = random.Random(number)
        self._sent = 0
        self._id = number
        self.branch = f"work-{number}"

    def delivery(self, event: str, payload: Mapping[str, Any]) -> GitHubRequest:
        """The delivery of an event, padded with fields that the service does not read."""
        self._sent += 1
        ids = {"node_ids": [f"{self._words.getrandbits(96):x}" for _ in range(_IDS)]}
        body = json.dumps({**payload, **ids})[:-1] + _other_fields(self._repository)
        delivery = f"{self._id:08x}-{self._sent:04x}-11f1-8000-0123456789ab"
        return GitHubRequest(event, (body + _padding(BODY_BYTES - len(body))).encode(), delivery)

    def issue(self) -> dict[str, Any]:
        labels = ["experiment", f"team:team-{self._id % 20}"] if self._experiment else ["chore"]
        return {
            "number": self._number,
            "title": self._text(6),
            "html_url": f"{self._page}/issues/{self._number}",
            "labels": [{"name": label, "color": "5319e7", "description": ""} for label in labels],
            "state": "open",
            "body": self._text(60),
            "created_at": zulu(self._at),
            "updated_at": zulu(self._at),
            "closed_at": None,
        }

    def closed(self) -> dict[str, Any]:
        at = zulu(self._at + timedelta(days=2))
        return {"state": "closed", "state_reason": "completed", "closed_at": at, "updated_at": at}

    def pull(self) -> dict[str, Any]:
        return {
            "number": self._number + 1,
            "title": self._text(6),
            "body": f"{self._text(60)}\n\nCloses #{self._number}" if self._experiment else self._text(60),
            "html_url": f"{self._page}/pull/{self._number + 1}",
            "labels": [],
            "state": "open",
            "created_at": zulu(self._at + timedelta(hours=1)),
            "updated_at": zulu(self._at + timedelta(hours=1)),
            "closed_at": None,
            "merged_at": None,
            "merge_commit_sha": None,
            "base": {"ref": "main", "repo": {"full_name": self._repository, "default_branch": "main"}},
        }

    def head(self, push: int) -> dict[str, Any]:
        repository = {"full_name": self._repository}
        return {
            "head": {"sha": self.sha(push), "ref": self.branch, "repo": repository},
            "updated_at": zulu(self._at + timedelta(hours=1 + push)),
        }

    def merged(self) -> dict[str, Any]:
        at = zulu(self._at + timedelta(days=1))
        return {"state": "closed", "closed_at": at, "merged_at": at, "merge_commit_sha": self.sha(_PUSHES)}

    def push(self, push: int) -> dict[str, Any]:
        at = self._at + timedelta(hours=1 + push)
        commit = {"id": self.sha(push), "message": self._text(8), "timestamp": zulu(at)}
        return {"ref": f"refs/heads/{self.branch}", "after": self.sha(push), "created": push == 0, "commits": [commit]}

    def run(self, push: int) -> dict[str, Any]:
        return {
            "id": self._id * _PUSHES + push,
            "name": "tests",
            "head_sha": self.sha(push),
            "head_branch": self.branch,
            "status": "completed",
            "conclusion": "success",
            "updated_at": zulu(self._at + timedelta(hours=1 + push, minutes=9)),
            "pull_requests": [],
        }

    def comment(self, place: int) -> dict[str, Any]:
        at = zulu(self._at + timedelta(hours=2 + place))
        return {"body": self._text(30), "author_association": "MEMBER", "created_at": at, "submitted_at": at}

    def sha(self, push: int) -> str:
        return sha1(f"{self._id} {push}".encode(), usedforsecurity=False).hexdigest()

    def _text(self, words: int) -> str:
        return " ".join(self._words.choices(_WORDS, k=words))


@cache
def _other_fields(repository: str) -> str:
    """The fields of a payload that are the same for every event of a repository; padding is not included."""
    owner = _account("acme", "Organization")
    told = {"full_name": repository, "default_branch": "main", "pushed_at": int(_BEGINNING.timestamp()), "owner": owner}
    pages = {f"{name}_url": f"https://api.github.com/repos/{repository}/{name}{{/sha}}" for name in _ADDRESSES}
    beside = {"repository": {**told, **pages}, "organization": owner, "sender": _account("octo-dev", "User")}
    return ", " + json.dumps(beside)[1:-1]


def _account(login: str, kind: str) -> dict[str, Any]:
    names = ("followers", "following", "gists", "starred", "subscriptions", "organizations", "repos", "events")
    pages = {f"{name}_url": f"https://api.github.com/users/{login}/{name}" for name in names}
    return {"login": login, "id": len(login), "type": kind, "site_admin": False, **pages}


@cache
def _unused_addresses() -> str:
    """More fields with URLs than any document needs as padding."""
    users = (_account(f"octo-{number}", "User") for number in range(30))
    return "".join(f', "also_{number}": {json.dumps(user)}' for number, user in enumerate(users))


def _padding(room: int) -> str:
    """Padding: as many whole fields as fit into `room` characters, followed by the end of the document."""
    end = _unused_addresses().rfind(', "also_', 0, max(room, 1) + 1)
    return _unused_addresses()[: max(end, 0)] + "}"
