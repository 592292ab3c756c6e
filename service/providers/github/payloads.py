"""The fields that are read from GitHub's payloads. Source: "Webhook events and payloads" in GitHub's documentation."""

from datetime import datetime

import msgspec

from service.deliveries.decoding import AnyObject, Number, first_known


class Named(msgspec.Struct):
    name: str


class Label(msgspec.Struct):
    """A label of an item. Without its name, the list of labels is not known."""

    name: str | None = None


class Numbered(msgspec.Struct):
    number: Number


class Repository(msgspec.Struct):
    full_name: str
    default_branch: str = ""
    updated_at: datetime | None = None
    id: object = None
    html_url: object = None


class Item(msgspec.Struct):
    number: Number
    created_at: datetime | None = None
    title: str = ""
    html_url: str = ""
    labels: list[Label] | None = None
    updated_at: datetime | None = None
    closed_at: datetime | None = None
    state: str | None = None
    state_reason: str | None = None
    type: object = msgspec.UNSET
    """The issue type that the organisation defined: an object with a `name`; null if the issue has no type."""
    repository_url: str | None = None
    parent_issue_url: str | msgspec.UnsetType | None = msgspec.UNSET
    """The address of the parent in GitHub's API. An issue without a parent has null, or lacks the field."""
    issue_dependencies_summary: object = msgspec.UNSET
    """A summary that GitHub has added to issues after it added their parents."""

    @property
    def type_name(self) -> str:
        """The name of the issue type; empty if the payload shows none."""
        return type_name(self.type)

    @property
    def seen_at(self) -> datetime:
        """When the item had the state that the payload shows."""
        return first_known(self.updated_at, self.created_at, where="created_at")


def type_name(shown: object) -> str:
    """The name of an issue type as a payload shows the type; empty if it shows none."""
    match shown:
        case {"name": str(name)}:
            return name
        case _:
            return ""


class HeadRepository(msgspec.Struct):
    full_name: str = ""
    id: object = None
    html_url: object = None


class Head(msgspec.Struct):
    sha: str
    ref: str = ""
    repo: HeadRepository | msgspec.UnsetType | None = msgspec.UNSET
    """The repository of the branch; null if this repository was a fork and was deleted."""

    @property
    def home(self) -> str:
        """The name of the repository of the branch; empty if it is not known."""
        return self.repo.full_name if isinstance(self.repo, HeadRepository) else ""


class Base(msgspec.Struct):
    repo: Repository | None = None


class Change(Item, kw_only=True):
    head: Head
    base: Base | None = None
    body: str | None = None
    merged_at: datetime | None = None
    merge_commit_sha: str | None = None
    author_association: str = ""


class Moved(msgspec.Struct):
    new_issue: Numbered | None = None
    new_repository: Repository | None = None
    old_issue: Numbered | None = None
    old_repository: Repository | None = None


class ItemEvent(msgspec.Struct):
    action: str
    repository: Repository
    label: Named | None = None


class IssueEvent(ItemEvent, kw_only=True):
    issue: Item
    changes: Moved | None = None
    type: object = None


class SubIssuesEvent(msgspec.Struct):
    action: str
    repository: Repository | None = None
    sub_issue: Item | None = None
    sub_issue_repo: Repository | None = None
    parent_issue: Item | None = None
    parent_issue_repo: Repository | None = None


class PullRequestEvent(ItemEvent, kw_only=True):
    pull_request: Change


class Comment(msgspec.Struct):
    body: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    author_association: str = ""


class EarlierText(msgspec.Struct, rename={"old": "from"}):
    old: str | None = None


class CommentChanges(msgspec.Struct):
    body: EarlierText | None = None


class CommentedItem(Item, kw_only=True):
    pull_request: AnyObject | None = None


class IssueCommentEvent(ItemEvent, kw_only=True):
    issue: CommentedItem
    comment: Comment
    changes: CommentChanges | None = None


class OldName(msgspec.Struct, rename={"old": "from"}):
    old: str


class RepositoryChanges(msgspec.Struct):
    name: OldName | None = None


class Account(msgspec.Struct):
    login: str


class OldOwner(msgspec.Struct):
    user: Account | None = None
    organization: Account | None = None


class OwnerChange(msgspec.Struct, rename={"old": "from"}):
    old: OldOwner


class RepositoryField(msgspec.Struct):
    repository: RepositoryChanges | None = None
    owner: OwnerChange | None = None


class ChangedRepository(Repository, kw_only=True):
    created_at: datetime | int | None = None
    pushed_at: datetime | int | None = None


class RepositoryEvent(msgspec.Struct):
    action: str
    repository: ChangedRepository
    changes: RepositoryField | None = None


class Message(msgspec.Struct):
    message: str | None = None


class Run(msgspec.Struct):
    head_sha: str
    updated_at: datetime
    name: str | None = None
    conclusion: str | None = None
    head_branch: str | None = None
    event: str | None = None
    """The event that triggered the run, such as `push` or `schedule`."""
    head_commit: Message | None = None
    head_repository: HeadRepository | msgspec.UnsetType | None = msgspec.UNSET
    """The repository of the branch; null if this repository was a fork and was deleted."""


class WorkflowRunEvent(msgspec.Struct):
    action: str
    workflow_run: Run
    repository: HeadRepository | None = None


class App(msgspec.Struct):
    slug: str | None = None
    name: str | None = None


class CheckSuite(msgspec.Struct):
    head_sha: str
    head_branch: str | None = None
    conclusion: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    app: App | None = None


class CheckSuiteEvent(msgspec.Struct):
    action: str
    check_suite: CheckSuite
    repository: HeadRepository | None = None


class SuiteOfRun(msgspec.Struct):
    head_branch: str | None = None


class CheckRun(msgspec.Struct):
    head_sha: str
    name: str | None = None
    conclusion: str | None = None
    completed_at: datetime | None = None
    app: App | None = None
    check_suite: SuiteOfRun | None = None


class CheckRunEvent(msgspec.Struct):
    action: str
    check_run: CheckRun
    repository: HeadRepository | None = None


class StatusEvent(msgspec.Struct):
    sha: str
    state: str
    context: str | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    branches: list[Named] | None = None
    repository: HeadRepository | None = None


class Deployment(msgspec.Struct):
    sha: str
    environment: str | None = None
    production_environment: object = None
    """Whether end users directly interact with the environment, by the setting of who deploys."""


class DeploymentStatus(msgspec.Struct):
    state: str
    created_at: datetime | None = None
    updated_at: datetime | None = None
    environment: str | None = None

    @property
    def at(self) -> datetime:
        """When the deployment got this status."""
        return first_known(self.created_at, self.updated_at, where="deployment_status.created_at")


class DeploymentStatusEvent(msgspec.Struct):
    deployment: Deployment
    deployment_status: DeploymentStatus
    repository: HeadRepository | None = None


class PushedRepository(msgspec.Struct):
    full_name: str
    html_url: str = ""
    default_branch: str = ""
    id: object = None
    pushed_at: int | str | None = None
    """A number (Unix time) in a push, and a text in every other event. Gitea has no such field."""
    updated_at: str | None = None


class PushedCommit(msgspec.Struct):
    id: str
    message: str | None = None
    timestamp: datetime | None = None
    distinct: object = None
    """False if the commit was pushed to another branch before."""


class PushEvent(msgspec.Struct):
    ref: str
    after: str
    repository: PushedRepository
    before: object = None
    created: bool = False
    deleted: bool = False
    forced: object = None
    total_commits: object = None
    """The number of new commits. Gitea lists only some of them; GitHub does not tell this number."""
    commits: list[PushedCommit] | None = None
    head_commit: PushedCommit | None = None


class HeadCommit(msgspec.Struct):
    timestamp: datetime | None = None


class MergeGroup(msgspec.Struct):
    head_sha: str
    head_ref: str
    head_commit: HeadCommit | None = None


class MergeGroupEvent(msgspec.Struct):
    merge_group: MergeGroup
    repository: Repository
