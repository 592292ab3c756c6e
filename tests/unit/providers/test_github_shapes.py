"""A signed body of one event of GitHub cannot be sent again as another event, because each event has its own shape."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from service.deliveries.delivery import UnreadableDelivery
from service.deliveries.observation import Nothing
from service.providers.github import EVENTS, GitHub
from service.providers.github.shapes import SHAPES, decode_event
from tests.support.builders import GitHubRequest, Issue, PullRequest, at
from tests.support.paths import CORPUS, REPOSITORY

_GITEA = REPOSITORY.parent / "shared" / "gitea"


def copied_as(event: str, request: GitHubRequest) -> GitHubRequest:
    return GitHubRequest(event, request.body, request.delivery_id)


def deleted_comment() -> GitHubRequest:
    request = Issue(created_at=at(1)).commented("no", at(2))
    return GitHubRequest("issue_comment", json.dumps({**json.loads(request.body), "action": "deleted"}).encode(), "1")


def deleted_review_comment() -> GitHubRequest:
    pull = json.loads(PullRequest(created_at=at(1)).opened().body)
    body = {**pull, "action": "deleted", "comment": {"id": 1, "body": "no"}}
    return GitHubRequest("pull_request_review_comment", json.dumps(body).encode(), "1")


def observe(request: GitHubRequest) -> object:
    return GitHub().observe(request.delivery(at(3)))


@pytest.mark.parametrize(
    ("request_", "event", "foreign"),
    [
        (deleted_comment(), "issues", "comment"),
        (deleted_review_comment(), "pull_request", "comment"),
        (Issue(created_at=at(1)).opened(), "repository", "issue"),
        (PullRequest(created_at=at(1)).opened(), "repository", "pull_request"),
    ],
)
def test_a_signed_body_is_unreadable_under_the_name_of_another_event(
    request_: GitHubRequest, event: str, foreign: str
) -> None:
    with pytest.raises(
        UnreadableDelivery, match=f"the body has `{foreign}`, so it is not the body of the event `{event}`"
    ):
        observe(copied_as(event, request_))


@pytest.mark.parametrize("foreign", ["starred_at", "client_payload", "a_member_of_a_later_version"])
def test_a_body_with_any_other_member_deletes_no_repository(foreign: str) -> None:
    deleted = {"action": "deleted", "repository": {"full_name": "acme/app", "updated_at": "2026-03-01T09:00:00Z"}}
    assert not isinstance(observe(GitHubRequest("repository", json.dumps(deleted).encode(), "1")), Nothing)
    with pytest.raises(UnreadableDelivery, match=f"the body has `{foreign}`, so it is not the body of the event"):
        observe(GitHubRequest("repository", json.dumps({**deleted, foreign: None}).encode(), "1"))


def test_every_event_that_is_read_has_a_shape() -> None:
    assert SHAPES.keys() == EVENTS.keys()


def test_an_empty_member_of_another_event_makes_no_difference() -> None:
    body = json.dumps({**json.loads(Issue(created_at=at(1)).opened().body), "pull_request": None})
    decode_event("issues", body.encode(), msgspec.Struct)


def published() -> Iterator[tuple[str, str, bytes]]:
    """The event, the file and the body of every payload of GitHub and Gitea that is kept beside the repository."""
    if CORPUS.is_dir():
        for entry in json.loads((CORPUS / "INDEX.json").read_bytes()):
            event = entry["headers"].get("X-GitHub-Event", "").removesuffix(".json")
            if entry["provider"] == "github" and event:
                yield event, entry["file"], (CORPUS / entry["file"]).read_bytes()
    for path in sorted(_GITEA.glob("*.json")):
        kept: Mapping[str, Any] = json.loads(path.read_bytes())
        if kept["body_text"].startswith("{"):
            yield kept["headers"]["X-GitHub-Event"], path.name, kept["body_text"].encode()


PUBLISHED = list(published())
UNPUBLISHED = {"merge_group", "sub_issues"}
"""The events of which no published payload is kept beside the repository."""
needs_corpus = pytest.mark.skipif(not PUBLISHED, reason="the published payloads are kept beside the repository")


@needs_corpus
@pytest.mark.parametrize("event", EVENTS)
def test_every_published_body_has_the_shape_of_its_own_event(event: str) -> None:
    bodies = [(name, body) for named, name, body in PUBLISHED if named == event]
    assert bodies or event in UNPUBLISHED
    for _, body in bodies:
        decode_event(event, body, msgspec.Struct)


@needs_corpus
@pytest.mark.parametrize("event", EVENTS)
def test_no_published_body_says_anything_under_the_name_of_another_event(event: str) -> None:
    said: dict[str, list[str]] = defaultdict(list)
    for named, name, body in PUBLISHED:
        if named != event:
            try:
                if not isinstance(observe(GitHubRequest(event, body, "1")), Nothing):
                    said[named].append(name)
            except UnreadableDelivery:
                pass
    assert not said
