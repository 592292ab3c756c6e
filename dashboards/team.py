"""One team's loops: stages, ages, answers, and what is overdue."""

from dashboards import answers, readings
from dashboards.board import Board, Section
from dashboards.figures import RATIO, SECONDS, Column, Figure, Key
from dashboards.links import TEAM_UID, TO_DATA_QUALITY, TO_EXPERIMENT, TO_FAILURES
from dashboards.panels import About, answer, bars, few, none, rows, spread, trend
from dashboards.promql import WINDOW, listed, row, since, total
from dashboards.promql import spread as buckets
from dashboards.words import AGO, OUTCOME_COLOURS, TEAMS
from service.lifecycle.stages import STAGE_NAMES

_NOW = Section(
    "What is open now?",
    [
        answer(
            About("Loops", "Open loops: those with a sign of a start are running, the others only proposed."),
            *(
                Figure(stage, total("experiments_in_flight", stage=stage), leads_to=TO_DATA_QUALITY)
                for stage in ("proposed", "running")
            ),
            *readings.open_loops(TO_DATA_QUALITY)[1:],
        ),
        answer(
            About(
                "The oldest, and the last",
                "How long the oldest open idea has been waiting, and when there last was an answer.",
            ),
            Figure("the oldest open idea waits", since(row("oldest_open_idea_timestamp_seconds")), SECONDS),
            Figure("the last answer", since(row("last_answer_timestamp_seconds")), SECONDS, AGO),
            Figure("threshold", readings.THRESHOLD, SECONDS),
        ),
        spread(
            About(
                "How old the open loops are", "Open loops by the time since their idea, between one bound and the next."
            ),
            buckets("experiment_age_seconds"),
        ),
        trend(
            About("Open loops, over time", "Open loops, and those of them that are overdue or forgotten."),
            Figure("open", readings.OPEN, colour="blue"),
            Figure("overdue", readings.OVERDUE, colour="orange"),
            Figure("forgotten", readings.FORGOTTEN, colour="#8e8e8e"),
        ),
        rows(
            About(
                "Overdue",
                "Open, and older than the threshold: those of this team among the 20 of all teams that are furthest "
                "over theirs; how many there are stands above. A click leads to the experiment where it lives.",
                width=24,
                missing=none("none of this team is among the 20 of all that are furthest over"),
            ),
            [
                Key("Experiment", "experiment", leads_to=TO_EXPERIMENT),
                Key("Team", "team", TEAMS),
                Key("Address", "url", hidden=True),
            ],
            [
                Column(
                    "Time since the idea",
                    listed("experiment_overdue_age_seconds", "team", "experiment", "url"),
                    SECONDS,
                )
            ],
            largest="Time since the idea",
        ),
    ],
)

_SPEED = Section(
    'How long from "I want to try something" to knowing whether it worked?',
    [
        answers.idea_to_answer(TO_DATA_QUALITY),
        answers.speed_over_time(TO_DATA_QUALITY),
        answers.with_open_loops(TO_DATA_QUALITY),
        trend(
            About(
                "Answered by the threshold, over time",
                "Of the ideas of each window, the share that is answered by the threshold, with open loops counted; "
                "and of the answers, the share that came by then. Where the second is far above the first, loops are "
                "left open. Of the organisation, ideas are held to the default threshold, and answers each to that of "
                "its own team.",
                width=12,
                missing=few("ideas and answers"),
            ),
            Figure("of the ideas, open loops counted", readings.ANSWERED_BY_THRESHOLD, colour="yellow"),
            Figure("of the answers", readings.WITHIN_THRESHOLD, colour="blue"),
            unit=RATIO,
        ),
        trend(
            About(
                "Ideas and answers, over time",
                "How many experiments stand behind the shares, in the window that ends at each point.",
                width=12,
            ),
            Figure("ideas", readings.PROPOSED, colour="yellow"),
            Figure("answers", readings.TIMED, colour="blue"),
        ),
    ],
)

_STAGES = Section(
    "Where does the time go?",
    [
        bars(
            About(
                "Half of the loops within",
                "Median of each stage, of the experiments answered in the window that know it. Withheld below the "
                "minimum sample.",
                width=8,
                missing=few("answers"),
            ),
            *(
                Figure(says, readings.stage(stage, "0.5"), colour="blue", leads_to=TO_DATA_QUALITY)
                for stage, says in STAGE_NAMES.items()
            ),
            unit=SECONDS,
        ),
        bars(
            About(
                "9 in 10 loops within",
                "90th percentile of each stage: how bad it gets.",
                width=8,
                missing=few("answers"),
            ),
            *(
                Figure(says, readings.stage(stage, "0.9"), colour="purple", leads_to=TO_DATA_QUALITY)
                for stage, says in STAGE_NAMES.items()
            ),
            unit=SECONDS,
        ),
        bars(
            About("Of how many loops", "Experiments answered in the window of which the stage is known.", width=8),
            *(
                Figure(says, readings.samples(stage), colour="#8e8e8e", leads_to=TO_DATA_QUALITY)
                for stage, says in STAGE_NAMES.items()
            ),
        ),
        trend(
            About(
                "Three quarters of the loops within, over time",
                "75th percentile of each stage, of the window that ends at each point.",
                width=16,
                missing=few("answers"),
            ),
            *(Figure(says, readings.stage(stage, "0.75")) for stage, says in STAGE_NAMES.items()),
            unit=SECONDS,
        ),
        spread(
            About(
                "How long answers took",
                "Experiments answered in the window by their time from idea to answer, between one bound and the next.",
                width=8,
            ),
            buckets("idea_to_answer_seconds", window=WINDOW),
        ),
    ],
)

_OUTCOMES = Section(
    "How do experiments end?",
    [
        trend(
            About(
                "Outcomes, over time",
                "Experiments concluded in the window that ends at each point. Undeclared: closed, and nobody said how "
                "it went.",
                width=12,
            ),
            *(
                Figure(outcome, total("experiments_concluded", outcome=outcome, window=WINDOW), colour=colour)
                for outcome, colour in OUTCOME_COLOURS.items()
            ),
            stacked=True,
        ),
        answers.given_up(TO_DATA_QUALITY),
        answers.last_shared(TO_FAILURES),
    ],
)

TEAM = Board(
    TEAM_UID,
    "Team",
    "The loops of one team, or of the whole organisation: how long they take, where the time goes, and which are late.",
    [_NOW, _SPEED, _STAGES, _OUTCOMES],
)
