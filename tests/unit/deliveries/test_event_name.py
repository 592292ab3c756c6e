"""Deliveries are listed with the names that providers give their events. Any document has such a name, or none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.event_name import EventName

_GITHUB = EventName(header="x-github-event", action=("action",))
_GITLAB = EventName(header="x-gitlab-event", action=("object_attributes", "action"))
_JIRA = EventName(name=("webhookEvent",))


@pytest.mark.parametrize(
    ("where", "headers", "document", "name"),
    [
        (_GITHUB, {"x-github-event": "issues"}, b'{"action": "opened"}', "issues opened"),
        (_GITHUB, {"x-github-event": "push"}, b'{"ref": "refs/heads/main"}', "push"),
        (_GITHUB, {"x-github-event": "issues"}, b"", "issues"),
        (_GITHUB, {"x-github-event": "issues"}, b'{"action": 7}', "issues"),
        (_GITHUB, {"x-github-event": "issues"}, b'{"action"', "issues"),
        (_GITHUB, {}, b"[]", ""),
        (_GITLAB, {"x-gitlab-event": "Issue Hook"}, b'{"object_attributes": {"action": "open"}}', "Issue Hook open"),
        (_GITLAB, {"x-gitlab-event": "Issue Hook"}, b'{"object_attributes": null}', "Issue Hook"),
        (_JIRA, {}, b'{"webhookEvent": "jira:issue_updated"}', "jira:issue_updated"),
        (_JIRA, {}, b'{"webhookEvent": "a\\u001b[31m"}', "a[31m"),
        (_JIRA, {}, b'{"webhookEvent": "' + b"a" * 200 + b'"}', "a" * 100),
    ],
)
def test_the_name_of_an_event_comes_from_a_header_or_the_document(
    where: EventName, headers: dict[str, str], document: bytes, name: str
) -> None:
    assert where.read(headers, document) == name


@given(st.binary())
def test_any_document_has_a_name_or_none(document: bytes) -> None:
    assert isinstance(_GITLAB.read({}, document), str)


def test_a_deeply_nested_document_has_no_name() -> None:
    assert _GITLAB.read({}, b'{"object_attributes":' + b"[" * 100_000) == ""
