"""What more than one dashboard shows: the same everywhere, so that no two panels contradict each other."""

from dashboards.figures import RATIO, SECONDS, Figure
from dashboards.links import Link
from dashboards.promql import WINDOW, if_largest, never, not_reached, row, share, since, too_few, total
from dashboards.words import AGO, DURATIONS, FAILURE_COLOURS, NOT_YET, OVER, PROMPT, WITHHELD, WITHIN
from service.lifecycle.stages import Stage
from service.lifecycle.taxonomy import FailureCategory

THRESHOLD = row("threshold_seconds")
MEDIAN = row("stage_quantile_seconds", stage="idea_to_answer", window=WINDOW, q="0.5")
NINETIETH = row("stage_quantile_seconds", stage="idea_to_answer", window=WINDOW, q="0.9")
TIMED = total("stage_samples", stage="idea_to_answer", window=WINDOW)
WITHIN_THRESHOLD = row("answered_within_threshold_ratio", window=WINDOW)
SURVIVAL_MEDIAN = row("idea_to_answer_survival_quantile_seconds", window=WINDOW, q="0.5")
ANSWERED_BY_THRESHOLD = row("survival_answered_by_threshold_ratio", window=WINDOW)
PROPOSED = total("experiments_proposed", "risk", window=WINDOW)
CONCLUDED = total("experiments_concluded", "outcome", window=WINDOW)
ANSWERED = total("experiments_concluded", outcome="!abandoned", window=WINDOW)
FAILURES = total("failures", "category", window=WINDOW)
UNCLASSIFIED = total("failures", category="unclassified", window=WINDOW)
CLASSIFIED = total("failures", category="!unclassified", window=WINDOW)
OPEN = total("experiments_in_flight", "stage")
OVERDUE = total("experiments_overdue")
FORGOTTEN = total("experiments_forgotten")
LEARNINGS_SHARED = total("learnings_shared", window=WINDOW)
REPEATED = total("repeated_experiments", window=WINDOW)
ABANDONED = row("abandoned_ratio", window=WINDOW)
LAST_SHARED = row("last_failure_shared_timestamp_seconds")


def speed(leads_to: Link) -> list[Figure]:
    """How long loops took that were answered, in a word and in numbers."""
    return [
        *_word(MEDIAN, leads_to),
        Figure("half of the answers", too_few(TIMED, MEDIAN), SECONDS, WITHHELD, leads_to=leads_to),
        Figure("median", MEDIAN, SECONDS, leads_to=leads_to),
        Figure("9 in 10 within", NINETIETH, SECONDS, leads_to=leads_to),
        Figure("within the threshold", WITHIN_THRESHOLD, RATIO, leads_to=leads_to),
        Figure("answers", TIMED, leads_to=leads_to),
    ]


def speed_with_open_loops(leads_to: Link) -> list[Figure]:
    """How long loops take if those that are still open are counted, in a word and in numbers."""
    return [
        *_word(SURVIVAL_MEDIAN, leads_to, "half of the ideas"),
        Figure(
            "half of the ideas",
            not_reached(ANSWERED_BY_THRESHOLD, SURVIVAL_MEDIAN),
            SECONDS,
            WITHHELD,
            OVER,
            leads_to=leads_to,
        ),
        Figure("half of the ideas", too_few(PROPOSED, ANSWERED_BY_THRESHOLD), SECONDS, WITHHELD, leads_to=leads_to),
        Figure("median", SURVIVAL_MEDIAN, SECONDS, leads_to=leads_to),
        Figure("answered by the threshold", ANSWERED_BY_THRESHOLD, RATIO, leads_to=leads_to),
        Figure("ideas", PROPOSED, leads_to=leads_to),
    ]


def speed_trend(leads_to: Link) -> list[Figure]:
    """How long loops took, and take with those that are open, beside the threshold."""
    return [
        Figure("median", MEDIAN, colour="blue", leads_to=leads_to),
        Figure("9 in 10 within", NINETIETH, colour="purple", leads_to=leads_to),
        Figure("median, with open loops counted", SURVIVAL_MEDIAN, colour="yellow", leads_to=leads_to),
        Figure("threshold", THRESHOLD, colour=OVER, dashed=True, leads_to=leads_to),
    ]


def last_shared(leads_to: Link) -> list[Figure]:
    """When somebody last shared a failed experiment: a prompt, so never green and never red."""
    return [
        Figure("last shared", since(LAST_SHARED), SECONDS, AGO, PROMPT, leads_to=leads_to),
        Figure("last shared", never(LAST_SHARED), SECONDS, NOT_YET, PROMPT, leads_to=leads_to),
        Figure("ago", since(LAST_SHARED), SECONDS, leads_to=leads_to),
        Figure("learnings shared", LEARNINGS_SHARED, leads_to=leads_to),
        Figure("failed experiments", FAILURES, leads_to=leads_to),
    ]


def sharing_trend(leads_to: Link) -> list[Figure]:
    """How much was shared, and how much there was to learn from."""
    return [
        Figure("learnings shared", LEARNINGS_SHARED, colour="blue", leads_to=leads_to),
        Figure("answers", ANSWERED, colour="#8e8e8e", leads_to=leads_to),
        Figure("failed experiments", FAILURES, colour="purple", leads_to=leads_to),
    ]


def failure_rates(leads_to: Link) -> list[Figure]:
    """Failures of each of Edmondson's categories over answers."""
    return [
        Figure(
            category,
            row("failure_category_ratio", category=category, window=WINDOW),
            RATIO,
            colour=colour,
            leads_to=leads_to,
        )
        for category, colour in FAILURE_COLOURS.items()
    ]


def failure_counts(leads_to: Link) -> list[Figure]:
    """How many failures there were of each of Edmondson's categories."""
    return [
        Figure(category, failures(category), colour=colour, leads_to=leads_to)
        for category, colour in FAILURE_COLOURS.items()
    ]


def biggest_group(leads_to: Link) -> list[Figure]:
    """Which of Edmondson's categories has the most failures; several where they have as many."""
    every = total("failures", window=WINDOW)
    groups = [
        Figure(category, if_largest(failures(category), every), colour=colour, leads_to=leads_to)
        for category, colour in FAILURE_COLOURS.items()
    ]
    return [*groups, Figure("no experiment failed", f"{FAILURES} == 0", leads_to=leads_to)]


def failures(category: FailureCategory) -> str:
    """How many failures there were of a category."""
    return total("failures", category=category, window=WINDOW)


def unclassified_share() -> str:
    """Unclassified failures over all failures."""
    return share(UNCLASSIFIED, CLASSIFIED)


def stage(name: Stage, q: str) -> str:
    """An exact quantile of how long a stage took."""
    return row("stage_quantile_seconds", stage=name, window=WINDOW, q=q)


def samples(name: Stage) -> str:
    """Of how many answered experiments it is known how long a stage took."""
    return total("stage_samples", stage=name, window=WINDOW)


def open_loops(leads_to: Link) -> list[Figure]:
    """How many loops are open, and how many of them run late."""
    return [
        Figure("open", OPEN, leads_to=leads_to),
        Figure("overdue", OVERDUE, bounds=[(1, OVER)], leads_to=leads_to),
        Figure("forgotten", FORGOTTEN, bounds=[(1, OVER)], leads_to=leads_to),
    ]


def _word(time: str, leads_to: Link, says: str = "half of the answers") -> list[Figure]:
    """A word for a time, in a colour that tells on which side of the threshold it is."""
    return [
        Figure(says, f"{time} <= {THRESHOLD}", SECONDS, DURATIONS, WITHIN, leads_to=leads_to),
        Figure(says, f"{time} > {THRESHOLD}", SECONDS, DURATIONS, OVER, leads_to=leads_to),
    ]
