"""Sub-issues: the links from issues to their parents."""

import re
from collections.abc import Sequence
from datetime import datetime

from msgspec import UnsetType

from service.deliveries.decoding import utc
from service.deliveries.observation import Linked, Nothing, Observation, Observed
from service.lifecycle.references import Ref, item
from service.providers.github.identities import identified
from service.providers.github.payloads import Item, Repository, SubIssuesEvent
from service.providers.github.shapes import decode_event

# An address in GitHub's API, such as https://api.github.com/repos/acme/app/issues/45; the host of a GitHub Enterprise
# Server has the API under /api/v3. A name or an owner cannot have a slash, so no part of the pattern overlaps another.
_REPOSITORY = re.compile(r"https?://[^/\s]{1,255}/(?:api/v3/)?repos/([\w.-]+/[\w.-]+)(?:/issues/([0-9]{1,18}))?")
_ADDED = frozenset({"parent_issue_added", "sub_issue_added"})
_REMOVED = frozenset({"parent_issue_removed", "sub_issue_removed"})


def read_sub_issues(payload: bytes) -> Sequence[Observation] | Nothing:
    """Read an event about a sub-issue. The repositories of the parent and of the sub-issue each report the change."""
    event = decode_event("sub_issues", payload, SubIssuesEvent)
    child = _named(event.sub_issue, event.sub_issue_repo or event.repository)
    parent = _named(event.parent_issue, event.parent_issue_repo or event.repository)
    if event.sub_issue is None or event.parent_issue is None or child is None or parent is None:
        return Nothing("the event names no sub-issue or no parent")
    at = max(_updated_at(event.sub_issue), _updated_at(event.parent_issue))
    repositories = (event.repository, event.sub_issue_repo, event.parent_issue_repo)
    known = [one for each in repositories for one in identified(each, at, event.sub_issue.html_url)]
    if event.action not in _ADDED | _REMOVED:
        return Nothing("the event neither adds nor removes a sub-issue", tuple(known))
    parents = frozenset({parent}) if event.action in _ADDED else frozenset[Ref]()
    return [_linked(child, parents, at), Observed("active", child, at), *known]


def parent_of(seen: Item, subject: Ref, at: datetime) -> list[Observation]:
    """The link to the parent that an issue's payload shows, or the withdrawal of this link if it shows that there is
    no parent.

    GitHub leaves out `parent_issue_url` if an issue has no parent. An old GitHub Enterprise Server never sends this
    field. Therefore a payload without it shows that there is no parent only if it has `issue_dependencies_summary`, a
    field that GitHub introduced later.
    """
    if isinstance(seen.parent_issue_url, str):
        found = _REPOSITORY.fullmatch(seen.parent_issue_url)
        return (
            [_linked(subject, frozenset({item("github", found[1], int(found[2]))}), at)] if found and found[2] else []
        )
    tells = seen.parent_issue_url is None or not isinstance(seen.issue_dependencies_summary, UnsetType)
    return [_linked(subject, frozenset(), at)] if tells else []


def _linked(child: Ref, parents: frozenset[Ref], at: datetime) -> Linked:
    return Linked(child, "parent", child, parents - {child}, at)


def _named(issue: Item | None, repository: Repository | None) -> Ref | None:
    """The reference of an issue, whose own address names its repository if the event does not."""
    if issue is None:
        return None
    found = _REPOSITORY.fullmatch(issue.repository_url or "")
    name = found[1] if found else repository.full_name if repository else ""
    return item("github", name, issue.number) if name else None


def _updated_at(issue: Item) -> datetime:
    return utc(issue.seen_at)
