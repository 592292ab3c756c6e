"""References to issues and merge requests, the addresses of their pages, and short forms such as `acme/app#45`."""

import base64
import binascii
import re
from collections.abc import Sequence

import msgspec

from service.lifecycle.addresses import BLANK, Address
from service.lifecycle.references import Claim, Ref, ReferenceGrammar, branch, change, claim, commit, item

_SHORT = re.compile(r"([\w.-]+(?:/[\w.-]+)+)([#!])([0-9]{1,18})")
_NUMBER = re.compile("[0-9]{1,18}")
_HASH = re.compile("[0-9A-Fa-f]{7,64}")
_KINDS = frozenset({"issues", "work_items", "merge_requests", "commit", "commits", "tree"})
_HOSTED = "gitlab.com"
# The usual relative URL root of an instance that shares its host with other services: `https://host/gitlab/acme/app`.
_ROOT = "gitlab"
# A project is in at least one group, and GitLab allows 20 levels of groups.
_LEAST_SEGMENTS = 2
_MOST_SEGMENTS = 22


class _Shown(msgspec.Struct):
    """The issue that a list of issues shows in a panel at its side."""

    iid: str | int
    full_path: str


def _read_address(address: Address) -> Claim:
    path = address.path[: 2 * _MOST_SEGMENTS]
    if shown := _shown(address.query.get("show", "")):
        return Claim((shown,), certain=True)
    pages = [_read_page(each) for each in _below_root(address.host, path)]
    subjects = dict.fromkeys(subject for subjects, _ in pages for subject in subjects)
    return claim([*subjects], certain=address.has_label(_ROOT) or any(certain for _, certain in pages))


def _below_root(host: str, path: tuple[str, ...]) -> Sequence[tuple[str, ...]]:
    """The paths that an address may have below the URL of its instance, the likeliest first."""
    if host == _HOSTED or not path:
        return [path]
    if path[0] == _ROOT:
        return [path[1:], path]
    return [path, path[1:]] if "-" in path else [path]


def _read_page(path: tuple[str, ...]) -> tuple[Sequence[Ref], bool]:
    """The subjects that a page may be about, and whether only GitLab has such pages."""
    match path:
        case ["api", "v4", "projects", project, *page] if "/" in project:
            return _subjects(project, page), True
        case ["groups", *_] | [_, "-", *_]:
            # The page belongs to a group.
            return [], False
        case _ if "-" in path[_LEAST_SEGMENTS:]:
            place = path.index("-", _LEAST_SEGMENTS)
            return _subjects("/".join(path[:place]), path[place + 1 :]), True
        case _:
            # Before GitLab 13, addresses had no `-`. GitLab redirects such addresses.
            places = (place for place, name in enumerate(path) if place >= _LEAST_SEGMENTS and name in _KINDS)
            place = next(places, len(path))
            return _subjects("/".join(path[:place]), path[place:]), False


def _shown(parameter: str) -> Ref | None:
    """The issue that a list of issues shows in a panel at its side: JSON in base64, in a parameter of the address."""
    try:
        padded = parameter + "=" * (-len(parameter) % 4)
        shown = msgspec.json.decode(base64.b64decode(padded, validate=True), type=_Shown)
    except (binascii.Error, ValueError, msgspec.DecodeError, RecursionError):
        return None
    number = str(shown.iid)
    return item("gitlab", shown.full_path, int(number)) if _NUMBER.fullmatch(number) else None


def _subjects(project: str, page: Sequence[str]) -> Sequence[Ref]:
    """The subjects that the page may be about, the likeliest first."""
    match page:
        case ["issues", "incident", number, *_] | ["issues" | "work_items", number, *_] if _NUMBER.fullmatch(number):
            return [item("gitlab", project, int(number))]
        case ["merge_requests", number, *_] if _NUMBER.fullmatch(number):
            return [change("gitlab", project, int(number))]
        case ["commit" | "commits", sha] if _HASH.fullmatch(sha):
            return [commit(sha)]
        case ["tree" | "commits", *name] if name:
            # The branch may be any beginning of the path.
            return [branch(project, "/".join(name[:end])) for end in range(min(len(name), _MOST_SEGMENTS), 0, -1)]
        case _:
            return []


def _read_short(text: str) -> Claim:
    found = _SHORT.fullmatch(text)
    if not found:
        return Claim()
    kind = item if found[2] == "#" else change
    return Claim((kind("gitlab", found[1], int(found[3])),))


REFERENCES = ReferenceGrammar(
    form=f"[^#!{BLANK}]+[#!][0-9]+",
    example="gitlab:acme/app#45 or gitlab:acme/app!7",
    addressed=_read_address,
    abbreviated=_read_short,
    page_example="https://gitlab.com/acme/app/-/issues/45",
    short_examples=("acme/app#45", "acme/app!7"),
)
