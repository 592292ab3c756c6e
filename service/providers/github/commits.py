"""Pushes, workflow runs and deployments: the events of commits."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from service.deliveries.closing_commits import closing_links
from service.deliveries.decoding import from_milliseconds, is_commit, read_time, traits, utc
from service.deliveries.environments import environment_names
from service.deliveries.observation import (
    Linked,
    Mentioned,
    Nothing,
    Observation,
    Observed,
    Outsider,
    finished_run,
)
from service.deliveries.pushed import ListedCommit, describe_push
from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.references import Ref, branch, commit, project
from service.providers.github.closing import closed_by_message
from service.providers.github.identities import identified
from service.providers.github.merge_queue import is_queued, queued
from service.providers.github.payloads import (
    DeploymentStatusEvent,
    HeadRepository,
    PushedCommit,
    PushEvent,
    WorkflowRunEvent,
)
from service.providers.github.shapes import decode_event

_BRANCH = "refs/heads/"
# The most commits that GitHub lists in a push.
_MOST_LISTED = 2048


def read_workflow_run(payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode_event("workflow_run", payload, WorkflowRunEvent)
    run = event.workflow_run
    known = identified(event.repository, utc(run.updated_at))
    if event.action != "completed":
        return Nothing(f"a workflow run that is {event.action} has no result yet", tuple(known))
    if not is_commit(run.head_sha):
        return Nothing("the workflow run names no commit", tuple(known))
    return [*_finished(event), *known]


def _finished(event: WorkflowRunEvent) -> list[Observation]:
    run = event.workflow_run
    subject, at = commit(run.head_sha), utc(run.updated_at)
    observations = finished_run(
        subject,
        at,
        workflow=run.name,
        trigger=run.event,
        conclusion=run.conclusion,
        branch=run.head_branch,
        message=run.head_commit.message if run.head_commit else None,
    )
    if _is_fork(event):
        return [*observations, Outsider(subject, at)]
    if not is_queued(run.head_branch):
        return observations
    # The branch of a merge queue names the pull request by its number, which is no ticket.
    kept = [one for one in observations if not (isinstance(one, Mentioned) and one.channel == "branch")]
    return [*kept, *queued(event.repository.full_name if event.repository else None, run.head_branch, run.head_sha, at)]


def _is_fork(event: WorkflowRunEvent) -> bool:
    """Whether the run is about a fork, whose branches and messages an outsider may write."""
    home, own = event.workflow_run.head_repository, event.repository
    if not isinstance(home, HeadRepository):
        return home is None
    return own is not None and home.full_name.lower() != own.full_name.lower()


def read_deployment_status(payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode_event("deployment_status", payload, DeploymentStatusEvent)
    status = event.deployment_status
    at = utc(status.at)
    owner = identified(event.repository, at)
    if not is_commit(event.deployment.sha):
        return Nothing("the deployment names no commit", tuple(owner))
    flagged = event.deployment.production_environment is True
    known = traits({"conclusion": status.state})
    if names := environment_names(status.environment or event.deployment.environment, flagged=flagged):
        known["environment"] = names
    return [Observed("deployed", commit(event.deployment.sha), at, known), *owner]


def read_push(payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode_event("push", payload, PushEvent)
    name = event.ref.removeprefix(_BRANCH)
    if name == event.ref:
        return Nothing("a push that is not to a branch says nothing about experiments")
    at = _pushed_at(event)
    if at is None:
        return Nothing("the push names no time")
    # The default branch is evidence for no experiment: all work is merged into it sooner or later.
    pushed = (event.commits or [])[-MOST_TARGETS:]
    own = _own(event, name, pushed, at)
    messages = [observation for commit in pushed for observation in _message(commit, at)]
    known = identified(event.repository, at)
    if not own and not messages:
        return Nothing(f"a push to {_describe(name)} without a commit", tuple(known))
    return [*own, *messages, *known]


def _describe(name: str) -> str:
    return "a merge queue" if is_queued(name) else "the default branch"


def _own(event: PushEvent, name: str, pushed: Sequence[PushedCommit], at: datetime) -> Sequence[Observation]:
    """The observations of the branch itself."""
    if is_queued(name):
        return queued(event.repository.full_name, name, event.after, at)
    is_default = name == event.repository.default_branch
    return _default_branch(event, pushed, at) if is_default else _branch(event, name, at)


def _is_zero(sha: object) -> bool:
    """Whether a hash stands for no commit. Gitea reports the creation of a branch only in this way."""
    return isinstance(sha, str) and set(sha) == {"0"}


def _default_branch(event: PushEvent, pushed: Sequence[PushedCommit], at: datetime) -> list[Observation]:
    """The step of the default branch, the commits that it merges into this branch, and the issues that these close."""
    place = traits({"what": "commit", "project": event.repository.full_name, "branch": event.repository.default_branch})
    merged = [Observed("merged", commit(one.id), at, place) for one in pushed if is_commit(one.id)]
    return [*_step(event, at), *merged, *_closing(event, pushed, at)]


def _step(event: PushEvent, at: datetime) -> list[Observation]:
    """The step of the default branch. After a forced push, the new commits do not stand on the previous ones."""
    listed = event.commits or []
    total = event.total_commits if isinstance(event.total_commits, int) else len(listed)
    before = event.before if isinstance(event.before, str) and event.forced is not True else ""
    return [
        *describe_push(
            project("github", event.repository.full_name),
            before=before,
            after=event.after,
            listed=[ListedCommit(one.id, one.message or "", one.distinct is False) for one in listed],
            complete=total <= len(listed) < _MOST_LISTED,
            at=at,
            forward=event.forced is False,
        )
    ]


def _branch(event: PushEvent, name: str, at: datetime) -> list[Observation]:
    subject = branch(event.repository.full_name, name)
    place = traits({"what": "branch", "project": event.repository.full_name, "branch": name})
    if event.deleted:
        return [Observed("deleted", subject, at, place)]
    address = f"{event.repository.html_url}/tree/{name}" if event.repository.html_url else ""
    return [
        Observed("seen", subject, at, {**place, **traits({"title": name, "url": address})}),
        *([Observed("created", subject, at, place)] if event.created or _is_zero(event.before) else []),
        Observed("active", subject, at),
        Mentioned(subject, "branch", name, at),
        *_head(event, subject, at),
    ]


def _head(event: PushEvent, subject: Ref, at: datetime) -> list[Observation]:
    """The link from the last commit to its branch, unless the commit is known to belong to another branch already."""
    is_new = event.created or _is_zero(event.before)
    own = [one for one in event.commits or [] if one.id == event.after]
    if not is_commit(event.after) or (is_new and not event.commits) or any(one.distinct is False for one in own):
        return []
    return [Linked(commit(event.after), "branch", subject, frozenset({subject}), at)]


def _message(pushed: PushedCommit, at: datetime) -> list[Observation]:
    return [Mentioned(commit(pushed.id), "message", pushed.message or "", at)] if is_commit(pushed.id) else []


def _closing(event: PushEvent, pushed: Iterable[PushedCommit], at: datetime) -> Iterator[Observation]:
    project, address = event.repository.full_name, event.repository.html_url
    for each in pushed:
        yield from closing_links(each.id, event.after, closed_by_message(each.message or "", project, address), at)


def _pushed_at(event: PushEvent) -> datetime | None:
    match event.repository.pushed_at:
        case int() as seconds:
            return from_milliseconds(seconds * 1000, "repository.pushed_at")
        case "" | None:
            pushed = event.head_commit
            if pushed and pushed.timestamp:
                return utc(pushed.timestamp)
            # A branch of Gitea that was created without a commit has no other time.
            updated = event.repository.updated_at
            return read_time(updated, "repository.updated_at") if updated else None
        case str() as text:
            return read_time(text, "repository.pushed_at")
