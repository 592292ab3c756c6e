"""Issues, pull requests, and comments on them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec import UNSET

from service.deliveries.decoding import traits, utc
from service.deliveries.observation import (
    OPEN_STATES,
    Commented,
    Identified,
    Linked,
    Looked,
    Mentioned,
    Observation,
    Observed,
    Outsider,
    Renamed,
    Trait,
)
from service.lifecycle.aliases import Alias
from service.lifecycle.references import Ref, branch, change, commit, item
from service.providers.github.closing import closed_by_body
from service.providers.github.identities import identified
from service.providers.github.parents import parent_of
from service.providers.github.payloads import (
    Change,
    IssueCommentEvent,
    IssueEvent,
    Item,
    ItemEvent,
    Label,
    PullRequestEvent,
    type_name,
)
from service.providers.github.shapes import decode_event

# GitHub reports the assignee of a newly opened item by an event of its own, about a second later. This assignee has not
# started to work yet.
_AT_ONCE = timedelta(seconds=10)
# The most labels that GitHub allows on one issue.
_MOST_LABELS = 100
_INSIDERS = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
_STRANGERS = frozenset({"NONE", "FIRST_TIMER", "FIRST_TIME_CONTRIBUTOR", "MANNEQUIN"})
_OUTSIDERS = _STRANGERS | {"CONTRIBUTOR"}


def read_issue(payload: bytes) -> list[Observation]:
    event = decode_event("issues", payload, IssueEvent)
    subject = item("github", event.repository.full_name, event.issue.number)
    return [
        *_item(event, event.issue, subject, "item"),
        *_typed(event, subject),
        *parent_of(event.issue, subject, _updated_at(event.issue)),
        *_closed(event, event.issue, subject),
        *_transferred(event, subject),
        *_identified(event, event.issue, _updated_at(event.issue)),
    ]


def read_pull_request(payload: bytes) -> list[Observation]:
    event = decode_event("pull_request", payload, PullRequestEvent)
    pull = event.pull_request
    repository = event.repository.full_name
    subject = change("github", repository, pull.number)
    at = _updated_at(pull)
    return [
        *_item(event, pull, subject, "change", pull.head.ref),
        _closing(pull, subject, repository),
        Mentioned(subject, "branch", pull.head.ref, at),
        Mentioned(subject, "title", pull.title, at),
        *_made_of(event, subject, at),
        *_merged_or_closed(event, subject),
        *_outsider(event, subject),
        *_identified(event, pull, at),
    ]


def _closing(pull: Change, subject: Ref, repository: str) -> Linked:
    """The link from a pull request to the issues that its body closes."""
    closed, remark = closed_by_body(pull.body or "", repository, pull.html_url)
    return Linked(subject, "body", subject, closed, _updated_at(pull), remark)


def read_issue_comment(payload: bytes) -> list[Observation]:
    event = decode_event("issue_comment", payload, IssueCommentEvent)
    issue, comment = event.issue, event.comment
    named = change if issue.pull_request is not None else item
    subject = named("github", event.repository.full_name, issue.number)
    at = utc(comment.created_at) if comment.created_at else _updated_at(issue)
    # The comment may be old, so its issue tells best when the repository has this name.
    known = _identified(event, issue, max(at, _updated_at(issue)))
    # Report the issue's state too: the comment may be the first delivery about an issue that is older than the webhook.
    looks = _item(event, issue, subject, "change" if issue.pull_request is not None else "item")
    closed = _closed(event, issue, subject) if issue.pull_request is None else []
    observations: list[Observation] = [*looks, *closed, *known, Observed("active", subject, at)]
    # Commands count only when a comment is new. Commands are dated to when their comment was written. A command that an
    # edit added later would get this earlier time.
    insider, text = comment.author_association in _INSIDERS, comment.body or ""
    told = comment.author_association if comment.author_association in _OUTSIDERS else ""
    if event.action == "created":
        observations.append(Commented(subject, at, text, insider, association=told))
    elif event.action == "edited":
        at = utc(comment.updated_at) if comment.updated_at else _updated_at(issue)
        earlier = event.changes.body.old if event.changes and event.changes.body else None
        observations.append(Commented(subject, at, text, insider, edited=True, earlier=earlier, association=told))
    elif event.action == "deleted":
        at = _updated_at(issue)
        observations.append(Commented(subject, at, text, insider, association=told, deleted=True))
    return observations


def _item(
    event: ItemEvent, seen: Item, subject: Ref, what: Literal["item", "change"], branch: str = ""
) -> list[Observation]:
    """The observations that issues and pull requests share: their state, their creation, and the latest change."""
    at = _updated_at(seen)
    place = traits({"what": what, "project": event.repository.full_name, "branch": branch})
    reason = seen.state_reason if seen.closed_at and not _is_open(seen) else None
    looks = traits({"title": seen.title, "url": seen.html_url, "item_type": _shown_type(event, seen), "reason": reason})
    names = tuple(filter(None, (label.name for label in _labels(event, seen))))
    observations: list[Observation] = [
        Observed("seen", subject, at, {**place, **looks, "label": names[:_MOST_LABELS]}),
        *([Observed("created", subject, utc(seen.created_at), place)] if seen.created_at else []),
        *([] if _is_moving(event) else [_looked(event, seen, subject, names)]),
    ]
    # The action of a comment event is about the comment, not about its issue.
    action = "" if isinstance(event, IssueCommentEvent) else event.action
    match action:
        case "labeled" if event.label is not None:
            observations.append(Observed("labelled", subject, at, {**place, "label": (event.label.name,)}))
        case "unlabeled" if event.label is not None:
            observations.append(Observed("unlabelled", subject, at, {**place, "label": (event.label.name,)}))
        case "assigned" if seen.created_at and at - utc(seen.created_at) <= _AT_ONCE:
            pass
        case "assigned" | "reopened" | "deleted":
            observations.append(Observed(action, subject, at, place))
        case "edited" | "synchronize":
            observations.append(Observed("active", subject, at))
        case _:
            pass
    return observations


def _shown_type(event: ItemEvent, seen: Item) -> str:
    """The type that an issue has. The payload that reports the loss of a type may still show this type."""
    if isinstance(event, IssueEvent) and event.action == "untyped" and type_name(event.type) in ("", seen.type_name):
        return ""
    return seen.type_name


def _typed(event: IssueEvent, subject: Ref) -> list[Observation]:
    """The observation that an issue was given a type, or lost it."""
    place = traits({"what": "item", "project": event.repository.full_name})
    known = {**place, **traits({"item_type": type_name(event.type) or event.issue.type_name})}
    match event.action:
        case "typed" | "untyped" if "item_type" in known:
            return [Observed(event.action, subject, _updated_at(event.issue), known)]
        case _:
            return []


def _is_moving(event: ItemEvent) -> bool:
    """Whether the payload shows an issue that was deleted, or that is on its way to another repository.

    The old issue of a transfer has lost its labels, and the new one may not have all of them yet.
    """
    if not isinstance(event, IssueEvent):
        return False
    return event.action in ("transferred", "deleted") or bool(event.changes and event.changes.old_issue)


def _looked(event: ItemEvent, seen: Item, subject: Ref, names: tuple[str, ...]) -> Looked:
    # A list with a label without a name, or a longer list, is not read as a whole.
    complete = seen.labels is not None and len(names) == len(_labels(event, seen)) <= _MOST_LABELS
    item_type = _shown_type(event, seen) if seen.type is not UNSET or _is_whole(event, seen) else None
    return Looked(subject, _updated_at(seen), names if complete else None, item_type, _is_open(seen))


def _is_whole(event: ItemEvent, seen: Item) -> bool:
    """Whether an issue that shows no type has none: a server that knows types shows them in each event of an issue."""
    return isinstance(event, IssueEvent) and seen.labels is not None


def _labels(event: ItemEvent, seen: Item) -> Sequence[Label]:
    """The labels that an item has. Gitea still lists the labels in the payload that reports the loss of all of them."""
    return () if event.action == "label_cleared" else seen.labels or ()


def _is_open(seen: Item) -> bool | None:
    """Whether an issue or pull request is open. Gitea keeps `closed_at` after a reopening, so the state decides."""
    known = OPEN_STATES.get(seen.state.lower()) if seen.state else None
    return False if known is None and seen.closed_at is not None else known


def _closed(event: ItemEvent, issue: Item, subject: Ref) -> list[Observation]:
    # A payload without the time of the closing may still show that the issue is closed, at the time of its last change.
    if _is_open(issue) is not False:
        return []
    at = utc(issue.closed_at) if issue.closed_at else _updated_at(issue)
    known: dict[Trait, str | None] = {
        "what": "item",
        "project": event.repository.full_name,
        "reason": issue.state_reason,
    }
    return [Observed("closed", subject, at, traits(known))]


def _identified(event: ItemEvent, seen: Item, at: datetime) -> list[Identified]:
    """The id of the repository. The name of a fork, which may name a person, is not kept."""
    return identified(event.repository, at, seen.html_url)


def _transferred(event: IssueEvent, subject: Ref) -> list[Observation]:
    """The observation that a transferred issue has a new reference. Both repositories report the transfer."""
    moved = event.changes
    if moved is None:
        return []
    if event.action == "transferred" and moved.new_issue is not None and moved.new_repository is not None:
        new = item("github", moved.new_repository.full_name, moved.new_issue.number)
        other = identified(moved.new_repository, _updated_at(event.issue), event.issue.html_url)
        return [Renamed(Alias(subject, new, _updated_at(event.issue))), *other]
    if event.action == "opened" and moved.old_issue is not None and moved.old_repository is not None:
        old = item("github", moved.old_repository.full_name, moved.old_issue.number)
        other = identified(moved.old_repository, _updated_at(event.issue), event.issue.html_url)
        return [Renamed(Alias(old, subject, _updated_at(event.issue))), *other]
    return []


def _made_of(event: PullRequestEvent, subject: Ref, at: datetime) -> list[Observation]:
    """The links to a pull request from its commits and its branch."""
    pull = event.pull_request
    made: list[Observation] = [Linked(commit(pull.head.sha), "head", subject, frozenset({subject}), at)]
    # Before the merge, `merge_commit_sha` is the hash of a test merge commit that GitHub discards.
    if pull.merged_at and pull.merge_commit_sha:
        made.append(Linked(commit(pull.merge_commit_sha), "merge commit", subject, frozenset({subject}), at))
    home = pull.head.home
    default = pull.base.repo.default_branch if pull.base and pull.base.repo else event.repository.default_branch
    own = home.lower() == event.repository.full_name.lower()
    # A branch is evidence for its pull request while the pull request is open. The repository's own default branch
    # is never evidence; a branch of the same name in a fork can be.
    if home and pull.head.ref and not (own and pull.head.ref == default):
        serves = frozenset({subject}) if pull.closed_at is None else frozenset[Ref]()
        made.append(Linked(branch(home, pull.head.ref), "branch", subject, serves, at))
        made += _superseded(pull, home)
    return made


def _outsider(event: PullRequestEvent, subject: Ref) -> list[Observation]:
    pull = event.pull_request
    if not _is_outsider(event):
        return []
    merged_at = utc(pull.merged_at) if pull.merged_at else None
    since = utc(pull.created_at) if pull.created_at else _updated_at(pull)
    return [Outsider(subject, since, merged_at, certain=bool(pull.author_association))]


def _is_outsider(event: PullRequestEvent) -> bool:
    """Whether the author of a pull request may not write to its repository.

    The author's association decides if it names an insider or a stranger. Otherwise, as in Gitea's payloads, which have
    no association, the author is an outsider if the pull request comes from a fork.
    """
    association, head = event.pull_request.author_association, event.pull_request.head
    fork = head.repo is None or head.home.lower() not in ("", event.repository.full_name.lower())
    return association in _STRANGERS or (fork and association not in _INSIDERS)


def _superseded(pull: Change, home: str) -> list[Observation]:
    """The observations of kind `superseded`: a pull request replaces its branch as the experiment.

    Each observation withdraws the mark that the branch got from its name. The first observation has the time at which
    the pull request was opened. A later push marks the branch again. The second observation therefore has the time at
    which the pull request was merged or closed.
    """
    place = traits({"what": "branch", "project": home, "branch": pull.head.ref})
    since = [utc(at) for at in (pull.created_at, pull.closed_at) if at is not None]
    return [Observed("superseded", branch(home, pull.head.ref), at, place) for at in since]


def _merged_or_closed(event: PullRequestEvent, subject: Ref) -> list[Observation]:
    pull = event.pull_request
    place = traits({"what": "change", "project": event.repository.full_name, "branch": pull.head.ref})
    if pull.merged_at is not None:
        return [Observed("merged", subject, utc(pull.merged_at), place)]
    if pull.closed_at is not None:
        return [Observed("closed", subject, utc(pull.closed_at), place)]
    return []


def _updated_at(seen: Item) -> datetime:
    return utc(seen.seen_at)
