"""Statistics of samples of durations: exact quantiles, histograms, and survival curves that cover open experiments."""

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
"""The upper bounds of the buckets of `loopgauge_idea_to_answer_seconds` and `loopgauge_experiment_age_seconds`, in
seconds. As in Prometheus, a bucket includes its upper bound."""

QUANTILES = (0.5, 0.75, 0.9)
"""The quantiles that metrics export: the median, p75 and p90."""

# An upper bound on the rounding error of a value in `Survival.shares`, which is a product of many factors. With n
# experiments, two different values are about 1/n apart, which is far more than this bound.
_ROUNDING = 1e-9


def quantile(ordered: Sequence[float], q: float) -> float:
    """The exact quantile of a sample, interpolated between the two nearest values like PostgreSQL's `percentile_cont`.

    This is definition 7 of R. J. Hyndman and Y. Fan, "Sample Quantiles in Statistical Packages", The American
    Statistician 50 (1996).

    Args:
        ordered: the sample in ascending order; at least one value.
        q: the quantile to compute, between 0 and 1.
    """
    position = q * (len(ordered) - 1)
    below = floor(position)
    lower = ordered[below]
    if position == below:
        return lower
    return lower + (position - below) * (ordered[below + 1] - lower)


@dataclass(frozen=True, slots=True)
class Histogram:
    """A cumulative histogram.

    Attributes:
        buckets: pairs of an upper bound, which is a value of the label `le`, and the number of values up to that bound.
        total: the sum of the values.
    """

    buckets: Sequence[tuple[str, float]]
    total: float


def histogram(ordered: Sequence[float]) -> Histogram:
    """The histogram of a sample, which must be in seconds and in ascending order."""
    counts: list[tuple[str, float]] = [(str(bound), bisect_right(ordered, bound)) for bound in BUCKETS]
    return Histogram([*counts, ("+Inf", len(ordered))], fsum(ordered))


@dataclass(frozen=True, slots=True)
class Survival:
    """A survival curve S(t): the estimated share of experiments that have no answer by time t after their idea.

    Attributes:
        times: the times from idea to answer in seconds, in ascending order, with repetitions.
        shares: for each of `times`, the value of S(t) from that time until the next; among equal times, the last
            value applies.
    """

    times: Sequence[float]
    shares: Sequence[float]

    def after(self, seconds: float) -> float:
        """S(t): the estimated share of experiments that take longer than t = `seconds`."""
        answers = bisect_right(self.times, seconds)
        return self.shares[answers - 1] if answers else 1.0

    def quantile(self, q: float) -> float | None:
        """The smallest t with S(t) at most 1 - q, in seconds; None if the curve never falls that low."""
        reached = bisect_left(self.shares, q - 1.0 - _ROUNDING, key=lambda share: -share)
        return self.times[reached] if reached < len(self.times) else None


def kaplan_meier(answered: Iterable[float], censored: Iterable[float]) -> Survival:
    """The product-limit estimate of the time to an answer, from right-censored observations.

    If an answer and a censored observation have equal times, the censored experiment counts as at risk at that time.
    This is the estimator of E. L. Kaplan and P. Meier, "Nonparametric Estimation from Incomplete Observations", Journal
    of the American Statistical Association 53 (1958).

    Args:
        answered: for each answered experiment, the time from idea to answer, in seconds.
        censored: for each experiment without an answer, how long it has been or was open, in seconds.
    """
    times = sorted(answered)
    unanswered = sorted(censored)
    censored_before = map(bisect_left, repeat(unanswered), times)
    at_risk = [len(times) + len(unanswered) - gone for gone in map(add, count(), censored_before)]
    # Ties need no special case. If k of n experiments at risk are answered at the same time, the factors of the single
    # answers multiply to (n - k) / n, which is the factor that the estimator has for k answers at once.
    shares = accumulate([1 - 1 / size for size in at_risk], mul)
    return Survival(times, list(shares))
