"""The webhooks that GitHub sends while people work, as far as a benchmark needs them: nine in ten say nothing of use.

Each piece of work is an issue, a pull request that closes it, its pushes, and all that runs and is said on them: what
an organisation's webhook brings that is set to send everything. Bodies have about 12 KB, of which most are addresses
that nobody reads, and become a seventh of that when compressed, as those that GitHub documents do.
"""

import json
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha1
from itertools import count, islice
from typing import Any

from tests.support.builders import GitHubRequest, stamp

BODY_BYTES = 12_000
"""What bodies are filled up to."""
_BEGINNING = datetime(2026, 3, 2, 9, tzinfo=UTC)
_EVERY = timedelta(minutes=7)
_REPOSITORIES = 40
# One piece of work in so many is marked as an experiment.
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
# Of what has an identity in a payload, each has one that cannot be guessed, nor compressed.
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
    """So many deliveries, always the same ones, in the order in which they would be sent."""
    return islice((one for number in count() for one in _work(number, since + number * _EVERY)), deliveries)


def _work(number: int, at: datetime) -> Iterator[GitHubRequest]:
    """One piece of work, from the issue to the deployment: about a hundred deliveries."""
    work = _Work(number, at)
    issue, pull = work.issue(), work.pull()
    yield work.sends("issues", {"action": "opened", "issue": issue})
    yield work.sends("issues", {"action": "labeled", "issue": issue, "label": issue["labels"][0]})
    yield work.sends("issues", {"action": "assigned", "issue": issue})
    yield work.sends("issue_comment", {"action": "created", "issue": issue, "comment": work.comment(0)})
    yield work.sends("create", {"ref": work.branch, "ref_type": "branch"})
    for push in range(_PUSHES):
        yield work.sends("push", work.push(push))
        opened = "synchronize" if push else "opened"
        yield work.sends("pull_request", {"action": opened, "pull_request": {**pull, **work.head(push)}})
        yield from _runs(work, push)
        yield work.sends("pull_request_review_comment", {"action": "created", "comment": work.comment(push)})
        yield work.sends("pull_request_review", {"action": "submitted", "review": work.comment(push)})
    merged = {**pull, **work.head(_PUSHES - 1), **work.merged()}
    yield work.sends("pull_request", {"action": "closed", "pull_request": merged})
    yield work.sends("delete", {"ref": work.branch, "ref_type": "branch"})
    yield work.sends("issues", {"action": "closed", "issue": {**issue, **work.closed()}})
    yield work.sends("star", {"action": "created", "starred_at": stamp(at)})


def _runs(work: "_Work", push: int) -> Iterator[GitHubRequest]:
    for action in ("requested", "completed"):
        yield work.sends("check_suite", {"action": action, "check_suite": work.run(push)})
    for check in range(_CHECKS):
        for action in ("created", "completed"):
            yield work.sends("check_run", {"action": action, "check_run": {**work.run(push), "name": f"check {check}"}})
    for workflow in range(_WORKFLOWS):
        run = {**work.run(push), "name": f"workflow {workflow}"}
        for action in ("queued", "in_progress", "completed"):
            yield work.sends("workflow_job", {"action": action, "workflow_job": run})
        for action in ("requested", "in_progress", "completed"):
            yield work.sends("workflow_run", {"action": action, "workflow_run": run})
    for state in ("pending", "success"):
        yield work.sends("status", {"sha": work.sha(push), "state": state})


class _Work:
    """One piece of work, and what GitHub shows of it."""

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

    def sends(self, event: str, payload: Mapping[str, Any]) -> GitHubRequest:
        """The delivery of an event, filled up with what GitHub tells beside it."""
        self._sent += 1
        ids = {"node_ids": [f"{self._words.getrandbits(96):x}" for _ in range(_IDS)]}
        body = json.dumps({**payload, **ids})[:-1] + _beside(self._repository)
        delivery = f"{self._id:08x}-{self._sent:04x}-11f1-8000-0123456789ab"
        return GitHubRequest(event, (body + _filling(BODY_BYTES - len(body))).encode(), delivery)

    def issue(self) -> dict[str, Any]:
        labels = ["experiment", f"team:team-{self._id % 20}"] if self._experiment else ["chore"]
        return {
            "number": self._number,
            "title": self._said(6),
            "html_url": f"{self._page}/issues/{self._number}",
            "labels": [{"name": label, "color": "5319e7", "description": ""} for label in labels],
            "state": "open",
            "body": self._said(60),
            "created_at": stamp(self._at),
            "updated_at": stamp(self._at),
            "closed_at": None,
        }

    def closed(self) -> dict[str, Any]:
        at = stamp(self._at + timedelta(days=2))
        return {"state": "closed", "state_reason": "completed", "closed_at": at, "updated_at": at}

    def pull(self) -> dict[str, Any]:
        return {
            "number": self._number + 1,
            "title": self._said(6),
            "body": f"{self._said(60)}\n\nCloses #{self._number}" if self._experiment else self._said(60),
            "html_url": f"{self._page}/pull/{self._number + 1}",
            "labels": [],
            "state": "open",
            "created_at": stamp(self._at + timedelta(hours=1)),
            "updated_at": stamp(self._at + timedelta(hours=1)),
            "closed_at": None,
            "merged_at": None,
            "merge_commit_sha": None,
            "base": {"ref": "main", "repo": {"full_name": self._repository, "default_branch": "main"}},
        }

    def head(self, push: int) -> dict[str, Any]:
        repository = {"full_name": self._repository}
        return {
            "head": {"sha": self.sha(push), "ref": self.branch, "repo": repository},
            "updated_at": stamp(self._at + timedelta(hours=1 + push)),
        }

    def merged(self) -> dict[str, Any]:
        at = stamp(self._at + timedelta(days=1))
        return {"state": "closed", "closed_at": at, "merged_at": at, "merge_commit_sha": self.sha(_PUSHES)}

    def push(self, push: int) -> dict[str, Any]:
        at = self._at + timedelta(hours=1 + push)
        commit = {"id": self.sha(push), "message": self._said(8), "timestamp": stamp(at)}
        return {"ref": f"refs/heads/{self.branch}", "after": self.sha(push), "created": push == 0, "commits": [commit]}

    def run(self, push: int) -> dict[str, Any]:
        return {
            "id": self._id * _PUSHES + push,
            "name": "tests",
            "head_sha": self.sha(push),
            "head_branch": self.branch,
            "status": "completed",
            "conclusion": "success",
            "updated_at": stamp(self._at + timedelta(hours=1 + push, minutes=9)),
            "pull_requests": [],
        }

    def comment(self, place: int) -> dict[str, Any]:
        at = stamp(self._at + timedelta(hours=2 + place))
        return {"body": self._said(30), "author_association": "MEMBER", "created_at": at, "submitted_at": at}

    def sha(self, push: int) -> str:
        return sha1(f"{self._id} {push}".encode(), usedforsecurity=False).hexdigest()

    def _said(self, words: int) -> str:
        return " ".join(self._words.choices(_WORDS, k=words))


@cache
def _beside(repository: str) -> str:
    """What comes beside the event itself, to the end of the document but for what fills it up."""
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
def _fillers() -> str:
    """Far more than one document lacks: the addresses of what else GitHub shows."""
    users = (_account(f"octo-{number}", "User") for number in range(30))
    return "".join(f', "also_{number}": {json.dumps(user)}' for number, user in enumerate(users))


def _filling(room: int) -> str:
    """Whole fields of about so many characters, and the end of the document."""
    end = _fillers().rfind(', "also_', 0, max(room, 1) + 1)
    return _fillers()[: max(end, 0)] + "}"
