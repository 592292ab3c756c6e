"""The dashboard *Team*: how one team's experiments end, how long they take, and which of them are overdue."""

from dashboards import shared_panels
from dashboards import shared_queries as shared
from dashboards.board import Board, Section
from dashboards.links import TEAM_UID, TO_DATA_QUALITY, TO_EXPERIMENT, TO_FAILURES
from dashboards.panels import (
    PanelSpec,
    build_bars,
    build_histogram,
    build_stat,
    build_table,
    build_trend,
    explain_none,
    explain_too_few,
)
from dashboards.promql import WINDOW, compute_age, list_series, select_team_row, sum_buckets, sum_counts
from dashboards.queries import DAYS, DAYS_AGO, RATIO, Column, Key, Query
from dashboards.words import OUTCOME_COLOURS, TEAMS
from service.lifecycle.stages import STAGE_NAMES

_LISTED = ("team", "experiment", "url")

_NOW = Section(
    "What is open now?",
    [
        build_stat(
            PanelSpec(
                "Open experiments",
                "Open experiments are either proposed (not started) or running. Overdue experiments are older than "
                "their team's threshold. Forgotten experiments have had no activity for a long time "
                "(LOOPGAUGE_FORGOTTEN_AFTER).",
                fixed_id=469614,
            ),
            *(
                Query(stage, sum_counts("experiments_in_flight", stage=stage), leads_to=TO_DATA_QUALITY)
                for stage in ("proposed", "running")
            ),
            *shared.query_open_experiments(TO_DATA_QUALITY)[1:],
        ),
        build_stat(
            PanelSpec(
                "Oldest idea and last answer",
                "The time since the idea of the oldest open experiment, and the time since the last answer.",
                fixed_id=505404,
            ),
            Query("oldest open idea", compute_age(select_team_row("oldest_open_idea_timestamp_seconds")), DAYS),
            Query("last answer", compute_age(select_team_row("last_answer_timestamp_seconds")), DAYS_AGO),
            Query("threshold", shared.THRESHOLD, DAYS),
        ),
        build_histogram(
            PanelSpec(
                "Age of open experiments",
                "The number of open experiments, by the time since their idea.",
                fixed_id=384186,
            ),
            sum_buckets("experiment_age_seconds"),
        ),
        build_trend(
            PanelSpec(
                "Open experiments, over time",
                "The number of open experiments, and how many of them are overdue or forgotten.",
                fixed_id=642833,
            ),
            Query("open", shared.OPEN, colour="blue"),
            Query("overdue", shared.OVERDUE, colour="orange"),
            Query("forgotten", shared.FORGOTTEN, colour="#8e8e8e"),
        ),
        build_table(
            PanelSpec(
                "Overdue",
                "The open experiments that are older than their team's threshold. The table lists the 20 most overdue "
                "experiments of all teams, and each team's 5 most overdue experiments that are not forgotten. The "
                'panel "Open experiments" counts all overdue experiments. Click an experiment to open its page.',
                width=24,
                missing=explain_none("no experiment of this team is overdue, or all of them are forgotten"),
            ),
            [
                Key("Experiment", "experiment", leads_to=TO_EXPERIMENT),
                Key("Team", "team", TEAMS),
                Key("Address", "url", hidden=True),
            ],
            [
                Column(
                    "Time since the idea",
                    f"{list_series('experiment_overdue_age_seconds', *_LISTED)} or "
                    f"{list_series('experiment_overdue_active_age_seconds', *_LISTED)}",
                    DAYS,
                )
            ],
            largest="Time since the idea",
        ),
    ],
)

_SPEED = Section(
    'How long from "I want to try something" to knowing whether it worked?',
    [
        shared_panels.build_idea_to_answer(TO_DATA_QUALITY),
        shared_panels.build_speed_trend(TO_DATA_QUALITY),
        shared_panels.build_including_open(TO_DATA_QUALITY),
        build_trend(
            PanelSpec(
                "Answered by the threshold, over time",
                "The yellow line is the estimated share of ideas that are answered within the threshold, including "
                "open experiments. The blue line is the share of answers that came within the threshold. If the blue "
                "line is far above the yellow line, many experiments stay open or are abandoned. If all teams are "
                "chosen, the yellow line uses the default threshold, and the blue line compares each answer with its "
                "own team's threshold. Each point covers the window that ends at that time.",
                width=12,
                missing=explain_too_few("ideas and answers"),
            ),
            Query("share of the ideas, including open ones", shared.ANSWERED_BY_THRESHOLD, colour="yellow"),
            Query("share of the answers", shared.WITHIN_THRESHOLD, colour="blue"),
            unit=RATIO,
        ),
        build_trend(
            PanelSpec(
                "Ideas and answers, over time",
                'The numbers of ideas and of answers from which the panel "Answered by the threshold, over time" '
                "computes its shares. Each point covers the window that ends at that time.",
                width=12,
            ),
            Query("ideas", shared.PROPOSED, colour="yellow"),
            Query("answers", shared.TIMED, colour="blue"),
        ),
    ],
)

_STAGES = Section(
    "Where does the time go?",
    [
        build_bars(
            PanelSpec(
                "Median of each stage",
                "The median length of each stage, for experiments that were answered in the window and completed the "
                "stage. A value is withheld if it covers fewer experiments than the minimum sample.",
                width=8,
                missing=explain_too_few("answers"),
                fixed_id=389751,
            ),
            *(
                Query(name, shared.select_stage_quantile(stage, "0.5"), colour="blue", leads_to=TO_DATA_QUALITY)
                for stage, name in STAGE_NAMES.items()
            ),
            unit=DAYS,
        ),
        build_bars(
            PanelSpec(
                "p90 of each stage",
                "The 90th percentile of the length of each stage: one in ten experiments takes longer.",
                width=8,
                missing=explain_too_few("answers"),
                fixed_id=762293,
            ),
            *(
                Query(name, shared.select_stage_quantile(stage, "0.9"), colour="purple", leads_to=TO_DATA_QUALITY)
                for stage, name in STAGE_NAMES.items()
            ),
            unit=DAYS,
        ),
        build_bars(
            PanelSpec(
                "Sample of each stage",
                "The number of experiments that were answered in the window and completed the stage.",
                width=8,
                fixed_id=311278,
            ),
            *(
                Query(name, shared.count_stage_samples(stage), colour="#8e8e8e", leads_to=TO_DATA_QUALITY)
                for stage, name in STAGE_NAMES.items()
            ),
        ),
        build_trend(
            PanelSpec(
                "p75 of each stage, over time",
                "The 75th percentile of the length of each stage: one in four experiments takes longer. Each point "
                "covers the window that ends at that time.",
                width=16,
                missing=explain_too_few("answers"),
                fixed_id=25508,
            ),
            *(Query(name, shared.select_stage_quantile(stage, "0.75")) for stage, name in STAGE_NAMES.items()),
            unit=DAYS,
        ),
        build_histogram(
            PanelSpec(
                "Time to answer",
                "The number of experiments answered in the window, by their time from idea to answer.",
                width=8,
                fixed_id=659220,
            ),
            sum_buckets("idea_to_answer_seconds", window=WINDOW),
        ),
    ],
)

_OUTCOMES = Section(
    "How do experiments end?",
    [
        build_trend(
            PanelSpec(
                "Outcomes, over time",
                "The number of concluded experiments, by outcome. Each point covers the window that ends at that "
                "time. Undeclared experiments were closed without an outcome.",
                width=12,
            ),
            *(
                Query(outcome, sum_counts("experiments_concluded", outcome=outcome, window=WINDOW), colour=colour)
                for outcome, colour in OUTCOME_COLOURS.items()
            ),
            stacked=True,
        ),
        shared_panels.build_abandoned(TO_DATA_QUALITY),
        shared_panels.build_last_shared(TO_FAILURES),
    ],
)

TEAM = Board(
    TEAM_UID,
    "Team",
    "The experiments of one team or of all teams: how long they take, where the time goes, and which are overdue.",
    [_NOW, _SPEED, _STAGES, _OUTCOMES],
)
