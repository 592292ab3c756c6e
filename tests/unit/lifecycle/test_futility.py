"""A command that changes nothing is explained from all events that are known, whatever their order."""

from collections.abc import Sequence
from itertools import permutations

import pytest

from service.lifecycle.events import (
    Active,
    Concluded,
    Declared,
    LifecycleEvent,
    Proposed,
    Refused,
    Reopened,
    Shipped,
    Signalled,
    Started,
)
from service.lifecycle.experiment import Experiment, fold
from service.lifecycle.futility import Fold, Keep, find_futility, is_relevant, standing_refusals
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import Outcome
from tests.support.builders import at

ITEM = Ref("github:acme/app#45")
IDEA = Proposed(ITEM, at(2))


def start(day: int) -> Started:
    return Started(ITEM, at(day), commanded=True)


def conclusion(day: int, outcome: Outcome, category: str = "") -> list[LifecycleEvent]:
    stated: list[LifecycleEvent] = [
        Concluded(ITEM, at(day), outcome, commanded=True),
        Declared(ITEM, at(day), "outcome", outcome, "comment"),
    ]
    return [*stated, *classification(day, category)] if category else stated


def classification(day: int, category: str) -> list[LifecycleEvent]:
    return [Declared(ITEM, at(day), "failure_category", category, "comment")]


def reopening(day: int) -> Reopened:
    return Reopened(ITEM, at(day), commanded=True)


def reasons(stated: Sequence[LifecycleEvent], *others: LifecycleEvent) -> list[str]:
    every = [IDEA, *NOISE, *others, *stated]
    relevant = list(filter(is_relevant, every))
    assert not set(relevant) & {*NOISE}
    found = find_futility(stated, relevant, folding(relevant))
    assert found == find_futility(stated, every, folding(every))
    return found


def folding(events: Sequence[LifecycleEvent]) -> Fold:
    def folded(keep: Keep) -> Experiment | None:
        kept = list(filter(keep, events))
        return fold(ITEM, kept, []) if kept else None

    return folded


NOISE: Sequence[LifecycleEvent] = [
    Active(ITEM, at(3)),
    Declared(ITEM, at(2), "experiment", "true", "label"),
    Declared(ITEM, at(2), "title", "Cache", "item"),
    Refused(ITEM, at(4), "comment", "why"),
]


FAILED = conclusion(5, Outcome.FAILED)
WORKED = conclusion(5, Outcome.WORKED)


@pytest.mark.parametrize(
    ("stated", "others"),
    [
        ([start(3)], []),
        ([start(3)], [start(4)]),
        ([start(3)], WORKED),
        ([start(7)], [*WORKED, reopening(6)]),
        ([start(5), *WORKED], []),
        (WORKED, []),
        (conclusion(1, Outcome.WORKED), []),
        (WORKED, conclusion(4, Outcome.FAILED)),
        (FAILED, [Concluded(ITEM, at(4), None)]),
        (FAILED, [Concluded(ITEM, at(6), None)]),
        (conclusion(5, Outcome.FAILED, "basic"), conclusion(4, Outcome.FAILED)),
        ([reopening(6)], WORKED),
        ([reopening(6)], [*WORKED, *conclusion(7, Outcome.WORKED)]),
        (classification(6, "basic"), FAILED),
        (classification(4, "basic"), FAILED),
        (classification(4, "basic"), []),
        (classification(4, "basic"), [Concluded(ITEM, at(6), None)]),
        (classification(6, "basic"), [*FAILED, reopening(7), *conclusion(8, Outcome.WORKED)]),
        ([Signalled(ITEM, at(3), "success")], []),
        ([Signalled(ITEM, at(3), "success")], [Signalled(ITEM, at(4), "success")]),
        ([Shipped(ITEM, at(6))], [Shipped(ITEM, at(7))]),
        ([Declared(ITEM, at(6), "team", "search", "comment")], [Declared(ITEM, at(5), "team", "search", "label")]),
    ],
)
def test_a_command_with_an_effect_has_no_reason(
    stated: Sequence[LifecycleEvent], others: Sequence[LifecycleEvent]
) -> None:
    assert reasons(stated, *others) == []


@pytest.mark.parametrize(
    ("stated", "others", "why"),
    [
        ([start(4)], [Started(ITEM, at(3))], "it has been started since 2026-03-03T09:00:00Z"),
        (
            [start(6)],
            WORKED,
            "it was concluded at 2026-03-05T09:00:00Z, and a start does not reopen it; reopen it first",
        ),
        ([start(2)], [], "a start at the moment of the proposal does not count"),
        (
            conclusion(6, Outcome.WORKED),
            WORKED,
            "it has been concluded as worked since 2026-03-05T09:00:00Z",
        ),
        (
            conclusion(6, Outcome.FAILED, "basic"),
            conclusion(5, Outcome.FAILED, "basic"),
            "it has been concluded as failed basic since 2026-03-05T09:00:00Z",
        ),
        (
            [Shipped(ITEM, at(1))],
            [],
            "it is dated 2026-03-01T09:00:00Z, before the idea at 2026-03-02T09:00:00Z",
        ),
        ([reopening(4)], [], "it was open, so there was nothing to reopen"),
        ([reopening(4)], WORKED, "it was open, so there was nothing to reopen"),
        (
            classification(6, "basic"),
            WORKED,
            (
                "only a failed experiment has a category, and the outcome is worked; if it failed, comment /experiment "
                "conclude failed basic"
            ),
        ),
        (
            [Signalled(ITEM, at(4), "success")],
            [Signalled(ITEM, at(3), "failure")],
            "it has had its first result since 2026-03-03T09:00:00Z",
        ),
        (
            [Signalled(ITEM, at(6), "success")],
            [start(3), *WORKED],
            "it was concluded at 2026-03-05T09:00:00Z, before this result",
        ),
        ([Shipped(ITEM, at(7))], [Shipped(ITEM, at(6))], "it has been shipped since 2026-03-06T09:00:00Z"),
    ],
)
def test_a_command_without_effect_has_its_reason(
    stated: Sequence[LifecycleEvent], others: Sequence[LifecycleEvent], why: str
) -> None:
    assert reasons(stated, *others) == [why]
    for some in permutations(others[:3]):
        assert reasons(stated, *some, *others[3:]) == [why]


WRONG = Refused(ITEM, at(3), "comment", "unknown command")


def label(day: int, *, overheard: bool = False, removed: bool = False) -> Refused:
    return Refused(ITEM, at(day), "label", "expected bold or safe", overheard, "risk:blod", removed)


@pytest.mark.parametrize(
    ("events", "standing"),
    [
        ([IDEA], []),
        ([WRONG], [WRONG]),
        ([label(3), WRONG], [label(3), WRONG]),
        ([label(4), label(3)], [label(3)]),
        ([label(3, overheard=True), label(4, overheard=True)], [label(3, overheard=True)]),
        ([label(2, overheard=True), label(3)], [label(3)]),
        ([label(3), label(4, removed=True)], []),
        ([label(3), label(4, removed=True), label(5)], [label(5)]),
        ([label(3), label(4, removed=True), label(5, overheard=True)], []),
        ([label(3, overheard=True), label(4, removed=True)], []),
        ([label(3, removed=True), label(3)], [label(3)]),
    ],
)
def test_a_refused_label_stands_until_it_is_removed_and_a_refused_command_for_good(
    events: Sequence[LifecycleEvent], standing: Sequence[Refused]
) -> None:
    for some in permutations(events):
        assert standing_refusals(some) == standing
