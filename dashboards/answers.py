"""Panels that more than one dashboard has: the same everywhere, so that they cannot contradict each other."""

from grafana_foundation_sdk.models.dashboard import Panel

from dashboards import readings
from dashboards.figures import RATIO, SECONDS, Figure
from dashboards.links import Link
from dashboards.panels import About, answer, bars, few, names, trend
from dashboards.promql import too_few
from dashboards.words import DURATIONS, WITHHELD


def idea_to_answer(leads_to: Link) -> Panel:
    """How long answers took."""
    about = About(
        "From idea to answer",
        "How long the loops took that were answered in the window. Green is within the threshold, orange is over it: "
        "the team's, or for the organisation the default. The share within the threshold holds each answer to that of "
        "its own team. Loops without an answer are not in it: see the panel with open loops counted. Withheld below "
        "the minimum sample.",
    )
    return answer(about, *readings.speed(leads_to))


def with_open_loops(leads_to: Link) -> Panel:
    """How long answers take, if loops without one are counted."""
    about = About(
        "With open loops counted",
        "How long it takes until half of the ideas of the window have their answer, estimated with open and abandoned "
        "loops as watched so far (Kaplan-Meier). A team cannot look fast by never finishing. Not reached: less than "
        "half are answered, however long one waits. The threshold is the team's, or for the organisation the default.",
    )
    return answer(about, *readings.speed_with_open_loops(leads_to))


def speed_over_time(leads_to: Link) -> Panel:
    """How both went through time."""
    about = About(
        "From idea to answer, over time",
        "Each point tells of the window that ends there. Where the line with open loops counted is far above the "
        "median, loops are left open.",
        width=12,
        missing=few("answers"),
    )
    return trend(about, *readings.speed_trend(leads_to), unit=SECONDS)


def last_shared(leads_to: Link) -> Panel:
    """When a failed experiment was last shared."""
    about = About(
        "A failed experiment was last shared",
        "Nothing shared for long is a prompt to ask whether it is safe to share, not proof that nothing failed.",
    )
    return answer(about, *readings.last_shared(leads_to))


def shared_over_time(width: int, leads_to: Link) -> Panel:
    """How much was shared."""
    about = About(
        "Shared, over time",
        "Learnings shared and answers in the window that ends at each point, and how many of these had failed.",
        width=width,
    )
    return trend(about, *readings.sharing_trend(leads_to))


def answer_to_shared(leads_to: Link) -> Panel:
    """How long it took until what was learnt was shared."""
    median, shared = readings.stage("answer_to_shared", "0.5"), readings.samples("answer_to_shared")
    about = About(
        "From answer to shared",
        "How long it took until what was learnt was shared, of the loops answered in the window that were shared at "
        "all.",
    )
    return answer(
        about,
        Figure("half of those shared", median, SECONDS, DURATIONS, leads_to=leads_to),
        Figure("half of those shared", too_few(shared, median), SECONDS, WITHHELD, leads_to=leads_to),
        Figure("median", median, SECONDS, leads_to=leads_to),
        Figure("9 in 10 within", readings.stage("answer_to_shared", "0.9"), SECONDS, leads_to=leads_to),
        Figure("shared, of those answered", shared, leads_to=leads_to),
        Figure("answers", readings.ANSWERED, leads_to=leads_to),
    )


def biggest_group(leads_to: Link) -> Panel:
    """Which of Edmondson's groups is the biggest."""
    about = About(
        "The biggest group",
        "Intelligent: a thoughtful try in new territory, want more. Basic: a preventable error in known territory, "
        "where quality was short of investment. Complex: several causes across a system, where communication broke "
        "down. Unclassified: nobody has said yet.",
        height=4,
    )
    return names(about, *readings.biggest_group(leads_to))


def failed_of_how_many(leads_to: Link) -> Panel:
    """The sample behind the failure rates."""
    about = About("Failed, of how many", "Experiments answered in the window, and those of them that failed.", height=4)
    return answer(
        about,
        Figure("failed", readings.FAILURES, leads_to=leads_to),
        Figure("answers", readings.ANSWERED, leads_to=leads_to),
    )


def failure_rates(width: int, leads_to: Link) -> Panel:
    """How often experiments fail in each way."""
    about = About(
        "Failures over answers",
        "Failed experiments of each group over the experiments answered in the window; how many that are stands in "
        "the panel beside. Withheld below the minimum sample.",
        width=width,
        missing=few("answers"),
    )
    return bars(about, *readings.failure_rates(leads_to), unit=RATIO)


def failure_rates_over_time(width: int, leads_to: Link) -> Panel:
    """How the failure mix went through time."""
    about = About(
        "Failures over answers, over time",
        "Failed experiments of each group over the experiments answered in the window that ends at each point. More "
        "intelligent failures are no bad news.",
        width=width,
        missing=few("answers"),
    )
    return trend(about, *readings.failure_rates(leads_to), unit=RATIO, stacked=True)


def given_up(leads_to: Link) -> Panel:
    """How many loops end without an answer."""
    about = About(
        "Given up",
        "Abandoned experiments over those concluded in the window. Withheld below the minimum sample.",
    )
    return answer(
        about,
        Figure("abandoned", readings.ABANDONED, RATIO, leads_to=leads_to),
        Figure("abandoned", too_few(readings.CONCLUDED, readings.ABANDONED), RATIO, WITHHELD, leads_to=leads_to),
        Figure("concluded", readings.CONCLUDED, leads_to=leads_to),
    )


def demo_to_production(leads_to: Link) -> Panel:
    """The tail from the first signal to production."""
    median, shipped = readings.stage("signal_to_shipped", "0.5"), readings.samples("signal_to_shipped")
    about = About(
        "From demo to production",
        "How long it took from the first signal to production, of the experiments answered in the window that were "
        "shipped: the last 20 % that drags on. Withheld below the minimum sample.",
    )
    return answer(
        about,
        Figure("half of those shipped", median, SECONDS, DURATIONS, leads_to=leads_to),
        Figure("half of those shipped", too_few(shipped, median), SECONDS, WITHHELD, leads_to=leads_to),
        Figure("9 in 10 within", readings.stage("signal_to_shipped", "0.9"), SECONDS, leads_to=leads_to),
        Figure("shipped", shipped, leads_to=leads_to),
    )


def started_again(leads_to: Link) -> Panel:
    """How many ideas were tried before."""
    about = About(
        "Started again",
        "Ideas of the window that had been tried before, the earlier experiment being concluded or forgotten by then.",
    )
    return answer(
        about,
        Figure("repeated", readings.REPEATED, leads_to=leads_to),
        Figure("ideas", readings.PROPOSED, leads_to=leads_to),
    )
