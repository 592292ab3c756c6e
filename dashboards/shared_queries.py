"""Queries that several dashboards share, so that no two panels contradict each other."""

from dashboards.links import Link
from dashboards.promql import (
    WINDOW,
    compute_age,
    compute_share,
    keep_largest,
    mark_never,
    mark_not_reached,
    mark_too_few,
    select_team_row,
    sum_counts,
)
from dashboards.queries import DAYS, DAYS_AGO, RATIO, SECONDS, Query
from dashboards.words import FAILURE_COLOURS, NOT_YET, OVER, PROMPT, WITHHELD, WITHIN
from service.lifecycle.stages import Stage
from service.lifecycle.taxonomy import FailureCategory

THRESHOLD = select_team_row("threshold_seconds")
MEDIAN = select_team_row("stage_quantile_seconds", stage="idea_to_answer", window=WINDOW, q="0.5")
NINETIETH = select_team_row("stage_quantile_seconds", stage="idea_to_answer", window=WINDOW, q="0.9")
TIMED = sum_counts("stage_samples", stage="idea_to_answer", window=WINDOW)
WITHIN_THRESHOLD = select_team_row("answered_within_threshold_ratio", window=WINDOW)
SURVIVAL_MEDIAN = select_team_row("idea_to_answer_survival_quantile_seconds", window=WINDOW, q="0.5")
ANSWERED_BY_THRESHOLD = select_team_row("survival_answered_by_threshold_ratio", window=WINDOW)
PROPOSED = sum_counts("experiments_proposed", "risk", window=WINDOW)
CONCLUDED = sum_counts("experiments_concluded", "outcome", window=WINDOW)
ANSWERED = sum_counts("experiments_concluded", outcome="!abandoned", window=WINDOW)
FAILURES = sum_counts("failures", "category", window=WINDOW)
UNCLASSIFIED = sum_counts("failures", category="unclassified", window=WINDOW)
CLASSIFIED = sum_counts("failures", category="!unclassified", window=WINDOW)
OPEN = sum_counts("experiments_in_flight", "stage")
OVERDUE = sum_counts("experiments_overdue")
FORGOTTEN = sum_counts("experiments_forgotten")
LEARNINGS_SHARED = sum_counts("learnings_shared", window=WINDOW)
REPEATED = sum_counts("repeated_experiments", window=WINDOW)
ABANDONED = select_team_row("abandoned_ratio", window=WINDOW)
LAST_SHARED = select_team_row("last_failure_shared_timestamp_seconds")


def query_speed(leads_to: Link) -> list[Query]:
    """Query the time from idea to answer, beside the threshold."""
    return [
        *_query_beside_threshold(MEDIAN, leads_to),
        Query("median", mark_too_few(TIMED, MEDIAN), SECONDS, WITHHELD, leads_to=leads_to),
        Query("threshold", THRESHOLD, DAYS, leads_to=leads_to),
        Query("p90", NINETIETH, DAYS, leads_to=leads_to),
        Query("within the threshold", WITHIN_THRESHOLD, RATIO, leads_to=leads_to),
        Query("answers", TIMED, leads_to=leads_to),
    ]


def query_speed_including_open(leads_to: Link) -> list[Query]:
    """Query the estimated time from idea to answer, which includes open experiments, beside the threshold."""
    return [
        *_query_beside_threshold(SURVIVAL_MEDIAN, leads_to),
        Query(
            "median",
            mark_not_reached(ANSWERED_BY_THRESHOLD, SURVIVAL_MEDIAN),
            SECONDS,
            WITHHELD,
            OVER,
            leads_to=leads_to,
        ),
        Query("median", mark_too_few(PROPOSED, ANSWERED_BY_THRESHOLD), SECONDS, WITHHELD, leads_to=leads_to),
        Query("threshold", THRESHOLD, DAYS, leads_to=leads_to),
        Query("answered by the threshold", ANSWERED_BY_THRESHOLD, RATIO, leads_to=leads_to),
        Query("ideas", PROPOSED, leads_to=leads_to),
    ]


def query_speed_trend(leads_to: Link) -> list[Query]:
    """Query the trend of the time from idea to answer, without and with open experiments, and the threshold."""
    return [
        Query("median", MEDIAN, colour="blue", leads_to=leads_to),
        Query("p90", NINETIETH, colour="purple", leads_to=leads_to),
        Query("median including open", SURVIVAL_MEDIAN, colour="yellow", leads_to=leads_to),
        Query("threshold", THRESHOLD, colour=OVER, dashed=True, leads_to=leads_to),
    ]


def query_last_shared(leads_to: Link) -> list[Query]:
    """Query when a failed experiment was last shared.

    A long time is a reason to ask the team, and is neither good nor bad, so the value is never green or red.
    """
    return [
        Query("last shared", compute_age(LAST_SHARED), DAYS_AGO, (), PROMPT, leads_to=leads_to),
        Query("last shared", mark_never(LAST_SHARED), SECONDS, NOT_YET, PROMPT, leads_to=leads_to),
        Query("learnings shared", LEARNINGS_SHARED, leads_to=leads_to),
        Query("failed experiments", FAILURES, leads_to=leads_to),
    ]


def query_sharing_trend(leads_to: Link) -> list[Query]:
    """Query how many learnings were shared, how many experiments were answered, and how many failed."""
    return [
        Query("learnings shared", LEARNINGS_SHARED, colour="blue", leads_to=leads_to),
        Query("answers", ANSWERED, colour="#8e8e8e", leads_to=leads_to),
        Query("failed experiments", FAILURES, colour="purple", leads_to=leads_to),
    ]


def query_failure_rates(leads_to: Link) -> list[Query]:
    """Query the failures in each of Edmondson's categories, divided by answers."""
    return [
        Query(
            category,
            select_team_row("failure_category_ratio", category=category, window=WINDOW),
            RATIO,
            colour=colour,
            leads_to=leads_to,
        )
        for category, colour in FAILURE_COLOURS.items()
    ]


def query_failure_counts(leads_to: Link) -> list[Query]:
    """Query the number of failures in each of Edmondson's categories."""
    return [
        Query(category, count_failures(category), colour=colour, leads_to=leads_to)
        for category, colour in FAILURE_COLOURS.items()
    ]


def query_biggest_group(leads_to: Link) -> list[Query]:
    """Query the category with the most failures, or all such categories on a tie."""
    every = sum_counts("failures", window=WINDOW)
    groups = [
        Query(category, keep_largest(count_failures(category), every), colour=colour, leads_to=leads_to)
        for category, colour in FAILURE_COLOURS.items()
    ]
    return [*groups, Query("no failed experiment", f"{FAILURES} == 0", leads_to=leads_to)]


def count_failures(category: FailureCategory) -> str:
    """Count the failures in a category."""
    return sum_counts("failures", category=category, window=WINDOW)


def compute_unclassified_share() -> str:
    """Compute the unclassified failures as a share of all failures."""
    return compute_share(UNCLASSIFIED, CLASSIFIED)


def select_stage_quantile(name: Stage, q: str) -> str:
    """Select an exact quantile of the length of a stage."""
    return select_team_row("stage_quantile_seconds", stage=name, window=WINDOW, q=q)


def count_stage_samples(name: Stage) -> str:
    """Count the answered experiments for which the duration of a stage is known."""
    return sum_counts("stage_samples", stage=name, window=WINDOW)


def query_open_experiments(leads_to: Link) -> list[Query]:
    """Query the number of open experiments, and how many of them are overdue or forgotten."""
    return [
        Query("open", OPEN, leads_to=leads_to),
        Query("overdue", OVERDUE, bounds=[(1, OVER)], leads_to=leads_to),
        Query("forgotten", FORGOTTEN, bounds=[(1, OVER)], leads_to=leads_to),
    ]


def _query_beside_threshold(time: str, leads_to: Link) -> list[Query]:
    """Query a time: green within the threshold, and orange over it."""
    return [
        Query("median", f"{time} <= {THRESHOLD}", DAYS, (), WITHIN, leads_to=leads_to),
        Query("median", f"{time} > {THRESHOLD}", DAYS, (), OVER, leads_to=leads_to),
    ]
