"""Data quality: why is this empty? Sources, silence, deliveries that did not count, and what nobody said."""

from dashboards import readings
from dashboards.board import Board, Section
from dashboards.figures import RATE, SECONDS, Column, Figure, Key
from dashboards.links import DATA_QUALITY_UID, TO_FAILURES, TO_SERVICE_HEALTH, TO_TEAM
from dashboards.panels import About, answer, bars, none, process_trend, rows, trend
from dashboards.promql import WINDOW, in_range, per_second, select, shared, since, total, total_per_team
from dashboards.words import BROKEN, FRESHNESS, OVER, WITHIN
from service.lifecycle.stages import STAGE_NAMES
from service.metrics.view import NO_TEAM
from service.telemetry import RESULTS, VERDICTS

_LAST = f"max by (source) ({select('source_last_delivery_timestamp_seconds')})"

_FIGURES = Section(
    "Are there figures at all?",
    [
        answer(
            About(
                "Figures",
                "How old the figures about experiments are. One process, the leader of the workers, exports them "
                "every few seconds; while PostgreSQL is away it keeps the last.",
                missing="nothing is exported: is a worker running, and is it scraped?",
            ),
            Figure(
                "figures",
                since(shared("snapshot_timestamp_seconds")),
                SECONDS,
                FRESHNESS,
                WITHIN,
                [(60, OVER), (300, BROKEN)],
                TO_SERVICE_HEALTH,
            ),
            Figure("old", since(shared("snapshot_timestamp_seconds")), SECONDS, leads_to=TO_SERVICE_HEALTH),
        ),
        answer(
            About(
                "Experiments known",
                "Ratios and quantiles are withheld below the minimum sample (LOOPGAUGE_MIN_SAMPLE): on so few they "
                "would not be fair.",
            ),
            Figure("open", readings.OPEN, leads_to=TO_TEAM),
            Figure("ideas in the window", readings.PROPOSED, leads_to=TO_TEAM),
            Figure("concluded in the window", readings.CONCLUDED, leads_to=TO_TEAM),
            Figure("answered in the window", readings.ANSWERED, leads_to=TO_TEAM),
            Figure("minimum sample", shared("minimum_sample")),
        ),
        bars(
            About(
                "Answers that know each stage",
                "Experiments answered in the window of which both ends of the stage are known. A stage without a "
                "start or a signal is missing, never zero.",
            ),
            *(
                Figure(says, readings.samples(stage), colour="blue", leads_to=TO_TEAM)
                for stage, says in STAGE_NAMES.items()
            ),
        ),
        bars(
            About(
                "Left out of the figures",
                "What was marked as an experiment and does not count, by reason, of the whole organisation: its mark "
                "was taken off, it is a duplicate, it was deleted, a stage would be negative, or a time lies in the "
                "future.",
            ),
            Figure("{{reason}}", shared("excluded", "reason", window=WINDOW), colour="#8e8e8e"),
        ),
    ],
)

_SAID = Section(
    "What did nobody say?",
    [
        answer(
            About(
                "Undeclared and unclassified",
                "Nothing is made up: what nobody said is shown as that. Labels outcome:, failure:, risk: and team: "
                "say it, at any time, also after the end.",
                width=8,
            ),
            Figure(
                "closed without an outcome",
                total("experiments_concluded", outcome="undeclared", window=WINDOW),
                leads_to=TO_TEAM,
            ),
            Figure("failures without a group", readings.UNCLASSIFIED, leads_to=TO_FAILURES),
            Figure(
                "ideas, neither bold nor safe",
                total("experiments_proposed", risk="undeclared", window=WINDOW),
                leads_to=TO_TEAM,
            ),
            Figure("ideas of no team, of all", total_per_team("experiments_proposed", team=NO_TEAM, window=WINDOW)),
        ),
        trend(
            About(
                "What nobody said, over time",
                "In the window that ends at each point.",
                width=8,
            ),
            Figure(
                "closed without an outcome",
                total("experiments_concluded", outcome="undeclared", window=WINDOW),
                colour="blue",
            ),
            Figure("failures without a group", readings.UNCLASSIFIED, colour="purple"),
            Figure(
                "ideas, neither bold nor safe",
                total("experiments_proposed", risk="undeclared", window=WINDOW),
                colour="yellow",
            ),
        ),
        trend(
            About(
                "Left out, over time",
                "What was left out of the figures in the window that ends at each point, of the whole organisation.",
                width=8,
            ),
            Figure("{{reason}}", shared("excluded", "reason", window=WINDOW)),
        ),
    ],
)

_SOURCES = Section(
    "Do the sources send anything?",
    [
        rows(
            About(
                "Sources",
                "Requests in the time range of this dashboard by what became of them, and when each source was last "
                "heard of. Refused: the signature is wrong or missing. _unknown: no source of that name is "
                "configured. GET /deliveries tells of each delivery why it did or did not count.",
                width=16,
            ),
            [Key("Source", "source")],
            [
                Column("Last heard of", since(_LAST), SECONDS),
                *(Column(result.title(), in_range("deliveries_total", "source", result=result)) for result in RESULTS),
            ],
        ),
        bars(
            About(
                "Silence",
                "How long each source has not been heard of. A source that was never heard of is not here, but in the "
                "table.",
                width=8,
                missing=none("no source was ever heard of"),
            ),
            Figure("{{source}}", since(_LAST), colour="blue", leads_to=TO_SERVICE_HEALTH),
            unit=SECONDS,
        ),
    ],
)

_VERDICTS = Section(
    "Which deliveries count?",
    [
        rows(
            About(
                "Verdicts",
                "What became of each source's deliveries in the time range of this dashboard. Ignored: they say "
                "nothing about an experiment, as most do. Failed: they could not be read; they are kept and can be "
                "retried.",
                width=8,
            ),
            [Key("Source", "source")],
            [Column(verdict.title(), in_range("interpreted_total", "source", verdict=verdict)) for verdict in VERDICTS],
        ),
        process_trend(
            About("Verdicts, over time", "Deliveries a second by their verdict.", width=8),
            *(
                Figure(verdict, per_second("interpreted_total", "verdict", verdict=verdict), colour=colour)
                for verdict, colour in zip(VERDICTS, ("blue", "#8e8e8e", "orange"), strict=True)
            ),
            unit=RATE,
            stacked=True,
        ),
        process_trend(
            About(
                "Requests that were not stored, over time",
                "Refused and failed requests a second by source: a secret that is not the same on both sides, mostly.",
                width=8,
            ),
            *(
                Figure(f"{{{{source}}}} {result}", per_second("deliveries_total", "source", result=result))
                for result in ("refused", "error")
            ),
            unit=RATE,
        ),
    ],
)

DATA_QUALITY = Board(
    DATA_QUALITY_UID,
    "Data quality",
    "Why is this empty? What came in, what counted, what was left out, and what nobody said.",
    [_FIGURES, _SAID, _SOURCES, _VERDICTS],
    since="now-7d",
)
