"""Is our organisation learning? The four questions, for leaders."""

from dashboards import answers, readings
from dashboards.board import Board, Section
from dashboards.figures import RATIO, SECONDS, Column, Figure, Key
from dashboards.links import LEARNING_UID, TO_DATA_QUALITY, TO_FAILURES, TO_TEAM, TO_TEAM_OF_ROW
from dashboards.panels import About, answer, rows, trend
from dashboards.promql import WINDOW, per_team, row, share, since, too_few, total, total_per_team
from dashboards.words import AGO, BOLDNESS, DURATIONS, RISK_COLOURS, TEAMS, WITHHELD
from service.lifecycle.taxonomy import Risk

_BOLD = total("experiments_proposed", risk=Risk.BOLD, window=WINDOW)
_SAFE = total("experiments_proposed", risk=Risk.SAFE, window=WINDOW)
_BOLDNESS = share(_BOLD, _SAFE)


def _waits(risk: Risk, ideas: str) -> list[Figure]:
    """How long ideas of a risk wait until they are picked up."""
    waited = row("pickup_quantile_seconds", risk=risk, window=WINDOW, q="0.5")
    return [
        Figure(f"a {risk} one", waited, SECONDS, DURATIONS, leads_to=TO_DATA_QUALITY),
        Figure(f"a {risk} one", too_few(ideas, waited), SECONDS, WITHHELD, leads_to=TO_DATA_QUALITY),
        Figure(f"median, {risk}", waited, SECONDS, leads_to=TO_DATA_QUALITY),
        Figure(f"{risk} ideas", ideas, leads_to=TO_DATA_QUALITY),
    ]


_HOW_LONG = Section(
    'How long from "I want to try something" to knowing whether it worked?',
    [
        answers.idea_to_answer(TO_TEAM),
        answers.speed_over_time(TO_TEAM),
        answers.with_open_loops(TO_TEAM),
    ],
)

_SHARED = Section(
    "When did someone last share a failed experiment?",
    [
        answers.last_shared(TO_FAILURES),
        answers.shared_over_time(12, TO_FAILURES),
        answers.answer_to_shared(TO_FAILURES),
    ],
)

_FAILURES = Section(
    "Which of Edmondson's groups is the biggest?",
    [
        [answers.biggest_group(TO_FAILURES), answers.failed_of_how_many(TO_FAILURES)],
        answers.failure_rates_over_time(12, TO_FAILURES),
        answers.failure_rates(6, TO_FAILURES),
    ],
)

_RISK = Section(
    "Do people want the risky projects or the safe ones?",
    [
        answer(
            About(
                "Bold or safe",
                "Bold over bold and safe, of the ideas of the window for which somebody said which. Withheld below the "
                "minimum sample.",
            ),
            Figure("of the ideas", _BOLDNESS, RATIO, BOLDNESS, leads_to=TO_DATA_QUALITY),
            Figure(
                "of the ideas",
                too_few(f"({_BOLD} + {_SAFE})", f"({_BOLDNESS})"),
                RATIO,
                WITHHELD,
                leads_to=TO_DATA_QUALITY,
            ),
            Figure("bold, of bold and safe", _BOLDNESS, RATIO, leads_to=TO_DATA_QUALITY),
            Figure("bold", _BOLD, leads_to=TO_DATA_QUALITY),
            Figure("safe", _SAFE, leads_to=TO_DATA_QUALITY),
        ),
        trend(
            About(
                "Ideas, over time",
                "Ideas in the window that ends at each point, by risk; undeclared where nobody said which.",
                width=12,
            ),
            *(
                Figure(
                    risk,
                    total("experiments_proposed", risk=risk, window=WINDOW),
                    colour=colour,
                    leads_to=TO_DATA_QUALITY,
                )
                for risk, colour in RISK_COLOURS.items()
            ),
            stacked=True,
        ),
        answer(
            About(
                "How long an idea waits to be picked up",
                "Median time from idea to start, of the ideas of the window that were started. Bold ideas that wait "
                "longer than safe ones are the preference that nobody states. Withheld below the minimum sample.",
            ),
            *_waits(Risk.BOLD, _BOLD),
            *_waits(Risk.SAFE, _SAFE),
        ),
    ],
)

_AROUND = Section(
    "What happens to the others?",
    [
        answer(
            About(
                "Open loops",
                "Overdue: open, and older than the team's threshold. Forgotten: open, and long without activity.",
            ),
            *readings.open_loops(TO_TEAM),
        ),
        answers.given_up(TO_TEAM),
        answers.demo_to_production(TO_TEAM),
        answers.started_again(TO_FAILURES),
    ],
)

_TEAMS = Section(
    "The same, team by team",
    [
        rows(
            About(
                "Each team",
                "In the order of their names. A figure is empty where fewer experiments than the minimum sample stand "
                "behind it. Not a ranking: teams try different things. A click on a name leads to the team.",
                width=24,
                height=10,
            ),
            [Key("Team", "team", TEAMS, TO_TEAM_OF_ROW)],
            [
                Column("Answers", total_per_team("stage_samples", stage="idea_to_answer", window=WINDOW)),
                Column(
                    "Idea to answer",
                    per_team("stage_quantile_seconds", stage="idea_to_answer", window=WINDOW, q="0.5"),
                    SECONDS,
                    DURATIONS,
                    "too few to tell",
                ),
                Column(
                    "9 in 10 within",
                    per_team("stage_quantile_seconds", stage="idea_to_answer", window=WINDOW, q="0.9"),
                    SECONDS,
                    missing="too few to tell",
                ),
                Column(
                    "Within the threshold",
                    per_team("answered_within_threshold_ratio", window=WINDOW),
                    RATIO,
                    missing="too few to tell",
                ),
                Column("Threshold", per_team("threshold_seconds"), SECONDS),
                Column(
                    "Failure last shared",
                    since(per_team("last_failure_shared_timestamp_seconds")),
                    SECONDS,
                    AGO,
                    "not yet",
                ),
                Column("Open", total_per_team("experiments_in_flight")),
                Column("Overdue", total_per_team("experiments_overdue")),
                Column("Forgotten", total_per_team("experiments_forgotten")),
            ],
        )
    ],
)

LEARNING = Board(
    LEARNING_UID,
    "Is our organisation learning?",
    "How long it takes to know whether an idea worked, and what kinds of failure we learn from.",
    [_HOW_LONG, _SHARED, _FAILURES, _RISK, _AROUND, _TEAMS],
)
