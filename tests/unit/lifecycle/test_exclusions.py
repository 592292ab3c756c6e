"""Metrics exclude an experiment that lost its mark, and an experiment for which a reason for exclusion is declared."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.events import Declaration, DeclarationChannel, Declared, LifecycleEvent, Proposed, Withdrawn
from service.lifecycle.exclusions import Exclusion, find_exclusion
from service.lifecycle.experiment import is_marked
from service.lifecycle.references import Ref
from tests.support.builders import at

ITEM = Ref("github:acme/app#45")


def marked(when: datetime, channel: DeclarationChannel = "label", *, overheard: bool = False) -> Declared:
    return Declared(ITEM, when, "experiment", "true", channel, overheard)


def unmarked(when: datetime, channel: DeclarationChannel = "label") -> Withdrawn:
    return Withdrawn(ITEM, when, "experiment", "true", channel)


def stated(reason: str, when: datetime) -> Declared:
    return Declared(ITEM, when, "excluded", reason, "item")


def taken_back(reason: str, when: datetime) -> Withdrawn:
    return Withdrawn(ITEM, when, "excluded", reason, "item")


@pytest.mark.parametrize(
    "own",
    [
        [Proposed(ITEM, at(2))],
        [marked(at(2))],
        [marked(at(2)), unmarked(at(3)), marked(at(4))],
        [marked(at(2)), stated("duplicate", at(3)), taken_back("duplicate", at(4))],
        [stated("duplicate", at(3))],
        [unmarked(at(3))],
        [marked(at(2)), marked(at(2), "type"), unmarked(at(3))],
        [marked(at(2), "branch"), unmarked(at(3), "branch")],
        [marked(at(2), "branch"), unmarked(at(3), "branch"), stated("deleted", at(4))],
        [marked(at(2)), unmarked(at(3)), marked(at(2), "branch"), unmarked(at(3), "branch")],
    ],
)
def test_an_experiment_a_subject_that_never_was_one_and_a_branch_replaced_by_a_pull_request_are_not_excluded(
    own: list[LifecycleEvent],
) -> None:
    assert find_exclusion(own) is None


@pytest.mark.parametrize(
    ("own", "why"),
    [
        ([marked(at(2)), unmarked(at(3))], Exclusion("unmarked", at(3))),
        ([marked(at(2)), unmarked(at(3)), marked(at(4)), unmarked(at(5))], Exclusion("unmarked", at(5))),
        ([marked(at(2)), unmarked(at(3)), unmarked(at(5))], Exclusion("unmarked", at(3))),
        (
            [marked(at(2)), unmarked(at(3)), marked(at(2), "type"), unmarked(at(4), "type")],
            Exclusion("unmarked", at(4)),
        ),
        ([marked(at(2), overheard=True), unmarked(at(2))], Exclusion("unmarked", at(2))),
        (
            [marked(at(2), "branch"), unmarked(at(3), "branch"), marked(at(2)), unmarked(at(4))],
            Exclusion("unmarked", at(4)),
        ),
        ([marked(at(2)), stated("duplicate", at(3))], Exclusion("duplicate", at(3))),
        ([marked(at(2)), stated("duplicate", at(3)), stated("duplicate", at(5))], Exclusion("duplicate", at(3))),
        (
            [
                marked(at(2)),
                stated("duplicate", at(3)),
                taken_back("duplicate", at(4)),
                stated("duplicate", at(5)),
            ],
            Exclusion("duplicate", at(5)),
        ),
        ([marked(at(2)), stated("duplicate", at(3)), stated("deleted", at(4))], Exclusion("deleted", at(4))),
        ([marked(at(2)), stated("duplicate", at(3)), unmarked(at(4))], Exclusion("unmarked", at(4))),
    ],
)
def test_an_exclusion_begins_when_the_mark_is_removed_or_when_the_reason_is_first_declared(
    own: list[LifecycleEvent], why: Exclusion
) -> None:
    assert find_exclusion(own) == why


CHANNELS: list[DeclarationChannel] = ["label", "branch", "type"]
declarations: st.SearchStrategy[Declaration] = st.one_of(
    st.builds(marked, st.integers(2, 5).map(at), st.sampled_from(CHANNELS), overheard=st.booleans()),
    st.builds(unmarked, st.integers(2, 5).map(at), st.sampled_from(CHANNELS)),
    st.builds(stated, st.sampled_from(["duplicate", "deleted"]), st.integers(2, 5).map(at)),
    st.builds(taken_back, st.sampled_from(["duplicate", "deleted"]), st.integers(2, 5).map(at)),
)


@given(st.data(), st.lists(declarations, max_size=10))
def test_an_experiment_is_never_excluded_and_the_order_of_events_does_not_change_an_exclusion(
    data: st.DataObject, own: list[Declaration]
) -> None:
    assert find_exclusion(data.draw(st.permutations([*own, *own[:2]]))) == find_exclusion(own)
    assert not (is_marked(own) and find_exclusion(own))
