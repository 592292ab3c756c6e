"""The dashboard *Data quality* explains empty panels: silent sources, ignored deliveries, missing declarations."""

from dashboards import shared_queries as shared
from dashboards.board import Board, Section
from dashboards.links import DATA_QUALITY_UID, TO_FAILURES, TO_SERVICE_HEALTH, TO_TEAM
from dashboards.panels import (
    PanelSpec,
    build_bars,
    build_process_trend,
    build_stat,
    build_table,
    build_trend,
    explain_none,
)
from dashboards.promql import (
    WINDOW,
    compute_age,
    compute_increase,
    compute_rate,
    merge_replicas,
    select,
    sum_counts,
    sum_each_team,
)
from dashboards.queries import RATE, SECONDS, Column, Key, Query
from dashboards.words import BROKEN, FRESHNESS, OVER, WITHIN
from service.lifecycle.stages import STAGE_NAMES
from service.metrics.view import NO_TEAM
from service.telemetry import RESULTS, VERDICTS

_LAST_DELIVERY = f"max by (source) ({select('source_last_delivery_timestamp_seconds')})"
_SNAPSHOT_AGE = compute_age(merge_replicas("snapshot_timestamp_seconds"))
_UNDECLARED = sum_counts("experiments_concluded", outcome="undeclared", window=WINDOW)
_NO_RISK = sum_counts("experiments_proposed", risk="undeclared", window=WINDOW)

_METRICS = Section(
    "Are there any metrics?",
    [
        build_stat(
            PanelSpec(
                "Metrics",
                "The age of the metrics about experiments. One process, the leader of the workers, computes them every "
                "few seconds. While PostgreSQL is unavailable, it keeps exporting the last values.",
                missing="nothing is exported: is a worker running, and is it scraped?",
                fixed_id=716935,
            ),
            Query("metrics", _SNAPSHOT_AGE, SECONDS, FRESHNESS, WITHIN, [(60, OVER), (300, BROKEN)], TO_SERVICE_HEALTH),
            Query("age", _SNAPSHOT_AGE, SECONDS, leads_to=TO_SERVICE_HEALTH),
        ),
        build_stat(
            PanelSpec(
                "Known experiments",
                "Ratios and quantiles of fewer experiments than the minimum sample (LOOPGAUGE_MIN_SAMPLE) are "
                "withheld, because they would not be reliable.",
                fixed_id=858470,
            ),
            Query("open", shared.OPEN, leads_to=TO_TEAM),
            Query("ideas in the window", shared.PROPOSED, leads_to=TO_TEAM),
            Query("concluded in the window", shared.CONCLUDED, leads_to=TO_TEAM),
            Query("answered in the window", shared.ANSWERED, leads_to=TO_TEAM),
            Query("minimum sample", merge_replicas("minimum_sample")),
        ),
        build_bars(
            PanelSpec(
                "Sample of each stage",
                "Experiments answered in the window for which the beginning and the end of the stage are known. "
                "A stage without both ends is missing, never zero.",
                fixed_id=341953,
            ),
            *(
                Query(name, shared.count_stage_samples(stage), colour="blue", leads_to=TO_TEAM)
                for stage, name in STAGE_NAMES.items()
            ),
        ),
        build_bars(
            PanelSpec(
                "Excluded from metrics",
                "Experiments of all teams that do not count, by reason. An experiment was unmarked, is a duplicate, "
                "was deleted, has a stage with a negative length, or has a time in the future.",
                fixed_id=103761,
            ),
            Query("{{reason}}", merge_replicas("excluded", "reason", window=WINDOW), colour="#8e8e8e"),
        ),
    ],
    fixed_id=756839,
)

_DECLARED = Section(
    "Which declarations are missing?",
    [
        build_stat(
            PanelSpec(
                "Undeclared and unclassified",
                "loopgauge shows a missing value as missing, and never guesses it. Declare the value with a label "
                "outcome:, failure:, risk: or team: at any time, even after the conclusion.",
                width=8,
            ),
            Query("closed without an outcome", _UNDECLARED, leads_to=TO_TEAM),
            Query("failures without a group", shared.UNCLASSIFIED, leads_to=TO_FAILURES),
            Query("ideas, neither bold nor safe", _NO_RISK, leads_to=TO_TEAM),
            Query("ideas of no team", sum_each_team("experiments_proposed", team=NO_TEAM, window=WINDOW)),
        ),
        build_trend(
            PanelSpec(
                "Undeclared and unclassified, over time",
                "Missing declarations in the window that ends at each point.",
                width=8,
                fixed_id=530717,
            ),
            Query("closed without an outcome", _UNDECLARED, colour="blue"),
            Query("failures without a group", shared.UNCLASSIFIED, colour="purple"),
            Query("ideas, neither bold nor safe", _NO_RISK, colour="yellow"),
        ),
        build_trend(
            PanelSpec(
                "Excluded from metrics, over time",
                "Experiments of all teams that do not count, in the window that ends at each point.",
                width=8,
                fixed_id=128102,
            ),
            Query("{{reason}}", merge_replicas("excluded", "reason", window=WINDOW)),
        ),
    ],
    fixed_id=410648,
)

_SOURCES = Section(
    "Do the sources send anything?",
    [
        build_table(
            PanelSpec(
                "Sources",
                "Requests in the time range of this dashboard by result, and the time since the last delivery of each "
                "source. Refused: the signature is wrong or missing. _unknown: no source of that name is configured. "
                "GET /deliveries shows for each delivery why it did or did not count.",
                width=16,
            ),
            [Key("Source", "source")],
            [
                Column("Last delivery", compute_age(_LAST_DELIVERY), SECONDS),
                *(
                    Column(result.title(), compute_increase("deliveries_total", "source", result=result))
                    for result in RESULTS
                ),
            ],
        ),
        build_bars(
            PanelSpec(
                "Time since the last delivery",
                "How long each source has been silent. A source that never sent a delivery is only in the table "
                "Sources.",
                width=8,
                missing=explain_none("no source has ever sent a delivery"),
                fixed_id=741731,
            ),
            Query("{{source}}", compute_age(_LAST_DELIVERY), colour="blue", leads_to=TO_SERVICE_HEALTH),
            unit=SECONDS,
        ),
    ],
)

_STATUS = Section(
    "Which deliveries count?",
    [
        build_table(
            PanelSpec(
                "Status of deliveries",
                "The status of each source's deliveries in the time range of this dashboard. Ignored: not about an "
                "experiment, which is normal for most. Failed: could not be processed; stored, so that you can retry.",
                width=8,
                fixed_id=155178,
            ),
            [Key("Source", "source")],
            [
                Column(status.title(), compute_increase("interpreted_total", "source", verdict=status))
                for status in VERDICTS
            ],
        ),
        build_process_trend(
            PanelSpec(
                "Status of deliveries, over time",
                "Processed deliveries a second, by status.",
                width=8,
                fixed_id=648579,
            ),
            *(
                Query(status, compute_rate("interpreted_total", "verdict", verdict=status), colour=colour)
                for status, colour in zip(VERDICTS, ("blue", "#8e8e8e", "orange"), strict=True)
            ),
            unit=RATE,
            stacked=True,
        ),
        build_process_trend(
            PanelSpec(
                "Requests that were not stored, over time",
                "Refused and failed requests a second, by source. The most frequent cause is a secret that differs "
                "between the source and loopgauge.",
                width=8,
            ),
            *(
                Query(f"{{{{source}}}} {result}", compute_rate("deliveries_total", "source", result=result))
                for result in ("refused", "error")
            ),
            unit=RATE,
        ),
    ],
)

DATA_QUALITY = Board(
    DATA_QUALITY_UID,
    "Data quality",
    "Why is a panel empty? Received deliveries, deliveries that count, excluded experiments, missing declarations.",
    [_METRICS, _DECLARED, _SOURCES, _STATUS],
    since="now-7d",
)
