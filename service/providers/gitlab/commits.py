"""Pushes, pipelines and deployments: the events of commits."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from service.deliveries.closing_commits import closing_links
from service.deliveries.decoding import decode, is_commit, read_time, shorten, traits
from service.deliveries.environments import environment_names
from service.deliveries.identities import read_id
from service.deliveries.observation import Linked, Mentioned, Nothing, Observation, Observed, Outsider, finished_run
from service.deliveries.pushed import ListedCommit, describe_push
from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.references import Ref, branch, change, commit, project
from service.providers.gitlab.closing import closed_issues
from service.providers.gitlab.payloads import Commit, DeploymentEvent, PipelineChange, PipelineEvent, Project, PushEvent
from service.providers.gitlab.projects import identified, path, project_of_page, root

_BRANCH = "refs/heads/"
# A retried pipeline keeps its previous finish time, so the time alone does not prove that the pipeline has finished.
_FINISHED = frozenset({"success", "failed", "canceled", "skipped"})
_MANUAL = "manual"
# The states of the jobs of a pipeline that waits. A job that is `created` comes after the manual job.
_SETTLED = _FINISHED | {_MANUAL, "created"}


def read_pipeline(payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode(payload, PipelineEvent)
    run, paused = event.object_attributes, _paused(event)
    if run.status not in _FINISHED and not paused:
        return Nothing(f"a pipeline that is {shorten(run.status)} has no result yet")
    if not is_commit(run.sha):
        return Nothing("the pipeline names no commit")
    conclusion, finished_at = paused or (run.status, run.finished_at)
    if not finished_at:
        return Nothing(f"the pipeline is {run.status} and does not say when it finished")
    subject, at = commit(run.sha), read_time(finished_at, "$.object_attributes.finished_at")
    name = None if run.tag else run.ref
    message = event.commit.message if event.commit else None
    observations = finished_run(
        subject, at, workflow=run.name, trigger=run.source, conclusion=conclusion, branch=name, message=message
    )
    return [*observations, *_change(event, subject, at), *_fork(event, subject, at), *identified(event.project, at)]


def _paused(event: PipelineEvent) -> tuple[str, str] | None:
    """The result of a pipeline that waits for a manual job, and when its last job ended; None if it has no result yet.

    The pipeline has a result if nothing else runs: a failure if a job failed that may not fail, otherwise a success. A
    cancelled job leaves the result open.
    """
    jobs = event.builds or []
    states = {job.status for job in jobs if job.allow_failure is not True}
    if event.object_attributes.status != _MANUAL or not {job.status for job in jobs} <= _SETTLED:
        return None
    ends = [job.finished_at for job in jobs if job.finished_at and job.status in ("success", "failed")]
    if not ends or "canceled" in states:
        return None
    return "failed" if "failed" in states else "success", max(ends)


def _fork(event: PipelineEvent, sha: Ref, at: datetime) -> list[Observation]:
    """If a pipeline runs for the merge request of a fork, an outsider wrote its branch and its message."""
    merge = event.merge_request
    if merge is None or None in (merge.source_project_id, merge.target_project_id):
        return []
    return [Outsider(sha, at)] if read_id(merge.source_project_id) != read_id(merge.target_project_id) else []


def _change(event: PipelineEvent, sha: Ref, at: datetime) -> list[Observation]:
    """The link from a pipeline's commit to its merge request. This commit is often a test merge ("merged results")."""
    merge = event.merge_request
    project = _target(merge, event.project) if merge else None
    if merge is None or merge.iid is None or project is None:
        return []
    subject = change("gitlab", project, merge.iid)
    return [Linked(sha, "head", subject, frozenset({subject}), at)]


def _target(merge: PipelineChange, own: Project | None) -> str | None:
    """The target project of a merge request. The pipeline may run in a fork, so `own` may be the fork."""
    if own is None:
        return None
    if None in (own.id, merge.target_project_id) or read_id(own.id) == read_id(merge.target_project_id):
        return path(own)
    return project_of_page(merge.url or "", root(own))


def read_deployment(payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode(payload, DeploymentEvent)
    sha = (event.commit_url or "").rpartition("/")[2]
    if not is_commit(sha):
        return Nothing("the deployment names no commit")
    if not event.status_changed_at:
        return Nothing("the deployment names no time")
    at = read_time(event.status_changed_at, "$.status_changed_at")
    known = traits({"conclusion": event.status})
    if names := environment_names(event.environment, tier=event.environment_tier):
        known["environment"] = names
    return [Observed("deployed", commit(sha), at, known), *identified(event.project, at)]


def read_push(payload: bytes, received_at: datetime) -> Sequence[Observation] | Nothing:
    event = decode(payload, PushEvent)
    name = event.ref.removeprefix(_BRANCH)
    if not name or name == event.ref:
        return Nothing("a push that is not to a branch says nothing about experiments")
    commits = event.commits or []
    default = event.project.default_branch if event.project else None
    if event.after and set(event.after) == {"0"}:
        return _removed(event, name, received_at) if name != default else Nothing("the default branch was removed")
    # A push has no time of its own, so use the time of its last commit. A branch that was created in GitLab's user
    # interface, or from a tag, has no commit of its own: use the time of receipt.
    stamp = commits[-1].timestamp if commits else None
    if not stamp and not (_is_new(event) and name != default):
        return Nothing("the push has no commit with a time")
    at = read_time(stamp, "$.commits[-1].timestamp") if stamp else received_at
    # The default branch is evidence for no experiment: all work is merged into it sooner or later.
    pushed = commits[-MOST_TARGETS:]
    own = _branch(event, name, at) if name != default else _default_branch(event, name, pushed, at)
    messages = [observation for commit in pushed for observation in _message(commit, at)]
    # The commits of a new branch may be older than the project's name.
    known = [] if _is_new(event) and stamp else identified(event.project, at)
    if not own and not messages:
        return Nothing("a push to the default branch without a commit", tuple(known))
    return [*own, *messages, *known]


def _default_branch(event: PushEvent, name: str, pushed: Sequence[Commit], at: datetime) -> list[Observation]:
    """The step of the default branch, the commits that it merges into this branch, and the issues that these close."""
    place = traits({"what": "commit", "project": path(event.project, event.repository), "branch": name})
    merged = [Observed("merged", commit(one.id), at, place) for one in pushed if one.id and is_commit(one.id)]
    return [*_step(event, at), *merged, *_closing(event, pushed, at)]


def _step(event: PushEvent, at: datetime) -> list[Observation]:
    """The step of the default branch. GitLab does not tell a forced push, and by default protects this branch from it.

    A push that sets the branch back to an earlier commit lists no commits, so it is no step.
    """
    listed = event.commits or []
    total = event.total_commits_count if isinstance(event.total_commits_count, int) else len(listed)
    return [
        *describe_push(
            project("gitlab", path(event.project, event.repository)),
            before=event.before or "",
            after=event.after or "",
            listed=[ListedCommit(one.id or "", one.message or "") for one in listed],
            complete=total <= len(listed),
            at=at,
        )
    ]


def _removed(event: PushEvent, name: str, received_at: datetime) -> list[Observation]:
    """The deletion of a branch. The payload has no time, so the observation has the time of receipt.

    If the branch was an experiment, `loopgauge_excluded` counts it as deleted in the windows that contain this time.
    """
    project = path(event.project, event.repository)
    place = traits({"what": "branch", "project": project, "branch": name})
    return [Observed("deleted", branch(project, name), received_at, place)]


def _branch(event: PushEvent, name: str, at: datetime) -> list[Observation]:
    project = path(event.project, event.repository)
    subject = branch(project, name)
    place = traits({"what": "branch", "project": project, "branch": name})
    home = event.project.web_url if event.project else None
    address = f"{home}/-/tree/{name}" if home else None
    return [
        Observed("seen", subject, at, {**place, **traits({"title": name, "url": address})}),
        *([Observed("created", subject, at, place)] if _is_new(event) else []),
        Observed("active", subject, at),
        Mentioned(subject, "branch", name, at),
        *_head(event, subject, at),
    ]


def _is_new(event: PushEvent) -> bool:
    """Whether a push created its branch."""
    return bool(event.before) and set(event.before or "") == {"0"}


def _head(event: PushEvent, subject: Ref, at: datetime) -> list[Observation]:
    """The link from the last commit to its branch. The commit of a branch without commits belongs to another branch."""
    if not event.commits or not event.after or not is_commit(event.after):
        return []
    return [Linked(commit(event.after), "branch", subject, frozenset({subject}), at)]


def _closing(event: PushEvent, pushed: Iterable[Commit], at: datetime) -> Iterator[Observation]:
    own, instance = path(event.project, event.repository), root(event.project)
    for each in pushed:
        closed = closed_issues(each.message or "", own, instance)
        yield from closing_links(each.id or "", event.after, closed, at)


def _message(pushed: Commit, at: datetime) -> list[Observation]:
    if not pushed.id or not is_commit(pushed.id):
        return []
    return [Mentioned(commit(pushed.id), "message", pushed.message or "", at)]
