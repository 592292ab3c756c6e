"""`explain` says of each event that counts whether another event outweighs it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.conclusion import classify
from service.lifecycle.events import (
    Active,
    Concluded,
    DeclarationChannel,
    Declared,
    LifecycleEvent,
    Proposed,
    Reopened,
    Shipped,
    Shown,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.experiment import fold
from service.lifecycle.fields import FieldName
from service.lifecycle.futility import futile_labels
from service.lifecycle.grounds import find_grounds
from service.lifecycle.outweighed import explain_outweighed
from service.lifecycle.references import Ref
from service.lifecycle.shown import key_of
from service.lifecycle.taxonomy import Outcome
from tests.support.builders import at

ROOT = Ref("github:acme/app#45")
CHANGE = Ref("github:acme/app!7")
IDEA = Proposed(ROOT, at(2))


def declared(field: FieldName, value: str, day: int, channel: DeclarationChannel = "comment") -> Declared:
    label = f"{field}:{value}" if channel == "label" else ""
    return Declared(ROOT, at(day), field, value, channel, label=label)


def withdrawn(event: Declared, day: int) -> Withdrawn:
    return Withdrawn(ROOT, at(day), event.field, event.value, event.channel, event.label)


def told(*own: LifecycleEvent, evidence: tuple[LifecycleEvent, ...] = ()) -> dict[LifecycleEvent, str]:
    """The events that are outweighed, each with the reason."""
    grounds = find_grounds([IDEA, *own], evidence)
    explain = explain_outweighed(grounds, classify(grounds.conclusion, grounds.declarations)[0])
    return {event: why for event in (IDEA, *own, *evidence) if (why := explain(event))}


START, AGAIN = Started(ROOT, at(3)), Started(CHANGE, at(4))
RUN, LATER_RUN = Signalled(CHANGE, at(5), "failure"), Signalled(CHANGE, at(6), "success")
ENDED, ENDED_AGAIN = Concluded(ROOT, at(7), Outcome.WORKED), Concluded(ROOT, at(8), Outcome.FAILED)


def test_the_events_that_decide_an_experiment_have_their_effect() -> None:
    shipped = Shipped(CHANGE, at(9))
    assert told(START, ENDED, Active(ROOT, at(3)), evidence=(RUN, shipped)) == {}


BEFORE = replace(ENDED, occurred_at=at(4))
TWICE = Proposed(ROOT, at(3))
AT_ONCE = Started(ROOT, at(2))
REOPENED, LEFT = Reopened(ROOT, at(8)), Reopened(ROOT, at(8), left="review")
SHIPPED, EARLY, SHIPPED_AGAIN = (Shipped(CHANGE, at(day)) for day in (8, 1, 9))


@pytest.mark.parametrize(
    ("own", "evidence", "outweighed", "why"),
    [
        ((START,), (AGAIN,), AGAIN, "it has been started since 2026-03-03T09:00:00Z"),
        ((AT_ONCE,), (AGAIN,), AT_ONCE, "a start at the moment of the proposal does not count"),
        ((TWICE,), (), TWICE, "it has been proposed since 2026-03-02T09:00:00Z"),
        ((START,), (RUN, LATER_RUN), LATER_RUN, "it has had its first result since 2026-03-05T09:00:00Z"),
        ((START, BEFORE), (RUN,), RUN, "it was concluded at 2026-03-04T09:00:00Z, before this result"),
        ((START, ENDED, ENDED_AGAIN), (), ENDED_AGAIN, "it has been concluded since 2026-03-07T09:00:00Z"),
        ((START, ENDED, REOPENED), (), ENDED, "it was reopened at 2026-03-08T09:00:00Z"),
        ((START, REOPENED), (), REOPENED, "it was open"),
        ((START, ENDED, LEFT), (), LEFT, "the status that it left was not final"),
        ((START,), (SHIPPED, SHIPPED_AGAIN), SHIPPED_AGAIN, "it has been shipped since 2026-03-08T09:00:00Z"),
        ((START,), (EARLY, SHIPPED), EARLY, "it is before the idea at 2026-03-02T09:00:00Z"),
    ],
)
def test_an_instant_that_another_one_outweighs_says_which(
    own: tuple[LifecycleEvent, ...], evidence: tuple[LifecycleEvent, ...], outweighed: LifecycleEvent, why: str
) -> None:
    assert told(*own, evidence=evidence) == {outweighed: why}


FAILED_LABEL = declared("outcome", "failed", 4, "label")


@pytest.mark.parametrize(
    ("own", "outweighed", "why"),
    [
        (
            (FAILED_LABEL, ENDED, declared("outcome", "worked", 7)),
            FAILED_LABEL,
            "worked, stated by comment at 2026-03-07T09:00:00Z, outweighs it",
        ),
        (
            (declared("team", "search", 3), declared("team", "ads", 4)),
            declared("team", "search", 3),
            "ads replaced it at 2026-03-04T09:00:00Z",
        ),
        (
            (declared("team", "search", 3), declared("team", "acme/app", 4, "derived")),
            declared("team", "acme/app", 4, "derived"),
            "search, stated by comment at 2026-03-03T09:00:00Z, outweighs it",
        ),
        (
            (FAILED_LABEL, withdrawn(FAILED_LABEL, 5)),
            FAILED_LABEL,
            "it was withdrawn at 2026-03-05T09:00:00Z",
        ),
        (
            (FAILED_LABEL, Shown(ROOT, at(6), labels=())),
            FAILED_LABEL,
            "it is absent from the labels as of 2026-03-06T09:00:00Z",
        ),
        (
            (withdrawn(FAILED_LABEL, 5),),
            withdrawn(FAILED_LABEL, 5),
            "nothing had stated the value, so there was nothing to withdraw",
        ),
        (
            (ENDED, declared("failure_category", "basic", 8, "label")),
            declared("failure_category", "basic", 8, "label"),
            "only a failed experiment has a category, and the outcome is worked",
        ),
        (
            (declared("outcome", "worked", 4), Concluded(ROOT, at(4)), Reopened(ROOT, at(5)), Concluded(ROOT, at(6))),
            declared("outcome", "worked", 4),
            "it was reopened at 2026-03-05T09:00:00Z",
        ),
    ],
)
def test_a_value_that_another_statement_outweighs_says_which(
    own: tuple[LifecycleEvent, ...], outweighed: LifecycleEvent, why: str
) -> None:
    assert told(START, *own)[outweighed] == why


def test_a_statement_of_the_value_in_force_is_not_outweighed() -> None:
    same = (declared("team", "search", 3), declared("team", "search", 4, "label"), declared("team", "search", 5))
    assert told(*same) == {}
    assert told(FAILED_LABEL) == {}, "it waits for the conclusion"


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (6, "label `outcome:worked`: it contradicts the label for failed, added at 2026-03-06T09:00:00Z, which counts"),
        (5, "label `outcome:worked`: it contradicts the label for failed, alphabetically the first of the same time"),
        (4, "label `outcome:failed`: it contradicts the label for worked, added at 2026-03-05T09:00:00Z, which counts"),
    ],
)
def test_one_of_two_contradicting_labels_counts_and_the_other_says_so(other: int, why: str) -> None:
    labels = [declared("outcome", "worked", 5, "label"), declared("outcome", "failed", other, "label")]
    own: list[LifecycleEvent] = [IDEA, *labels, ENDED]
    [(_, reason)] = futile_labels(find_grounds(own, ()), fold(ROOT, own, ()))
    assert reason.startswith(why)
    assert reason.endswith("remove the wrong one")


INSTANTS = st.sampled_from([at(day) for day in range(1, 6)])
LABELS = st.sampled_from([None, (), (key_of("outcome:worked"),)])
OUTCOMES = st.sampled_from([None, Outcome.WORKED, Outcome.FAILED])
STATUSES = st.sampled_from(["", "done", "closed"])
FIELDS: list[tuple[FieldName, tuple[str, ...]]] = [
    ("outcome", ("worked", "failed")),
    ("failure_category", ("basic", "complex")),
    ("team", ("ads", "search")),
]


@st.composite
def declarations(draw: st.DrawFn) -> LifecycleEvent:
    field, values = draw(st.sampled_from(FIELDS))
    channel: DeclarationChannel = draw(st.sampled_from(["label", "comment", "item", "derived"]))
    when, value = draw(INSTANTS), draw(st.sampled_from(values))
    label = f"{field}:{value}" if channel == "label" else ""
    if draw(st.booleans()):
        return Withdrawn(ROOT, when, field, value, channel, label)
    return Declared(ROOT, when, field, value, channel, label=label)


def instants(subject: Ref) -> st.SearchStrategy[LifecycleEvent]:
    return st.one_of(
        st.builds(Proposed, st.just(subject), INSTANTS),
        st.builds(Started, st.just(subject), INSTANTS),
        st.builds(Signalled, st.just(subject), INSTANTS, st.sampled_from(["success", "failure"])),
        st.builds(
            Concluded, st.just(subject), INSTANTS, st.sampled_from([None, *list(Outcome)[:2]]), st.booleans(), STATUSES
        ),
        st.builds(Reopened, st.just(subject), INSTANTS, st.booleans(), STATUSES),
        st.builds(Shipped, st.just(subject), INSTANTS),
        st.builds(Shown, st.just(subject), INSTANTS, LABELS, is_open=st.sampled_from([None, True, False])),
    )


_ENDS = ("it was reopened at", "it was withdrawn at", "it is absent from ", " replaced it at ")


OWN = st.lists(st.one_of(instants(ROOT), declarations()), min_size=1, max_size=12)


@given(OWN, st.lists(instants(CHANGE), max_size=4))
def test_an_experiment_is_the_same_without_an_event_that_another_one_outweighs(
    own: list[LifecycleEvent], evidence: list[LifecycleEvent]
) -> None:
    grounds = find_grounds(own, evidence)
    whole = fold(ROOT, own, evidence)
    explain = explain_outweighed(grounds, whole.outcome)
    for event in grounds.counted:
        # An event that another one ended had an effect until then.
        if (why := explain(event)) and not any(end in why for end in _ENDS):
            others = [one for one in own if one != event], [one for one in evidence if one != event]
            if not any(others):
                continue
            without = fold(ROOT, *others)
            assert replace(without, last_activity_at=whole.last_activity_at) == whole, (event, why)
