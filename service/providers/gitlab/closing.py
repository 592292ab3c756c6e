"""Find the issues that a title, a description or a commit message closes.

The pattern is a keyword followed by one issue or a list of issues. Source: "Default closing pattern" in GitLab's
documentation.

GitLab looks for the pattern in the raw text, and closes issues that are named in code or in an HTML comment too. So
these issues count here, unlike on GitHub. Source: `Gitlab::ClosingIssueExtractor` and `MergeRequest#closes_issues` in
GitLab's code.
"""

import re
from collections.abc import Iterator
from itertools import islice

from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.references import Ref, item
from service.providers.gitlab.projects import project_of_page

_KEYWORD = re.compile(
    r"\b(?:[Cc]los(?:e[sd]?|ing)|[Ff]ix(?:e[sd]|ing)?|[Rr]esolv(?:e[sd]?|ing)|[Ii]mplement(?:s|ed|ing)?):? {1,20}"
)
# Every repetition in the pattern is bounded, because a description is untrusted input.
_ISSUE = re.compile(
    r"(?:issues? {1,20})?"
    r"(?:(?P<page>https?://[^\s>]{1,300}?/(?:issues|work_items)/(?P<page_number>[0-9]{1,18}))(?![0-9])[^\s>,]{0,300}"
    r"|(?:(?P<project>[A-Za-z0-9_.-]{1,100}(?:/[A-Za-z0-9_.-]{1,100}){0,20})?#|GL-)(?P<number>[0-9]{1,18})(?!\w))"
    r"(?: {0,20},? {1,20}and {1,20}| {0,20},? {0,20})"
)


def closed_issues(description: str, project: str, root: str) -> frozenset[Ref]:
    """The issues that a description closes. Their number is limited, because a description may name thousands.

    Args:
        project: the path of the project that the description belongs to.
        root: the URL prefix of all projects on this instance; other URLs are ignored.
    """
    return frozenset(islice(_issues(description, project, root), MOST_TARGETS))


def _issues(description: str, project: str, root: str) -> Iterator[Ref]:
    position = 0
    while keyword := _KEYWORD.search(description, position):
        position = keyword.end()
        while found := _ISSUE.match(description, position):
            position = found.end()
            named = project_of_page(found["page"], root) if found["page"] else _full_path(found["project"], project)
            if named:
                yield item("gitlab", named, int(found["page_number"] or found["number"]))


def _full_path(named: str | None, project: str) -> str:
    """The full path of a named project. A name without a group means a project in the group of `project`."""
    if not named:
        return project
    return named if "/" in named else f"{project.rpartition('/')[0]}/{named}"
