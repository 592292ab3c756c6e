"""Random portfolios of experiments, realistic ones and edge cases."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import Outcome
from service.metrics.terms import Terms
from tests.support.builders import at, experiment, terms

NOW = at(20)
_TICK = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_TEAMS = ("search", "ads", "growth", "Ünï", "", "_mine")
_WINDOWS = (("7d",), ("7d", "30d"), ("365d", "7d", "4000d"))


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Experiments, and the operator's settings (windows, thresholds and limits) for their metrics."""

    experiments: tuple[Experiment, ...]
    terms: Terms


def portfolios(seed: int, many: int) -> list[Portfolio]:
    """Generate random portfolios. The same seed gives the same portfolios."""
    random = Random(seed)
    return [_portfolio(random) for _ in range(many)]


def _portfolio(random: Random) -> Portfolio:
    loops = _Loops(random)
    size = random.choice((1, 2, 4, 5, 6, 20, 40, 80))
    thresholds = {"default": random.randrange(1, 30) * loops.unit, "search": random.randrange(1, 30) * loops.unit}
    given = terms(
        *random.choice(_WINDOWS),
        thresholds=thresholds,
        min_sample=random.choice((1, 2, 5)),
        max_teams=random.choice((1, 3, 200)),
    )
    return Portfolio(tuple(loops.loop() for _ in range(size)), given)


class _Loops:
    """Generates the experiments of one portfolio.

    The unit of their durations, the teams and the probabilities are chosen once for the portfolio.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self.unit = random.choice((_TICK, timedelta(seconds=1), timedelta(hours=7), _DAY, 365 * _DAY))
        # The number of different durations. If this number is small, many durations are tied; if it is one, all
        # durations are zero.
        self._different = random.choice((1, 2, 4, 11, 60, 1_000_000 if self.unit < _DAY / 24 else 11))
        self._teams = random.sample(_TEAMS, random.randrange(1, 5))
        self._concluded = random.choice((0, 0.5, 0.6, 0.7, 0.8, 0.8, 0.9, 1))
        self._abandoned = random.choice((0, 0, 0, 0.1, 0.2, 0.3, 0.5, 1))

    def loop(self) -> Experiment:
        """A random experiment.

        The time of its idea or of its conclusion is random, and its other times follow from that time.
        """
        concluded_at = self._moment() if self._happens(self._concluded) else None
        idea_at = concluded_at - self._duration() if concluded_at and self._happens(0.7) else self._moment()
        started_at = idea_at + self._duration() if self._happens(0.7) else None
        signalled_at = (started_at or idea_at) + self._duration() if self._happens(0.6) else None
        shared_at = concluded_at + self._duration() if concluded_at and self._happens(0.3) else None
        shipped_at = signalled_at + self._duration() if signalled_at and self._happens(0.5) else None
        return experiment(
            idea_at=idea_at,
            team=self._random.choice(self._teams),
            started_at=self._past(started_at),
            first_signal_at=self._past(signalled_at),
            concluded_at=concluded_at,
            outcome=self._outcome() if concluded_at else None,
            shared_at=self._past(shared_at),
            shipped_at=self._past(shipped_at),
        )

    def _happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def _outcome(self) -> Outcome:
        if self._happens(self._abandoned):
            return Outcome.ABANDONED
        return self._random.choice([outcome for outcome in Outcome if outcome is not Outcome.ABANDONED])

    def _duration(self) -> timedelta:
        taken = self._random.randrange(self._different) * self.unit
        return -taken if self._happens(0.03) else taken

    def _moment(self) -> datetime:
        """A moment in the last weeks or years, often on the edge of a window, rarely in the future."""
        ago = self._random.choice((0, 7, 30, 365)) * _DAY
        if self._happens(0.8):
            ago = self._random.random() * self._random.choice((7, 30, 365, 3650)) * _DAY
        moment = NOW - ago + self._random.choice((-1, 0, 0, 1)) * _TICK
        return moment if self._happens(0.1) else min(moment, NOW)

    def _past(self, moment: datetime | None) -> datetime | None:
        """The moment itself or, if it is in the future, usually `None`.

        Most future moments become `None`, because metrics omit an experiment with a future instant.
        """
        return moment if moment is None or moment <= NOW or self._happens(0.05) else None
