"""The dashboard *Is our organisation learning?* answers the four questions for leaders."""

from dashboards import shared_panels
from dashboards import shared_queries as shared
from dashboards.board import Board, Section
from dashboards.links import LEARNING_UID, TO_DATA_QUALITY, TO_FAILURES, TO_TEAM, TO_TEAM_OF_ROW
from dashboards.panels import PanelSpec, build_stat, build_table, build_trend
from dashboards.promql import (
    WINDOW,
    compute_age,
    compute_share,
    mark_too_few,
    select_each_team,
    select_team_row,
    sum_counts,
    sum_each_team,
)
from dashboards.queries import DAYS, DAYS_AGO, RATIO, SECONDS, Column, Key, Query
from dashboards.words import BOLDNESS, RISK_COLOURS, TEAMS, WITHHELD
from service.lifecycle.taxonomy import Risk

_BOLD = sum_counts("experiments_proposed", risk=Risk.BOLD, window=WINDOW)
_SAFE = sum_counts("experiments_proposed", risk=Risk.SAFE, window=WINDOW)
_BOLDNESS = compute_share(_BOLD, _SAFE)


def _query_wait(risk: Risk, ideas: str) -> list[Query]:
    """Query the time from idea to start, for ideas with this declared risk."""
    median = select_team_row("pickup_quantile_seconds", risk=risk, window=WINDOW, q="0.5")
    return [
        Query(f"{risk}: median", median, DAYS, leads_to=TO_DATA_QUALITY),
        Query(f"{risk}: median", mark_too_few(ideas, median), SECONDS, WITHHELD, leads_to=TO_DATA_QUALITY),
        Query(f"{risk}: ideas", ideas, leads_to=TO_DATA_QUALITY),
    ]


_HOW_LONG = Section(
    'How long from "I want to try something" to knowing whether it worked?',
    [
        shared_panels.build_idea_to_answer(TO_TEAM),
        shared_panels.build_speed_trend(TO_TEAM),
        shared_panels.build_including_open(TO_TEAM),
    ],
)

_SHARED = Section(
    "When did someone last share a failed experiment?",
    [
        shared_panels.build_last_shared(TO_FAILURES),
        shared_panels.build_sharing_trend(12, TO_FAILURES),
        shared_panels.build_answer_to_shared(TO_FAILURES),
    ],
)

_FAILURES = Section(
    "Which of Edmondson's groups of failures is the biggest?",
    [
        [shared_panels.build_biggest_group(TO_FAILURES), shared_panels.build_failure_sample(TO_FAILURES)],
        shared_panels.build_failure_rates_trend(12, TO_FAILURES),
        shared_panels.build_failure_rates(6, TO_FAILURES),
    ],
    fixed_id=380357,
)

_RISK = Section(
    "Do people want the risky projects or the safe ones?",
    [
        build_stat(
            PanelSpec(
                "Bold or safe",
                "The share of bold ideas among the ideas of the window that are declared bold or safe. The share is "
                "withheld if the number of these ideas is below the minimum sample.",
            ),
            Query("of the ideas", _BOLDNESS, RATIO, BOLDNESS, leads_to=TO_DATA_QUALITY),
            Query(
                "of the ideas",
                mark_too_few(f"({_BOLD} + {_SAFE})", f"({_BOLDNESS})"),
                RATIO,
                WITHHELD,
                leads_to=TO_DATA_QUALITY,
            ),
            Query("share of bold", _BOLDNESS, RATIO, leads_to=TO_DATA_QUALITY),
            Query("bold", _BOLD, leads_to=TO_DATA_QUALITY),
            Query("safe", _SAFE, leads_to=TO_DATA_QUALITY),
        ),
        build_trend(
            PanelSpec(
                "Ideas, over time",
                "The number of ideas, by risk. Each point covers the window that ends at that time. An idea that is "
                "not declared bold or safe is undeclared.",
                width=12,
            ),
            *(
                Query(
                    risk,
                    sum_counts("experiments_proposed", risk=risk, window=WINDOW),
                    colour=colour,
                    leads_to=TO_DATA_QUALITY,
                )
                for risk, colour in RISK_COLOURS.items()
            ),
            stacked=True,
        ),
        build_stat(
            PanelSpec(
                "Wait before start",
                "The median time from idea to start, for ideas that were proposed in the window and have started. If "
                "bold ideas wait longer than safe ideas, people prefer safe ideas, even if they say otherwise. A "
                "median is withheld if it covers fewer ideas than the minimum sample.",
                fixed_id=125048,
            ),
            *_query_wait(Risk.BOLD, _BOLD),
            *_query_wait(Risk.SAFE, _SAFE),
        ),
    ],
)

_OTHERS = Section(
    "Which experiments are open, abandoned, shipped or repeated?",
    [
        build_stat(
            PanelSpec(
                "Open experiments",
                "Overdue experiments are open and older than their team's threshold. Forgotten experiments are open "
                "and have had no activity for a long time (LOOPGAUGE_FORGOTTEN_AFTER).",
                fixed_id=937516,
            ),
            *shared.query_open_experiments(TO_TEAM),
        ),
        shared_panels.build_abandoned(TO_TEAM),
        shared_panels.build_demo_to_production(TO_TEAM),
        shared_panels.build_repeated(TO_FAILURES),
    ],
    fixed_id=426360,
)

_TEAMS = Section(
    "How is each team doing?",
    [
        build_table(
            PanelSpec(
                "Teams",
                "The teams in alphabetical order, with the median and the p90 of the time from idea to answer. The "
                'words "too few to tell" replace a value that covers fewer experiments than the minimum sample. This '
                "table is not a ranking, because teams try different things. Click a team's name to see its "
                "experiments.",
                width=24,
                height=10,
                fixed_id=273996,
            ),
            [Key("Team", "team", TEAMS, TO_TEAM_OF_ROW)],
            [
                Column("Answers", sum_each_team("stage_samples", stage="idea_to_answer", window=WINDOW)),
                Column(
                    "Median",
                    select_each_team("stage_quantile_seconds", stage="idea_to_answer", window=WINDOW, q="0.5"),
                    DAYS,
                    missing="too few to tell",
                ),
                Column(
                    "p90",
                    select_each_team("stage_quantile_seconds", stage="idea_to_answer", window=WINDOW, q="0.9"),
                    DAYS,
                    missing="too few to tell",
                ),
                Column(
                    "Within the threshold",
                    select_each_team("answered_within_threshold_ratio", window=WINDOW),
                    RATIO,
                    missing="too few to tell",
                ),
                Column("Threshold", select_each_team("threshold_seconds"), DAYS),
                Column(
                    "Failure last shared",
                    compute_age(select_each_team("last_failure_shared_timestamp_seconds")),
                    DAYS_AGO,
                    missing="not yet",
                ),
                Column("Open", sum_each_team("experiments_in_flight")),
                Column("Overdue", sum_each_team("experiments_overdue")),
                Column("Forgotten", sum_each_team("experiments_forgotten")),
            ],
        )
    ],
    fixed_id=418791,
)

LEARNING = Board(
    LEARNING_UID,
    "Is our organisation learning?",
    "How long it takes to know whether an idea worked, and what kinds of failure we learn from.",
    [_HOW_LONG, _SHARED, _FAILURES, _RISK, _OTHERS, _TEAMS],
)
