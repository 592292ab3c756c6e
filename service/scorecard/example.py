"""An example: the scorecard of a small organisation, compiled from generated experiments."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics.terms import DEFAULT_THRESHOLD, Terms, Window
from service.metrics.view import ORGANISATION, View
from service.scorecard.compiling import compile_scorecard
from service.scorecard.figure import Scorecard
from service.scorecard.rows import Rows

_NOW = datetime(2026, 3, 31, 9, tzinfo=UTC)
_DAY = timedelta(days=1)
_WINDOW = Window("90d", 90 * _DAY)
_TERMS = Terms((_WINDOW,), {DEFAULT_THRESHOLD: 14 * _DAY}, 30 * _DAY, min_sample=5, max_teams=200)
_OUTCOMES = (Outcome.WORKED, Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.FAILED, Outcome.ABANDONED, None)
_CATEGORIES = (FailureCategory.INTELLIGENT, FailureCategory.BASIC, FailureCategory.COMPLEX)


def example() -> Scorecard:
    """Compile the example scorecard."""
    today, before = View.of(_experiments(), _TERMS, _NOW), View((), _TERMS, _NOW - _WINDOW.length)
    return compile_scorecard(ORGANISATION, Rows(today), Rows(before))


def _experiments() -> Iterator[Experiment]:
    for number in range(24):
        idea_at = _NOW - (number + 1) * 3 * _DAY
        outcome = _OUTCOMES[number % len(_OUTCOMES)]
        concluded_at = idea_at + (2 + number % 9) * _DAY if outcome and number else None
        failed = concluded_at is not None and outcome is Outcome.FAILED
        shared_at = concluded_at + _DAY if concluded_at and failed and number % 4 == 1 else None
        shipped_at = concluded_at + _DAY if concluded_at and outcome is Outcome.WORKED else None
        yield Experiment(
            root=Ref(f"github:acme/app#{number + 1}"),
            title=f"Try {number + 1}",
            url=f"https://github.com/acme/app/issues/{number + 1}",
            team=("search", "platform")[number % 2],
            risk=(Risk.BOLD, Risk.SAFE, None)[number % 3],
            idea_at=idea_at,
            idea_inferred=False,
            started_at=idea_at + _DAY / 2,
            first_signal_at=idea_at + _DAY,
            concluded_at=concluded_at,
            outcome=outcome if concluded_at else None,
            failure_category=_CATEGORIES[number // len(_OUTCOMES) % len(_CATEGORIES)] if failed else None,
            shared_at=shared_at,
            shipped_at=shipped_at,
            last_activity_at=shared_at or shipped_at or concluded_at or idea_at + _DAY,
        )
