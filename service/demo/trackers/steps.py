"""The interface of an experiment's steps, which is the same for every tracker."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Protocol

from service.demo.ci_run import Run
from service.demo.organisation import Runner, Team
from service.demo.payloads import buildkite, circleci, github, gitlab, jenkins
from service.demo.plan import Plan
from service.demo.post import Post, number_of, sha_of

_RUN_TAKES = timedelta(minutes=6)

RUNNERS: Mapping[Runner, Callable[[Run], list[Post]]] = {
    "github": github.workflow_run,
    "circleci": circleci.workflow,
    "gitlab": gitlab.pipeline,
    "buildkite": buildkite.build,
    "jenkins": jenkins.build,
}
"""For each tool, a function that returns the posts of a run."""


class Steps(Protocol):
    """An experiment in a tracker. Each step changes the experiment's state and returns the posts that report it."""

    def propose(self, at: datetime) -> list[Post]: ...

    def start(self, at: datetime) -> list[Post]: ...

    def run(self, at: datetime, *, succeeded: bool) -> list[Post]: ...

    def close(self, at: datetime) -> list[Post]:
        """Close the experiment without an outcome. `conclude` also declares the outcome."""

    def reopen(self, at: datetime) -> list[Post]: ...

    def conclude(self, at: datetime) -> list[Post]: ...

    def share(self, at: datetime) -> list[Post]: ...

    def ship(self, at: datetime) -> list[Post]: ...


def marks(team: Team, plan: Plan) -> list[str]:
    """The labels of a new experiment."""
    return ["experiment", f"team:{team.name}", f"risk:{'bold' if plan.bold else 'safe'}"]


def outcome_labels(plan: Plan) -> list[str]:
    """The labels that declare the outcome and, for a failure, its category; empty if the team declares no outcome."""
    if plan.ending not in ("worked", "failed", "inconclusive"):
        return []
    return [f"outcome:{plan.ending}", *([f"failure:{plan.category}"] if plan.category else [])]


def commit_of(team: Team, plan: Plan, what: object) -> str:
    """The hash of one of the experiment's commits."""
    return sha_of(team.project, plan.number, what)


def run_of(team: Team, branch: str, sha: str, message: str, at: datetime, *, succeeded: bool) -> list[Post]:
    """The posts that the team's tool sends for a run on a commit."""
    run = Run(
        project=team.project,
        sha=sha,
        branch=branch,
        message=message,
        number=number_of(team.project, sha, at.isoformat()),
        ended_at=at,
        took=_RUN_TAKES,
        succeeded=succeeded,
    )
    return RUNNERS[team.runner](run)


def slug(text: str) -> str:
    """Turn a text into a part of a branch name."""
    return "-".join("".join(letter for letter in text.lower() if letter.isalnum() or letter == " ").split())
