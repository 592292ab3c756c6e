"""The stages of an experiment are durations. Impossible durations are omitted with a reason."""

from datetime import timedelta

from service.lifecycle.stages import Omission, durations, omissions
from service.lifecycle.taxonomy import Outcome
from tests.support.builders import at, experiment


def test_each_stage_lasts_from_its_first_to_its_second_instant() -> None:
    whole = experiment(
        idea_at=at(1),
        started_at=at(2),
        first_signal_at=at(4),
        concluded_at=at(7),
        shared_at=at(11),
        shipped_at=at(16),
    )
    assert durations(whole) == {
        "idea_to_answer": timedelta(days=6),
        "idea_to_start": timedelta(days=1),
        "start_to_signal": timedelta(days=2),
        "signal_to_answer": timedelta(days=3),
        "answer_to_shared": timedelta(days=4),
        "signal_to_shipped": timedelta(days=12),
    }
    assert omissions(whole, at(20)) == []


def test_a_stage_is_missing_if_one_of_its_two_instants_is_missing() -> None:
    assert durations(experiment(idea_at=at(1))) == {}
    assert durations(experiment(idea_at=at(1), started_at=at(1))) == {"idea_to_start": timedelta(0)}


def test_an_abandoned_experiment_has_no_stage_that_ends_in_an_answer() -> None:
    abandoned = experiment(idea_at=at(1), first_signal_at=at(2), concluded_at=at(3), outcome=Outcome.ABANDONED)
    assert durations(abandoned) == {}


def test_a_negative_stage_is_omitted_with_the_reason_and_the_other_stages_are_kept() -> None:
    odd = experiment(idea_at=at(5), started_at=at(3), concluded_at=at(7), shared_at=at(6))
    assert durations(odd) == {"idea_to_answer": timedelta(days=2)}
    assert omissions(odd, at(20)) == [
        Omission("negative_duration", "idea_to_start"),
        Omission("negative_duration", "answer_to_shared"),
    ]


def test_an_experiment_with_a_future_instant_is_omitted() -> None:
    ahead = experiment(idea_at=at(5), started_at=at(3), concluded_at=at(7))
    assert omissions(ahead, at(6)) == [Omission("future", None)]
    assert omissions(ahead, at(7)) == [Omission("negative_duration", "idea_to_start")]
