"""References to issues and pull requests, the addresses of their pages, and short forms such as `acme/app#45`.

Issues and pull requests share their numbers, and GitHub redirects the address of one to the other. Therefore `#7` may
mean a pull request.
"""

import re
from collections.abc import Sequence

from service.lifecycle.addresses import BLANK, Address
from service.lifecycle.references import Claim, Ref, ReferenceGrammar, branch, change, claim, commit, item

_NAME = r"[A-Za-z0-9_.-]+"
# GitLab's addresses have a `-` after the project.
_PROJECT = re.compile(f"{_NAME}/(?!-$){_NAME}")
_SHORT = re.compile(f"({_NAME}/{_NAME})([#!])([0-9]{{1,18}})")
_NUMBER = re.compile("[0-9]{1,18}")
_HASH = re.compile("[0-9A-Fa-f]{7,64}")
_HOSTS = (".github.com", ".ghe.com")
# A branch's name may contain slashes, and a path may follow it.
_MOST_SEGMENTS = 10


def _read_address(address: Address) -> Claim:
    return claim(_subjects(address), certain=f".{address.host}".endswith(_HOSTS) or address.has_label("github"))


def _subjects(address: Address) -> Sequence[Ref]:
    """The subjects that the page may be about, the likeliest first."""
    owner, separator, board_item = address.query.get("issue", "").partition("|")
    if separator:
        # A board can show an issue in a side panel. The address of the board then names the issue: `issue=acme|app|45`.
        name, _, number = board_item.partition("|")
        return _subjects_of(f"{owner}/{name}", ["issues", number])
    match address.path:
        case ["api", "v3", "repos", owner, name, *page] | ["repos", owner, name, *page]:
            return _subjects_of(f"{owner}/{name}", page)
        case [owner, name, *page]:
            return _subjects_of(f"{owner}/{name}", page)
        case _:
            return []


def _subjects_of(project: str, page: Sequence[str]) -> Sequence[Ref]:
    if not _PROJECT.fullmatch(project):
        return []
    match page:
        case ["issues", number, *_] if _NUMBER.fullmatch(number):
            return [item("github", project, int(number)), change("github", project, int(number))]
        case ["pull" | "pulls", number, "commits" | "changes", sha] if _NUMBER.fullmatch(number) and _is_hash(sha):
            return [commit(sha), change("github", project, int(number))]
        case ["pull" | "pulls", number, *_] if _NUMBER.fullmatch(number):
            return [change("github", project, int(number)), item("github", project, int(number))]
        case ["commit" | "commits", sha] if _is_hash(sha):
            return [commit(sha)]
        case ["tree" | "commits", *name] if name:
            # The branch may be any beginning of the path.
            return [branch(project, "/".join(name[:end])) for end in range(min(len(name), _MOST_SEGMENTS), 0, -1)]
        case _:
            return []


def _is_hash(text: str) -> bool:
    return _HASH.fullmatch(text) is not None


def _read_short(text: str) -> Claim:
    found = _SHORT.fullmatch(text)
    if not found:
        return Claim()
    project, sign, number = found[1], found[2], int(found[3])
    changed = change("github", project, number)
    return Claim((changed,) if sign == "!" else (item("github", project, number), changed))


REFERENCES = ReferenceGrammar(
    form=f"[^#!{BLANK}]+[#!][0-9]+",
    example="github:acme/app#45 or github:acme/app!7",
    addressed=_read_address,
    abbreviated=_read_short,
    page_example="https://github.com/acme/app/issues/45",
    short_examples=("acme/app#45", "acme/app!7"),
)
