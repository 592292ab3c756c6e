"""The dashboard *Failures and learning*: the kinds of failure, and whether learnings are shared."""

from dashboards import shared_panels
from dashboards import shared_queries as shared
from dashboards.board import Board, Section
from dashboards.links import FAILURES_UID, TO_DATA_QUALITY, TO_TEAM, TO_TEAM_OF_ROW
from dashboards.panels import (
    PanelSpec,
    build_bars,
    build_stat,
    build_table,
    build_trend,
    explain_none,
    explain_too_few,
)
from dashboards.promql import WINDOW, compute_age, compute_increase, select_each_team, sum_each_team
from dashboards.queries import DAYS, DAYS_AGO, RATIO, Column, Key, Query
from dashboards.words import TEAMS

_MOVES = compute_increase("reclassifications_total", "from_category", "to_category")

_MIX = Section(
    "Which of Edmondson's groups of failures is the biggest?",
    [
        [shared_panels.build_biggest_group(TO_TEAM), shared_panels.build_failure_sample(TO_TEAM)],
        shared_panels.build_failure_rates_trend(9, TO_TEAM),
        build_trend(
            PanelSpec(
                "Failures, over time",
                "The number of failed experiments of each group. Each point covers the window that ends at that time.",
                width=9,
            ),
            *shared.query_failure_counts(TO_TEAM),
            stacked=True,
        ),
        shared_panels.build_failure_rates(12, TO_TEAM),
        build_bars(
            PanelSpec("Failures", "The number of failed experiments of each group in the window.", width=12),
            *shared.query_failure_counts(TO_TEAM),
        ),
    ],
    fixed_id=380357,
)

_UNCLASSIFIED = Section(
    "Which failures have no group yet?",
    [
        build_stat(
            PanelSpec(
                "Unclassified",
                "The failed experiments that were concluded in the window and have no group. To classify an "
                "experiment, add the label failure:intelligent, failure:basic or failure:complex to it at any time. "
                "The share is withheld if the number of failed experiments is below the minimum sample.",
            ),
            Query("unclassified", shared.UNCLASSIFIED, leads_to=TO_DATA_QUALITY),
            Query("of the failed", shared.compute_unclassified_share(), RATIO, leads_to=TO_DATA_QUALITY),
            Query("failed", shared.FAILURES, leads_to=TO_DATA_QUALITY),
        ),
        build_trend(
            PanelSpec(
                "Unclassified, over time",
                "The number of failed experiments with a group and without a group. Each point covers the window that "
                "ends at that time.",
                width=9,
            ),
            Query("unclassified", shared.UNCLASSIFIED, colour="#8e8e8e"),
            Query("classified", shared.CLASSIFIED, colour="blue"),
            stacked=True,
        ),
        build_table(
            PanelSpec(
                "Reclassified",
                "How often failures moved from one group to another in the time range of this dashboard. Changing your "
                "mind is part of learning.",
                width=9,
                missing=explain_none("no failure moved from one group to another"),
            ),
            [Key("From", "from_category"), Key("To", "to_category")],
            [Column("Times", f"{_MOVES} > 0")],
        ),
    ],
    fixed_id=220419,
)

_LEARNING = Section(
    "When did someone last share a failed experiment?",
    [
        shared_panels.build_last_shared(TO_TEAM),
        shared_panels.build_sharing_trend(9, TO_TEAM),
        build_trend(
            PanelSpec(
                "From answer to shared, over time",
                "The time from answer to shared learning, for experiments that were answered in the window and whose "
                "learning was shared. Each point covers the window that ends at that time.",
                width=9,
                missing=explain_too_few("shared answers"),
            ),
            Query("median", shared.select_stage_quantile("answer_to_shared", "0.5"), colour="blue"),
            Query("p90", shared.select_stage_quantile("answer_to_shared", "0.9"), colour="purple"),
            unit=DAYS,
        ),
        shared_panels.build_answer_to_shared(TO_TEAM),
        build_table(
            PanelSpec(
                "Shared learnings by team",
                'The teams in alphabetical order. The words "not yet" mean that the team has never shared a failed '
                "experiment. This is a reason to ask questions, not to blame the team.",
                width=18,
                fixed_id=926786,
            ),
            [Key("Team", "team", TEAMS, TO_TEAM_OF_ROW)],
            [
                Column(
                    "Failure last shared",
                    compute_age(select_each_team("last_failure_shared_timestamp_seconds")),
                    DAYS_AGO,
                    missing="not yet",
                ),
                Column("Learnings shared", sum_each_team("learnings_shared", window=WINDOW)),
                Column("Failed experiments", sum_each_team("failures", window=WINDOW)),
                Column("Unclassified", sum_each_team("failures", category="unclassified", window=WINDOW)),
                Column("Repeated", sum_each_team("repeated_experiments", window=WINDOW)),
            ],
        ),
    ],
)

_REPEATED = Section(
    "Do we try the same idea again?",
    [
        shared_panels.build_repeated(TO_TEAM),
        build_trend(
            PanelSpec(
                "Repeated experiments, over time",
                "The number of ideas proposed, and how often an idea started again after an earlier experiment with "
                "the same idea was concluded or forgotten. Each point covers the window that ends at that time.",
                width=18,
                fixed_id=98664,
            ),
            Query("repeated", shared.REPEATED, colour="purple"),
            Query("ideas", shared.PROPOSED, colour="#8e8e8e"),
        ),
    ],
    fixed_id=646784,
)

FAILURES = Board(
    FAILURES_UID,
    "Failures and learning",
    "The kinds of failure, the failures without a group, and whether learnings are shared.",
    [_MIX, _UNCLASSIFIED, _LEARNING, _REPEATED],
)
