"""The organisation: seven teams, each with a character that its metrics show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

Tracker = Literal["github", "jira", "gitlab"]
Runner = Literal["github", "circleci", "gitlab", "buildkite", "jenkins"]
Ending = Literal["worked", "failed", "inconclusive", "undeclared", "abandoned", "duplicate", "forgotten"]
"""The fate of an experiment: an outcome, *duplicate* (closed as a duplicate), or *forgotten* (open for ever)."""

SOURCES: Sequence[str] = ("github", "jira", "gitlab", "circleci", "buildkite", "jenkins")
"""The sources. Each source has the name of its provider."""
SILENT_SINCE = timedelta(weeks=5)
"""The time between the last delivery of the silent source and the start of the demo."""
SILENT = "jenkins"
"""The source that fell silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team, its tools, and its habits.

    Attributes:
        notice: a description of the character that the team's metrics show.
        metric: the metric that shows this character best, without the prefix `loopgauge_`.
        project: the repository, with its owner.
        key: the key of the team's Jira project, if the team's tracker is Jira.
        every: the time between two ideas.
        verbs, things: the two parts of the titles of the team's experiments.
        bold: the share of bold experiments.
        picked_up, bold_picked_up: the median wait before start, for safe and for bold experiments.
        answered: the median time from idea to answer.
        spread: the standard deviation of the logarithms of the team's durations.
        endings: the weight of each ending in the random draw.
        categories: the weight of each failure category in the random draw; an empty name means unclassified.
        given_up: the median time until the team abandons an experiment.
        shares: the fraction of the answers that the team shares.
        slow_every: the n for which every n-th experiment is hard and takes about `slow_answer`; 0 if none is hard.
        titles: the number of ideas after which titles repeat; 0 if they never repeat.
        goes_on: whether the team has new ideas while the demo is live.
    """

    name: str
    notice: str
    metric: str
    project: str
    tracker: Tracker
    runner: Runner
    key: str = ""
    every: timedelta
    verbs: Sequence[str]
    things: Sequence[str]
    bold: float = 0.3
    picked_up: timedelta = timedelta(days=1)
    bold_picked_up: timedelta = timedelta(days=1)
    answered: timedelta
    spread: float = 0.35
    endings: Mapping[Ending, float]
    categories: Mapping[str, float] = field(default_factory=lambda: {"intelligent": 5, "basic": 3, "complex": 2})
    given_up: timedelta = timedelta(days=10)
    shares: float = 0.5
    slow_every: int = 0
    slow_answer: timedelta = timedelta(days=40)
    titles: int = 0
    goes_on: bool = True


TEAMS: Sequence[Team] = (
    Team(
        name="search",
        notice="fast and safe: nearly all answers come within its own threshold of 7 days, and few ideas are bold",
        metric="answered_within_threshold_ratio",
        project="acme/search",
        tracker="github",
        runner="github",
        every=timedelta(days=2.8),
        verbs=("Cache", "Rank by", "Boost", "Cut", "Index", "Show", "Sort by", "Prefetch"),
        things=("fresh results", "exact matches", "stock", "synonyms", "short queries", "the first page", "images"),
        bold=0.08,
        picked_up=timedelta(hours=5),
        bold_picked_up=timedelta(days=2),
        answered=timedelta(days=2.6),
        spread=0.3,
        endings={"worked": 62, "failed": 20, "inconclusive": 12, "undeclared": 3, "abandoned": 2, "duplicate": 1},
    ),
    Team(
        name="frontier",
        notice="bold: most ideas are bold, many fail intelligently and are shared, and few answers come within 10 days",
        metric="failure_category_ratio",
        project="acme/frontier",
        tracker="github",
        runner="circleci",
        every=timedelta(days=3.5),
        verbs=("Let a model", "Try to", "Learn to", "Teach agents to", "Dare to", "Simulate how to"),
        things=("plan routes", "write tests", "price returns", "triage tickets", "draft copy", "merge catalogues"),
        bold=0.8,
        bold_picked_up=timedelta(hours=18),
        answered=timedelta(days=12),
        spread=0.3,
        endings={"failed": 60, "worked": 26, "inconclusive": 10, "abandoned": 4},
        categories={"intelligent": 88, "complex": 8, "basic": 4},
        given_up=timedelta(days=20),
        shares=0.9,
    ),
    Team(
        name="platform",
        notice="forgets: many experiments are open and have had no activity for over 30 days",
        metric="experiments_forgotten",
        project="acme/platform",
        tracker="jira",
        runner="buildkite",
        key="PLAT",
        every=timedelta(days=3.6),
        verbs=("Move to", "Split", "Shrink", "Replace", "Measure", "Batch", "Automate"),
        things=("the build cache", "cold starts", "the queue", "log storage", "base images", "canaries", "the gateway"),
        answered=timedelta(days=9),
        endings={"forgotten": 52, "worked": 24, "failed": 14, "inconclusive": 8, "undeclared": 2},
        shares=0.3,
    ),
    Team(
        name="growth",
        notice="repeats itself: it starts ideas again that already have an answer",
        metric="repeated_experiments",
        project="acme/growth",
        tracker="github",
        runner="github",
        every=timedelta(days=3.6),
        verbs=("Shorten", "Move", "Reword"),
        things=("the sign-up form", "the invite mail", "the trial banner"),
        answered=timedelta(days=6),
        endings={"failed": 46, "worked": 34, "inconclusive": 14, "undeclared": 6},
        categories={"basic": 60, "complex": 25, "intelligent": 15},
        shares=0.25,
        titles=9,
    ),
    Team(
        name="payments",
        notice="shares nothing: it has answers and unclassified failures, and never shared a learning",
        metric="learnings_shared",
        project="acme/payments",
        tracker="gitlab",
        runner="gitlab",
        every=timedelta(days=3.6),
        verbs=("Retry", "Split", "Defer", "Precheck", "Round", "Batch", "Preload"),
        things=("card checks", "refunds", "payouts", "currency rates", "mandates", "invoices", "receipts"),
        answered=timedelta(days=8),
        endings={"failed": 45, "worked": 38, "inconclusive": 12, "undeclared": 5},
        categories={"": 100},
        shares=0,
    ),
    Team(
        name="devices",
        notice="too small: three answers in 90 days are too few for a fair ratio or quantile, so neither is shown",
        metric="stage_samples",
        project="acme/devices",
        tracker="jira",
        runner="jenkins",
        key="DEV",
        every=timedelta(days=30),
        verbs=("Scan with", "Print on", "Charge"),
        things=("one camera", "thinner labels", "over night", "two batteries"),
        answered=timedelta(days=6),
        spread=0.08,
        endings={"worked": 60, "inconclusive": 40},
        goes_on=False,
    ),
    Team(
        name="checkout",
        notice="abandons to look fast: its answers take days, but it gives up most experiments",
        metric="idea_to_answer_survival_quantile_seconds",
        project="acme/checkout",
        tracker="jira",
        runner="buildkite",
        key="SHOP",
        every=timedelta(days=3),
        verbs=("Hide", "Merge", "Skip", "Offer", "Prefill", "Animate", "Confirm"),
        things=("the coupon field", "guest checkout", "delivery slots", "gift notes", "upsells", "taxes", "the cart"),
        picked_up=timedelta(hours=8),
        answered=timedelta(days=2.4),
        spread=0.3,
        endings={"abandoned": 80, "worked": 12, "failed": 6, "inconclusive": 2},
        given_up=timedelta(days=11),
        slow_every=8,
    ),
)
"""All teams."""

THRESHOLDS: Mapping[str, str] = {"default": "14d", "search": "7d", "frontier": "10d"}
"""The teams' idea-to-answer thresholds, in the format of LOOPGAUGE_THRESHOLDS. The default is for all other teams."""
