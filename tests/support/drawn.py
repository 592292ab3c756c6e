"""Hypothesis strategies for experiments, with instants in March 2026.

The instants of an experiment are in any order, because the clocks of providers differ.
"""

from datetime import datetime, timedelta

from hypothesis import strategies as st

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from tests.support.builders import at, experiment, taken_up

_TITLES = ("", "Answer from the cache", "Answer from the  CACHE", "Ask less")
_INSTANTS = st.builds(lambda hours: at(1) + timedelta(hours=hours), st.integers(0, 24 * 24))


@st.composite
def experiments(
    draw: st.DrawFn, root: str = "github:acme/app#45", instants: st.SearchStrategy[datetime] = _INSTANTS
) -> Experiment:
    """Any experiment that a fold could make."""
    maybe: st.SearchStrategy[datetime | None] = st.none() | instants
    concluded_at = draw(maybe)
    outcome = draw(st.sampled_from(Outcome)) if concluded_at else None
    idea_at, started_at, first_signal_at = draw(instants), draw(maybe), draw(maybe)
    shared_at, shipped_at = draw(maybe), draw(maybe)
    known = (idea_at, started_at, first_signal_at, concluded_at, shared_at, shipped_at)
    latest = max(instant for instant in known if instant is not None)
    return experiment(
        root,
        idea_at=idea_at,
        started_at=started_at,
        first_signal_at=first_signal_at,
        concluded_at=concluded_at,
        shared_at=shared_at,
        shipped_at=shipped_at,
        team=draw(st.sampled_from(["", "ads", "search", "cloud"])),
        title=draw(st.sampled_from(_TITLES)),
        risk=draw(st.none() | st.sampled_from(Risk)),
        outcome=outcome,
        failure_category=draw(st.sampled_from(FailureCategory)) if outcome is Outcome.FAILED else None,
        last_activity_at=draw(st.sampled_from([latest, latest + timedelta(hours=30)])),
        restarts=tuple(taken_up(when) for when in sorted(draw(st.lists(instants, max_size=2)))),
    )


@st.composite
def portfolios(draw: st.DrawFn) -> list[Experiment]:
    """Up to a dozen experiments."""
    count = draw(st.integers(0, 12))
    return [draw(experiments(f"github:acme/app#{number}")) for number in range(count)]
