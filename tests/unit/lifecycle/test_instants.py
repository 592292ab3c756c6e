"""`Experiment.instants`, `as_of` and the query of the latest instant know every instant of an experiment."""

import pytest

from service.lifecycle.history import as_of
from service.storage.tables import LATEST_INSTANT
from tests.support.builders import at, experiment
from tests.support.experiments import INSTANTS, with_instant


@pytest.mark.parametrize("name", INSTANTS)
def test_an_instant_in_the_future_is_unknown_until_then(name: str) -> None:
    later = with_instant(experiment(idea_at=at(1), last_activity_at=at(9)), name, at(9))
    assert at(9) in later.instants
    past = as_of(later, at(5))
    assert past is not None
    assert getattr(past, name) is None


def test_the_query_of_the_latest_instant_reads_every_instant() -> None:
    assert set(LATEST_INSTANT.removeprefix("greatest(").removesuffix(")").split(", ")) == {"idea_at", *INSTANTS}
