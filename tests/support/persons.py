"""Plant a person in payloads wherever providers name one, so that a test can search outputs for that person.

The names of repositories, projects, labels and branches stay as they are, and so do titles. Users choose these names
and titles for others to read, and recognise their experiments by them. The owner's name in the address of a project
stays too, even if the owner is a person: the owner connected the project to the service. The owner of a fork has not
connected it, so the name of a fork's owner is replaced.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

MARK = "zaphod"
"""A part of every planted name, address and account, in lower case."""

ACCOUNT = "zaphod-planted"
ADDRESS = "zaphod.planted@example.org"
NAME = "Zaphod Planted"
PERSON: Mapping[str, str] = {
    **dict.fromkeys(("login", "username", "key", "accountId"), ACCOUNT),
    **dict.fromkeys(("name", "displayName"), NAME),
    **dict.fromkeys(("email", "emailAddress"), ADDRESS),
    **dict.fromkeys(("url", "html_url", "avatar_url", "self"), f"https://example.org/{ACCOUNT}"),
}

_PLACES = re.compile(
    r"user|(last_|update)?author|committer|(triggering_)?actor|sender|pusher|owner|members?|assignees?|(re)?creator"
    r"|reporter|requested_reviewers?|reviewers?|canceler|culprits|merged_by|closed_by|created_by|updated_?by|reported_?by"
    r"|requestor|responder|participants|login|e-?mail(address)?|(display|user_?)name|account_?id|avatar_?urls?|gravatar_id"
    r"|(user|author|committer|commit_author|owner|actor|pusher|sender)_(name|email|login|username|avatar|avatar_url|url)",
    re.IGNORECASE,
)
_TEXTS = frozenset({"body", "message", "note", "description", "comment", "commit_message", "content", "text"})
_TRAILER = (
    f"\n\n/experiment thanks @{ACCOUNT}\ncc @{ACCOUNT} [~accountid:{ACCOUNT}]"
    f"\n\nCo-authored-by: {NAME} <{ADDRESS}>\nReviewed-by: @{ACCOUNT}"
)
_ADDED = ("user", "author", "sender", "assignee")
_ADDED_DOWN_TO = 4
_FORKS = frozenset({"head_repository", "forkee"})
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ].*")


def planted(payload: Any) -> Any:
    """Replace every person in a payload by the planted person.

    Also mention that person at the end of texts, and add fields with that person to objects in the payload's upper
    levels.
    """
    return _planted(payload, "", 0)


def marked(payload: Any, label: str = "experiment") -> Any:
    """Add a label, in the format of the provider, to every item and every change in a payload."""
    if isinstance(payload, list):
        return [marked(one, label) for one in payload]
    if not isinstance(payload, dict):
        return payload
    within = {key: marked(value, label) for key, value in payload.items()}
    for key in ("issue", "pull_request"):
        if isinstance(within.get(key), dict) and "number" in within[key]:
            within[key] = {**within[key], "labels": [*(within[key].get("labels") or ()), {"name": label}]}
    if "object_kind" in within:
        within["labels"] = [*(within.get("labels") or ()), {"title": label}]
    if isinstance(within.get("fields"), dict):
        within["fields"] = {**within["fields"], "labels": [*(within["fields"].get("labels") or ()), label]}
    return within


def unreadable(body: bytes) -> Iterator[bytes]:
    """Make unreadable bodies that contain the planted person in unexpected places."""
    at = body.index(ACCOUNT.encode())
    yield body[: at + 8]
    yield body[:at] + b"\xff" + body[at:]
    payload = json.loads(body)
    yield json.dumps(_instead(payload, of_times=False)).encode()
    yield json.dumps(_instead(payload, of_times=True)).encode()


def proven(proof: Mapping[str, str], user: str) -> Mapping[str, str]:
    """The headers that authenticate a delivery. With HTTP Basic, replace the user name by `user`."""
    if "authorization" not in proof:
        return proof
    _, _, secret = base64.b64decode(proof["authorization"].removeprefix("Basic ")).decode().partition(":")
    return {**proof, "authorization": "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()}


def _planted(value: Any, key: str, depth: int) -> Any:
    if _PLACES.fullmatch(key):
        return _person(value)
    match value:
        case str() if key in _TEXTS:
            return value + _TRAILER
        case list():
            return [_planted(one, "", depth + 1) for one in value]
        case dict():
            # Keep `from`, in which GitHub sends the former value of a field, such as the former name of a repository.
            # A former owner is replaced nevertheless, because `_PLACES` contains `owner`.
            within = {name: one if name == "from" else _planted(one, name, depth + 1) for name, one in value.items()}
            within = _of_a_fork(key, within)
            if within.get("field") in ("assignee", "reporter", "creator"):
                within |= dict.fromkeys(("from", "to"), ACCOUNT) | dict.fromkeys(("fromString", "toString"), NAME)
            added = dict.fromkeys(_ADDED, PERSON) if depth < _ADDED_DOWN_TO else {}
            return added | within
        case _:
            return value


def _person(value: Any) -> Any:
    """The planted person, in the form of the value that it replaces."""
    match value:
        case dict():
            return {**{key: one if key in ("id", "type") else _person(one) for key, one in value.items()}, **PERSON}
        case list():
            return [_person(one) for one in value] or [PERSON]
        case str() if "@" in value:
            return ADDRESS
        case str():
            return NAME if " " in value else ACCOUNT
        case None:
            return PERSON
        case _:
            return value


def _of_a_fork(key: str, value: dict[str, Any]) -> dict[str, Any]:
    """Make the planted person the owner of every fork that an object names."""
    if key == "head" and isinstance(value.get("repo"), dict):
        branch = str(value.get("label", "")).rpartition(":")[2]
        return {**value, "label": f"{ACCOUNT}:{branch}", "repo": _in_account(value["repo"])}
    if key in _FORKS or (key == "source" and ("path_with_namespace" in value or "web_url" in value)):
        return _in_account(value)
    if isinstance(value.get("origin_repository_url"), str):
        return {**value, "origin_repository_url": f"https://github.com/{ACCOUNT}/app"}
    return value


def _in_account(repository: Mapping[str, Any]) -> dict[str, Any]:
    path = str(repository.get("full_name") or repository.get("path_with_namespace") or "acme/app")
    owner = path.partition("/")[0]
    moved = {
        key: re.sub(rf"\b{re.escape(owner)}/", f"{ACCOUNT}/", value, flags=re.IGNORECASE)
        if isinstance(value, str)
        else value
        for key, value in repository.items()
    }
    return {**moved, "namespace": NAME, "fork": True, "owner": {**PERSON, "type": "User"}}


def _instead(value: Any, *, of_times: bool) -> Any:
    """Replace every number in a payload by the planted person's address, or every time if `of_times` is true."""
    match value:
        case list():
            return [_instead(one, of_times=of_times) for one in value]
        case dict():
            return {key: _instead(one, of_times=of_times) for key, one in value.items()}
        case str() if of_times and _TIME.fullmatch(value):
            return ADDRESS
        case int() if not of_times:
            return ADDRESS
        case _:
            return value
