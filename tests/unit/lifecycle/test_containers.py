"""A deleted or archived project or group excludes what was in it."""

from datetime import datetime

import pytest

from service.lifecycle.containers import containers_of, end_of, find_end, is_container
from service.lifecycle.events import Declared, LifecycleEvent, Withdrawn
from service.lifecycle.exclusions import Exclusion
from service.lifecycle.references import Ref
from tests.support.builders import at

GONE = Ref("github:acme/gone")


def declared(value: str, when: datetime) -> Declared:
    return Declared(GONE, when, "excluded", value, "item")


def withdrawn(value: str, when: datetime) -> Withdrawn:
    return Withdrawn(GONE, when, "excluded", value, "item")


@pytest.mark.parametrize(
    "name",
    ["github:acme/app", "branch:acme/app", "gitlab:acme", "gitlab:acme/tools/app", "jira:ML", "github:{github.com/1}"],
)
def test_a_project_or_a_group_is_a_container(name: str) -> None:
    assert is_container(Ref(name))


@pytest.mark.parametrize("name", ["github:acme/app#45", "github:acme/app!7", "branch:acme/app@exp/a", "jira:ML-12"])
def test_an_item_a_change_or_a_branch_contains_nothing(name: str) -> None:
    assert not is_container(Ref(name))


@pytest.mark.parametrize("name", ["key:cache-answers", "key:a/b#1", "run:acme/7", f"commit:{'a' * 40}"])
def test_a_name_without_a_project_is_no_container_and_is_in_none(name: str) -> None:
    assert not is_container(Ref(name))
    assert list(containers_of(Ref(name))) == []


@pytest.mark.parametrize(
    ("subject", "containers"),
    [
        ("github:acme/app#45", ["github:acme/app", "github:acme"]),
        ("gitlab:acme/tools/app!7", ["gitlab:acme/tools/app", "gitlab:acme/tools", "gitlab:acme"]),
        ("branch:acme/app@exp/a/b", ["branch:acme/app", "branch:acme"]),
        ("jira:ML-12", ["jira:ML"]),
        ("github:acme/app~ghe.acme.com#45", ["github:acme/app~ghe.acme.com", "github:acme"]),
    ],
)
def test_a_subject_is_in_its_project_and_in_the_groups_of_its_project(subject: str, containers: list[str]) -> None:
    assert list(containers_of(Ref(subject))) == containers


@pytest.mark.parametrize(
    ("own", "end"),
    [
        ([], None),
        ([declared("deleted", at(5))], Exclusion("deleted", at(5))),
        ([declared("deleted", at(5)), declared("deleted", at(6))], Exclusion("deleted", at(5))),
        ([declared("deleted", at(5)), withdrawn("deleted", at(6))], None),
        ([withdrawn("deleted", at(4)), declared("deleted", at(5))], Exclusion("deleted", at(5))),
        ([declared("archived", at(5)), declared("deleted", at(5))], Exclusion("deleted", at(5))),
        ([declared("deleted", at(5)), declared("archived", at(6))], Exclusion("deleted", at(5))),
        (
            [declared("archived", at(5)), declared("deleted", at(6)), withdrawn("deleted", at(7))],
            Exclusion("archived", at(5)),
        ),
        (
            [declared("archived", at(5)), withdrawn("archived", at(6)), declared("deleted", at(7))],
            Exclusion("deleted", at(7)),
        ),
        ([declared("archived", at(5)), withdrawn("deleted", at(6))], Exclusion("archived", at(5))),
    ],
)
def test_a_container_ends_until_its_end_is_taken_back(own: list[LifecycleEvent], end: Exclusion | None) -> None:
    assert find_end(own) == find_end(own[::-1]) == end


def test_a_deletion_counts_before_an_archiving_and_a_project_before_its_group() -> None:
    item, group = Ref("github:acme/gone#9"), Ref("github:acme")
    archived, deleted, later = Exclusion("archived", at(4)), Exclusion("deleted", at(5)), Exclusion("deleted", at(6))
    assert end_of(item, {}) is None
    assert end_of(item, {GONE: archived}) == archived
    assert end_of(item, {GONE: archived, group: deleted}) == deleted
    assert end_of(item, {GONE: later, group: deleted}) == later
    assert end_of(Ref("github:acme/gone-too#9"), {GONE: deleted}) is None
