"""Checks and commit statuses, by which tools other than GitHub Actions report their results to GitHub.

Source: "Webhook events and payloads" and "About status checks" in GitHub's documentation.
"""

from collections.abc import Sequence
from datetime import datetime

from service.deliveries.decoding import is_commit, shorten, utc
from service.deliveries.observation import Nothing, Observation, Observed, Trait
from service.lifecycle.references import commit
from service.providers.github.identities import identified
from service.providers.github.merge_queue import queued
from service.providers.github.payloads import (
    App,
    CheckRunEvent,
    CheckSuiteEvent,
    HeadRepository,
    StatusEvent,
)
from service.providers.github.shapes import decode_event

_ACTIONS = "github-actions"
_OF_ACTIONS = "a check of GitHub Actions is reported by `workflow_run` too"
_PENDING = "pending"


def read_check_suite(payload: bytes) -> Sequence[Observation] | Nothing:
    """Read the result of all checks of one app on a commit."""
    event = decode_event("check_suite", payload, CheckSuiteEvent)
    suite = event.check_suite
    at = suite.updated_at or suite.created_at
    if event.action != "completed" or at is None:
        return Nothing("a check suite that is not completed has no result yet")
    return _checked(
        event.repository, suite.head_sha, utc(at), _names(suite.app), suite.conclusion, (suite.head_branch,), suite.app
    )


def read_check_run(payload: bytes) -> Sequence[Observation] | Nothing:
    """Read the result of one check of an app on a commit."""
    event = decode_event("check_run", payload, CheckRunEvent)
    run = event.check_run
    if event.action != "completed" or run.completed_at is None:
        return Nothing("a check that is not completed has no result yet")
    at, branch = utc(run.completed_at), run.check_suite.head_branch if run.check_suite else None
    names = (run.name, *_names(run.app))
    return _checked(event.repository, run.head_sha, at, names, run.conclusion, (branch,), run.app)


def read_status(payload: bytes) -> Sequence[Observation] | Nothing:
    """Read the status of a commit in one context, such as `ci/jenkins`."""
    event = decode_event("status", payload, StatusEvent)
    at = event.updated_at or event.created_at
    if event.state == _PENDING or at is None:
        return Nothing(f"a status that is {shorten(event.state)} is no result")
    branches = tuple(branch.name for branch in event.branches or ())
    return _checked(event.repository, event.sha, utc(at), (event.context,), event.state, branches, None)


def _checked(
    repository: HeadRepository | None,
    sha: str,
    at: datetime,
    names: Sequence[str | None],
    conclusion: str | None,
    branches: Sequence[str | None],
    app: App | None,
) -> Sequence[Observation] | Nothing:
    known = identified(repository, at)
    if app is not None and app.slug == _ACTIONS:
        return Nothing(_OF_ACTIONS, tuple(known))
    if not is_commit(sha):
        return Nothing("the check names no commit", tuple(known))
    words: dict[Trait, Sequence[str | None]] = {"workflow": names, "conclusion": (conclusion,), "branch": branches}
    present = {trait: tuple(dict.fromkeys(filter(None, values))) for trait, values in words.items()}
    traits = {trait: values for trait, values in present.items() if values}
    project = repository.full_name if repository else None
    links = [link for branch in traits.get("branch", ()) for link in queued(project, branch, sha, at)]
    return [Observed("checked", commit(sha), at, traits), *links, *known]


def _names(app: App | None) -> tuple[str | None, ...]:
    return (app.slug, app.name) if app else ()
