"""Failures and learning: what kinds of failure there are, and whether what was learnt is shared."""

from dashboards import answers, readings
from dashboards.board import Board, Section
from dashboards.figures import RATIO, SECONDS, Column, Figure, Key
from dashboards.links import FAILURES_UID, TO_DATA_QUALITY, TO_TEAM, TO_TEAM_OF_ROW
from dashboards.panels import About, answer, bars, few, none, rows, trend
from dashboards.promql import WINDOW, in_range, per_team, since, total_per_team
from dashboards.words import AGO, TEAMS

_MIX = Section(
    "Which of Edmondson's groups is the biggest?",
    [
        [answers.biggest_group(TO_TEAM), answers.failed_of_how_many(TO_TEAM)],
        answers.failure_rates_over_time(9, TO_TEAM),
        trend(
            About(
                "Failures, over time",
                "Failed experiments of each group in the window that ends at each point.",
                width=9,
            ),
            *readings.failure_counts(TO_TEAM),
            stacked=True,
        ),
        answers.failure_rates(12, TO_TEAM),
        bars(
            About("Failures", "How many experiments of each group failed in the window.", width=12),
            *readings.failure_counts(TO_TEAM),
        ),
    ],
)

_UNCLASSIFIED = Section(
    "What has nobody classified yet?",
    [
        answer(
            About(
                "Unclassified",
                "Failed experiments of the window that have no group yet. A label failure:intelligent, failure:basic "
                "or failure:complex on the experiment classifies it, at any time. The share is withheld below "
                "the minimum sample.",
            ),
            Figure("unclassified", readings.UNCLASSIFIED, leads_to=TO_DATA_QUALITY),
            Figure("of the failed", readings.unclassified_share(), RATIO, leads_to=TO_DATA_QUALITY),
            Figure("failed", readings.FAILURES, leads_to=TO_DATA_QUALITY),
        ),
        trend(
            About(
                "Unclassified, over time",
                "Failed experiments in the window that ends at each point, with and without a group.",
                width=9,
            ),
            Figure("unclassified", readings.UNCLASSIFIED, colour="#8e8e8e"),
            Figure("classified", readings.CLASSIFIED, colour="blue"),
            stacked=True,
        ),
        rows(
            About(
                "Reclassified",
                "How often failures moved from one group to another in the time range of this dashboard. To think "
                "again is a part of learning.",
                width=9,
                missing=none("no failure moved from one group to another"),
            ),
            [Key("From", "from_category"), Key("To", "to_category")],
            [Column("Times", f"{in_range('reclassifications_total', 'from_category', 'to_category')} > 0")],
        ),
    ],
)

_LEARNING = Section(
    "When did someone last share a failed experiment?",
    [
        answers.last_shared(TO_TEAM),
        answers.shared_over_time(9, TO_TEAM),
        trend(
            About(
                "From answer to shared, over time",
                "How long it took until what was learnt was shared, of the loops answered in each window that were "
                "shared.",
                width=9,
                missing=few("shared answers"),
            ),
            Figure("median", readings.stage("answer_to_shared", "0.5"), colour="blue"),
            Figure("9 in 10 within", readings.stage("answer_to_shared", "0.9"), colour="purple"),
            unit=SECONDS,
        ),
        answers.answer_to_shared(TO_TEAM),
        rows(
            About(
                "Shared, team by team",
                "In the order of their names. Empty where no failed experiment of the team was ever shared: a prompt "
                "to ask, not a reproach.",
                width=18,
            ),
            [Key("Team", "team", TEAMS, TO_TEAM_OF_ROW)],
            [
                Column(
                    "Failure last shared",
                    since(per_team("last_failure_shared_timestamp_seconds")),
                    SECONDS,
                    AGO,
                    "not yet",
                ),
                Column("Learnings shared", total_per_team("learnings_shared", window=WINDOW)),
                Column("Failed experiments", total_per_team("failures", window=WINDOW)),
                Column("Unclassified", total_per_team("failures", category="unclassified", window=WINDOW)),
                Column("Repeated", total_per_team("repeated_experiments", window=WINDOW)),
            ],
        ),
    ],
)

_REPEATED = Section(
    "Do we start the same thing again?",
    [
        answers.started_again(TO_TEAM),
        trend(
            About(
                "Started again, over time",
                "Ideas in the window that ends at each point, and those of them that were tried before.",
                width=18,
            ),
            Figure("repeated", readings.REPEATED, colour="purple"),
            Figure("ideas", readings.PROPOSED, colour="#8e8e8e"),
        ),
    ],
)

FAILURES = Board(
    FAILURES_UID,
    "Failures and learning",
    "What kinds of failure there are, which of them nobody has classified, and whether what was learnt is shared.",
    [_MIX, _UNCLASSIFIED, _LEARNING, _REPEATED],
)
