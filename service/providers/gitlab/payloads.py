"""The fields that are read from GitLab's payloads.

Source: "Webhook events" and "System hooks" in GitLab's documentation.

Times are texts: `2016-08-12 15:23:28 UTC`, `2021-04-28 21:50:00 +0200` or ISO 8601. One payload may mix these forms.
"""

import msgspec

from service.deliveries.decoding import Number


class AnyEvent(msgspec.Struct):
    object_kind: str | None = None
    event_name: str | None = None


class Project(msgspec.Struct):
    """A project. Payloads of old GitLab versions contain only its URL."""

    id: object = None
    path_with_namespace: str | None = None
    web_url: str | None = None
    homepage: str | None = None
    default_branch: str | None = None


class Label(msgspec.Struct):
    title: str | None = None


class LabelChange(msgspec.Struct):
    previous: list[Label] | None = None
    current: list[Label] | None = None


class Assignee(msgspec.Struct):
    """An assignee. Id and name serve only to detect new assignees; they appear in no observation."""

    id: int | None = None
    username: str | None = None


class AssigneeChange(msgspec.Struct):
    previous: list[Assignee] | None = None
    current: list[Assignee] | None = None


class Changes(msgspec.Struct):
    labels: LabelChange | None = None
    assignees: AssigneeChange | None = None


class Item(msgspec.Struct):
    iid: Number
    created_at: str | None = None
    updated_at: str | None = None
    title: str | None = None
    url: str | None = None
    state: str | None = None
    action: str | None = None
    labels: list[Label] | None = None


class Issue(Item, kw_only=True):
    closed_at: str | None = None
    type: str | None = None
    duplicated_to_id: int | None = None
    """The id of the issue that this issue duplicates.

    GitLab closes this issue before it sets the field, so the delivery that reports the closing does not contain the id.
    """
    moved_to_id: int | None = None
    """The database id that the issue received when it moved to another project.

    loopgauge identifies an issue by its project and its `iid`, so this id shows only that the issue moved.
    """


class Commit(msgspec.Struct):
    id: str | None = None
    message: str | None = None
    timestamp: str | None = None


class MergeRequest(Item, kw_only=True):
    source_branch: str | None = None
    source: Project | None = None
    target: Project | None = None
    source_project_id: object = msgspec.UNSET
    """The id of the project of the branch; null if this project was a fork and was deleted."""
    target_project_id: object = None
    description: str | msgspec.UnsetType | None = msgspec.UNSET
    last_commit: Commit | None = None
    merge_commit_sha: str | None = None
    squash_commit_sha: str | None = None
    merged_at: str | None = None


class ItemEvent(msgspec.Struct):
    project: Project | None = None
    repository: Project | None = None
    labels: list[Label] | None = None
    changes: Changes | None = None


class IssueEvent(ItemEvent, kw_only=True):
    object_attributes: Issue


class MergeRequestEvent(ItemEvent, kw_only=True):
    object_attributes: MergeRequest


class Note(msgspec.Struct):
    noteable_type: str | None = None
    note: str | None = None
    action: str | None = None
    system: bool | None = None
    created_at: str | None = None
    updated_at: str | None = None
    commit_id: str | None = None


class NoteEvent(msgspec.Struct):
    object_attributes: Note
    project: Project | None = None
    repository: Project | None = None
    issue: Issue | None = None
    merge_request: MergeRequest | None = None
    commit: Commit | None = None


class Pipeline(msgspec.Struct):
    sha: str
    status: str
    ref: str | None = None
    tag: bool | None = None
    name: str | None = None
    source: str | None = None
    """The trigger of the pipeline, such as `push`, `merge_request_event` or `schedule`."""
    finished_at: str | None = None


class Job(msgspec.Struct):
    status: str = ""
    finished_at: str | None = None
    allow_failure: object = None


class PipelineChange(msgspec.Struct):
    iid: Number | None = None
    url: str | None = None
    source_project_id: object = None
    target_project_id: object = None


class PipelineEvent(msgspec.Struct):
    object_attributes: Pipeline
    project: Project | None = None
    commit: Commit | None = None
    merge_request: PipelineChange | None = None
    builds: list[Job] | None = None


class DeploymentEvent(msgspec.Struct):
    status: str
    status_changed_at: str | None = None
    environment: str | None = None
    environment_tier: str | None = None
    commit_url: str | None = None
    project: Project | None = None


class PushEvent(msgspec.Struct):
    ref: str
    before: str | None = None
    after: str | None = None
    project: Project | None = None
    repository: Project | None = None
    commits: list[Commit] | None = None
    total_commits_count: object = None
    """The number of new commits. GitLab lists at most 20 of them."""


class ContainerEvent(msgspec.Struct):
    """A project or a group that was created or deleted. Old versions of GitLab do not send the full path of a group."""

    path_with_namespace: str | None = None
    full_path: str | None = None
    path: str | None = None
    created_at: str | None = None
    updated_at: str | None = None


class NamespaceRenameEvent(msgspec.Struct):
    """A group, or the owner of personal projects, that got a new path."""

    full_path: str | None = None
    old_full_path: str | None = None
    username: str | None = None
    old_username: str | None = None
    updated_at: str | None = None


class RenameEvent(msgspec.Struct):
    path_with_namespace: str
    old_path_with_namespace: str
    updated_at: str | None = None
