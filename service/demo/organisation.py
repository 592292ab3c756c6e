"""Who the organisation is: seven teams, each with a character that its figures show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

Tracker = Literal["github", "jira", "gitlab"]
Runner = Literal["github", "circleci", "gitlab", "buildkite", "jenkins"]
Ending = Literal["worked", "failed", "inconclusive", "undeclared", "abandoned", "duplicate", "forgotten"]
"""How a loop ends: with an outcome, as a duplicate of another one, or never."""

SOURCES: Sequence[str] = ("github", "jira", "gitlab", "circleci", "buildkite", "jenkins")
"""The tools that post; each source has its provider's name."""
SILENT_SINCE = timedelta(weeks=5)
"""How long before the demo starts Jenkins posted for the last time."""
SILENT = "jenkins"


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    """A team, where it works, and what it is like.

    Attributes:
        notice: what its figures show, in a sentence.
        figure: the name of the figure that shows it most plainly, without the prefix.
        project: the repository, with its owner.
        key: of its tickets, where its tracker is Jira.
        every: how often it has an idea.
        verbs, things: what its ideas are made of.
        bold: the share of bold ideas.
        picked_up, bold_picked_up: how long a safe and a bold idea wait, at the median.
        answered: how long it takes from the idea to the answer, at the median.
        spread: of the durations: the deviation of their logarithm.
        endings: how its loops end, as weights.
        categories: of its failures, as weights; empty for one that nobody classifies.
        given_up: after how long it abandons a loop, at the median.
        shares: which share of its answers it shares.
        slow_every: each how many-th idea is a hard one, whose answer takes `slow_answer`; 0 for none.
        titles: after how many ideas the same ones come again; 0 for never.
        goes_on: whether it has new ideas while the demo is live.
    """

    name: str
    notice: str
    figure: str
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
        notice="fast and safe: answers within days, nearly all within its own threshold of 7 days, hardly a bold idea",
        figure="answered_within_threshold_ratio",
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
        notice="bold: most ideas are bold, many fail intelligently and are shared, most answers take over its 10 days",
        figure="failure_category_ratio",
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
        notice="forgets: many loops are open, and nobody has touched them for over 30 days",
        figure="experiments_forgotten",
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
        notice="repeats itself: the same ideas come again after they were answered",
        figure="repeated_experiments",
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
        notice="shares nothing: it has answers, and failures that nobody classified, but never shared a learning",
        figure="learnings_shared",
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
        notice="too small: three answers in 90 days are not enough for a fair ratio or quantile, so there is none",
        figure="stage_samples",
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
        notice="abandons to look fast: what it answers it answers within days, and most of the rest it gives up",
        figure="idea_to_answer_survival_quantile_seconds",
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
"""The teams."""

THRESHOLDS: Mapping[str, str] = {"default": "14d", "search": "7d", "frontier": "10d"}
"""How long a loop may take, by team, as settings spell it."""
