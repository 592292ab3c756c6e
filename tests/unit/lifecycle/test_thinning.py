"""Thinning keeps the events of a busy subject that decide its experiment."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from service.lifecycle.events import (
    Active,
    Concluded,
    Declared,
    LifecycleEvent,
    Proposed,
    Reopened,
    Shown,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.exclusions import find_exclusion
from service.lifecycle.experiment import fold
from service.lifecycle.references import Ref
from service.lifecycle.shown import key_of
from service.lifecycle.thinning import MOST_UNTHINNED, thin
from tests.support.builders import at

ROOT = Ref("jira:ML-12")


def _minutes(number: int) -> list[datetime]:
    return [at(2) + timedelta(minutes=minute) for minute in range(number)]


def _stated(times: Sequence[datetime]) -> list[LifecycleEvent]:
    """The events of an issue whose deliveries repeat its label, team and title. The title changes twice a day."""
    events: list[LifecycleEvent] = [Proposed(ROOT, at(2))]
    for at_ in times:
        events += [
            Declared(ROOT, at_, "experiment", "true", "label", overheard=True, label="experiment"),
            Declared(ROOT, at_, "team", "search", "derived"),
            Declared(ROOT, at_, "title", f"Title in the {at_:%p} of {at_:%d}", "item"),
            Signalled(ROOT, at_, "success"),
        ]
    return events


def test_a_series_of_up_to_a_hundred_events_stays_complete() -> None:
    events = _stated(_minutes(MOST_UNTHINNED))
    assert set(thin(events)) == set(events)


def test_ten_thousand_events_that_say_the_same_become_a_few_hundred_and_give_the_same_experiment() -> None:
    events = _stated(_minutes(10_000))
    thinned = thin(events)
    assert len(thinned) < 500
    assert fold(ROOT, thinned, []) == fold(ROOT, events, [])


def test_a_label_that_was_added_once_among_thousands_of_repetitions_stays() -> None:
    named = Declared(ROOT, at(4), "risk", "bold", "label", label="bold")
    events = [*_stated(_minutes(5000)), named]
    assert fold(ROOT, thin(events), []).risk == "bold"


def test_an_experiment_that_is_closed_and_reopened_thousands_of_times_keeps_its_last_state() -> None:
    toggles: list[LifecycleEvent] = [Proposed(ROOT, at(2))]
    for number, time in enumerate(_minutes(5000)):
        toggles.append(Reopened(ROOT, time) if number % 2 else Concluded(ROOT, time))
    for events in (toggles, toggles[:-1]):
        assert fold(ROOT, thin(events), []) == fold(ROOT, events, [])


def _labelled(time: datetime, *labels: str) -> Shown:
    return Shown(ROOT, time, tuple(map(key_of, labels)), is_open=True)


def test_a_busy_subject_loses_its_label_on_the_day_of_the_first_state_without_it() -> None:
    marked = [event for event in _stated(_minutes(5000)) if event.occurred_at < at(4)]
    states = [_labelled(time, *(["experiment"] if time < at(4) else [])) for time in _minutes(5000)]
    thinned = thin([*marked, *states])
    assert len(thinned) < 700
    exclusion = find_exclusion(thinned)
    assert exclusion is not None
    assert (exclusion.reason, exclusion.since.date()) == ("unmarked", at(4).date())


def test_a_busy_subject_keeps_a_state_with_labels_among_thousands_that_do_not_tell_the_labels() -> None:
    silent = [Shown(ROOT, time, is_open=True) for time in _minutes(5000)]
    told = _labelled(_minutes(2500)[-1], "bug")
    assert told in thin([*silent, told])


def test_states_of_a_busy_subject_are_thinned_although_their_labels_change() -> None:
    assert len(thin([_labelled(time, f"label {number}") for number, time in enumerate(_minutes(5000))])) < 120


SOME = st.lists(
    st.builds(
        lambda minute, make: make(at(2) + timedelta(minutes=minute * 7)),
        st.integers(0, 2000),
        st.sampled_from(
            [
                lambda when: Signalled(ROOT, when, "success"),
                lambda when: Started(ROOT, when),
                lambda when: Active(ROOT, when),
                lambda when: Declared(ROOT, when, "title", f"of {when:%H}", "item"),
                lambda when: Declared(ROOT, when, "experiment", "true", "label", label="experiment"),
                lambda when: Withdrawn(ROOT, when, "experiment", "true", "label", label="experiment"),
                lambda when: Shown(ROOT, when, (f"{when:%H}",), is_open=True),
                lambda when: Shown(ROOT, when, is_open=False, status=f"{when:%M}"),
            ]
        ),
    ),
    min_size=500,
    max_size=900,
    unique=True,
)


@given(SOME, st.integers(0, 900))
@settings(max_examples=20)
def test_thinning_at_any_time_gives_the_same_events_as_thinning_at_the_end(
    events: list[LifecycleEvent], first: int
) -> None:
    early = thin(events[:first])
    assert set(thin([*early, *events[first:]])) == set(thin(events))
