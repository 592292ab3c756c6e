"""Merge requests."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from service.deliveries.decoding import decode, is_commit, read_time, traits
from service.deliveries.identities import read_id
from service.deliveries.observation import Identified, Linked, Mentioned, Observation, Observed, Outsider
from service.lifecycle.references import Ref, branch, change, commit
from service.providers.gitlab.closing import closed_issues
from service.providers.gitlab.items import Traits, happened, looks, opened_at, seen_at
from service.providers.gitlab.payloads import MergeRequest, MergeRequestEvent, Project
from service.providers.gitlab.projects import identified, known_path, path, root

_ENDS = frozenset({"close", "merge"})
_ENDED = frozenset({"closed", "merged"})


def read_merge_request(payload: bytes) -> Sequence[Observation]:
    event = decode(payload, MergeRequestEvent)
    merge = event.object_attributes
    project = path(merge.target, event.project, event.repository)
    subject, at = change("gitlab", project, merge.iid), seen_at(merge)
    place = traits({"what": "change", "project": project, "branch": merge.source_branch})
    return [
        *looks(merge, subject, {}, place, event.labels),
        *happened(event, merge.action, subject, place, at),
        *_texts(event, subject, project, at),
        *_commits(merge, subject, at),
        *_source(event, subject, project, at),
        *_ended(merge, subject, place, at),
        *outsider(merge, subject, project, at),
        *identities(event.project, merge, at),
    ]


def identities(own: Project | None, merge: MergeRequest, at: datetime) -> list[Identified]:
    """The id of the project of a merge request. The name of a fork, which may name a person, is not kept."""
    return list(dict.fromkeys([*identified(own, at), *identified(merge.target, at, merge.target_project_id)]))


def outsider(
    merge: MergeRequest, subject: Ref, project: str, at: datetime, where: str = "$.object_attributes"
) -> list[Observation]:
    """The merge request of a fork is an outsider's: GitLab does not tell the rights of its author.

    Args:
        where: the path of the merge request in the payload.
    """
    if not _is_fork(merge, project):
        return []
    since = opened_at(merge, where) or at
    return [Outsider(subject, since, (_end(merge, at) or at) if _is_merged(merge) else None)]


def _is_fork(merge: MergeRequest, project: str) -> bool:
    home = known_path(merge.source)
    if home and home.lower() != project.lower():
        return True
    source, target = merge.source_project_id, merge.target_project_id
    return source is not msgspec.UNSET and target is not None and read_id(source) != read_id(target)


def _texts(event: MergeRequestEvent, subject: Ref, project: str, at: datetime) -> list[Observation]:
    merge = event.object_attributes
    links: list[Observation] = []
    if not isinstance(merge.description, msgspec.UnsetType):
        instance = root(merge.target) or root(event.project)
        # A merge request closes issues by its title too.
        text = f"{merge.title or ''}\n{merge.description or ''}"
        links.append(Linked(subject, "body", subject, closed_issues(text, project, instance), at))
    texts = (("branch", merge.source_branch), ("title", merge.title))
    return [*links, *(Mentioned(subject, channel, text, at) for channel, text in texts if text is not None)]


def _commits(merge: MergeRequest, subject: Ref, at: datetime) -> list[Observation]:
    """The links to a merge request from its head commit and, after the merge, from its merge and squash commits."""
    commits = [("head", merge.last_commit.id if merge.last_commit else None)]
    if _is_merged(merge):
        commits += [("merge commit", merge.merge_commit_sha), ("merge commit", merge.squash_commit_sha)]
    serves = frozenset({subject})
    return [Linked(commit(sha), channel, subject, serves, at) for channel, sha in commits if sha and is_commit(sha)]


def _source(event: MergeRequestEvent, subject: Ref, project: str, at: datetime) -> list[Observation]:
    """The link from the branch to its merge request. The link counts while the merge request is open."""
    merge = event.object_attributes
    home, name = known_path(merge.source), merge.source_branch
    default = (merge.target and merge.target.default_branch) or (event.project and event.project.default_branch)
    # The default branch is evidence for no merge request. A branch of the same name in a fork can be evidence.
    if not home or not name or (home.lower() == project.lower() and name == default):
        return []
    serves = frozenset({subject}) if _is_open(merge) else frozenset[Ref]()
    return [Linked(branch(home, name), "branch", subject, serves, at), *_superseded(merge, home, name, at)]


def _superseded(merge: MergeRequest, home: str, name: str, at: datetime) -> list[Observation]:
    """The observations of kind `superseded`: a merge request replaces its branch as the experiment.

    Each observation withdraws the mark that the branch got from its name. The first observation has the time at which
    the merge request was opened. A later push marks the branch again. The second observation therefore has the time at
    which the merge request was merged or closed.
    """
    place = traits({"what": "branch", "project": home, "branch": name})
    since = [opened_at(merge), _end(merge, at)]
    return [Observed("superseded", branch(home, name), when, place) for when in since if when is not None]


def _ended(merge: MergeRequest, subject: Ref, place: Traits, at: datetime) -> list[Observation]:
    end = _end(merge, at)
    if end is None:
        return []
    return [Observed("merged" if _is_merged(merge) else "closed", subject, end, place)]


def _end(merge: MergeRequest, at: datetime) -> datetime | None:
    """When the merge request was merged or closed, if the payload says so."""
    if merge.merged_at:
        return read_time(merge.merged_at, "$.object_attributes.merged_at")
    return at if merge.action in _ENDS else None


def _is_merged(merge: MergeRequest) -> bool:
    return bool(merge.merged_at) or merge.action == "merge" or merge.state == "merged"


def _is_open(merge: MergeRequest) -> bool:
    return not (_is_merged(merge) or merge.action in _ENDS or merge.state in _ENDED)
