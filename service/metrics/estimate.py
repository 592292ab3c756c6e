"""Estimates from samples of durations: exact quantiles, histograms, and survival with loops that are still open."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, count, repeat
from math import floor, fsum
from operator import add, mul

_HOUR = 3600.0
_DAY = 24 * _HOUR
BUCKETS = (
    *(_HOUR * hours for hours in (1, 4)),
    *(_DAY * days for days in (1, 3, 7, 14, 30, 60, 90, 180, 365)),
)
"""Upper bounds of histograms in seconds, inclusive, as Prometheus counts them."""

QUANTILES = (0.5, 0.75, 0.9)
"""The quantiles that figures tell: a median, and how bad it gets."""

# What the rounding of a product of many factors may come to; far below 1/n for any n that a window holds.
_ROUNDING = 1e-9


def quantile(ordered: Sequence[float], q: float) -> float:
    """The exact quantile of a sample, as PostgreSQL's `percentile_cont` has it: linear between the two nearest.

    This is definition 7 of R. J. Hyndman and Y. Fan, "Sample Quantiles in Statistical Packages", The American
    Statistician 50 (1996).

    Args:
        ordered: the sample in ascending order; at least one value.
        q: between 0 and 1.
    """
    place = q * (len(ordered) - 1)
    below = floor(place)
    lower = ordered[below]
    if place == below:
        return lower
    return lower + (place - below) * (ordered[below + 1] - lower)


@dataclass(frozen=True, slots=True)
class Histogram:
    """A sample by size: how many values are at most each bound, as text the way `le` is written, and their sum."""

    buckets: Sequence[tuple[str, float]]
    total: float


def histogram(ordered: Sequence[float]) -> Histogram:
    """The histogram of a sample in ascending order, in seconds."""
    counts: list[tuple[str, float]] = [(str(bound), bisect_right(ordered, bound)) for bound in BUCKETS]
    return Histogram([*counts, ("+Inf", len(ordered))], fsum(ordered))


@dataclass(frozen=True, slots=True)
class Survival:
    """The estimated share of loops that are still without an answer after a time.

    Attributes:
        times: in ascending order, the seconds after which there was an answer, once for each.
        shares: S(t) from each of those times on, until the next; of equal times the last one holds.
    """

    times: Sequence[float]
    shares: Sequence[float]

    def after(self, seconds: float) -> float:
        """S(t): the estimated share of loops that take longer than this."""
        place = bisect_right(self.times, seconds)
        return self.shares[place - 1] if place else 1.0

    def quantile(self, q: float) -> float | None:
        """The smallest t with S(t) at most 1 - q, in seconds; None where the curve does not come down so far."""
        reached = bisect_left(self.shares, q - 1.0 - _ROUNDING, key=lambda share: -share)
        return self.times[reached] if reached < len(self.times) else None


def kaplan_meier(answered: Iterable[float], censored: Iterable[float]) -> Survival:
    """The product-limit estimate of how long loops take, where some have not come to their end yet.

    A loop whose watching ended at the very moment of another's answer was without one until then, and counts among
    those at risk. The estimator is that of E. L. Kaplan and P. Meier, "Nonparametric Estimation from Incomplete
    Observations", Journal of the American Statistical Association 53 (1958).

    Args:
        answered: how long loops took that were answered, in seconds.
        censored: how long loops were watched that had no answer until then, in seconds.
    """
    times = sorted(answered)
    unanswered = sorted(censored)
    gone = map(bisect_left, repeat(unanswered), times)
    at_risk = [len(times) + len(unanswered) - behind for behind in map(add, count(), gone)]
    # Answers that came at once are taken one after the other: their factors come to the one that they have together.
    shares = accumulate([1 - 1 / risked for risked in at_risk], mul)
    return Survival(times, list(shares))
