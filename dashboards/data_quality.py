"""The dashboard *Data quality* shows why panels are empty: silent sources, ignored deliveries, missing values."""

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
                "The age of the metrics about experiments. One process, the leader of the workers, computes these "
                "metrics every few seconds. While PostgreSQL is unavailable, the leader keeps exporting the last "
                "values.",
                missing="no metrics are exported: check that a worker runs and that Prometheus scrapes it",
                fixed_id=716935,
            ),
            Query("metrics", _SNAPSHOT_AGE, SECONDS, FRESHNESS, WITHIN, [(60, OVER), (300, BROKEN)], TO_SERVICE_HEALTH),
            Query("age", _SNAPSHOT_AGE, SECONDS, leads_to=TO_SERVICE_HEALTH),
        ),
        build_stat(
            PanelSpec(
                "Known experiments",
                "How many experiments are open, and how many were proposed, concluded and answered in the window. A "
                "ratio or quantile is withheld if it covers fewer experiments than the minimum sample "
                "(LOOPGAUGE_MIN_SAMPLE), because it would not be reliable.",
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
                "The number of experiments that were answered in the window and for which the length of the stage is "
                "known. If the beginning or the end of the stage is unknown, the length is missing, not zero.",
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
                "The number of experiments that metrics exclude in the window, over all teams, by reason. For example, "
                "metrics exclude an experiment that was unmarked or deleted, is a duplicate, or has a time in the "
                "future. An experiment with a stage that ends before it begins counts here too, although metrics "
                "exclude only that stage.",
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
                "How many experiments lack a declared value; loopgauge does not guess it. You can declare a value at "
                "any time, even after the conclusion: add a label that begins with outcome:, failure:, risk: or team:.",
                width=8,
            ),
            Query("closed without an outcome", _UNDECLARED, leads_to=TO_TEAM),
            Query("failures without a group", shared.UNCLASSIFIED, leads_to=TO_FAILURES),
            Query("ideas without a risk", _NO_RISK, leads_to=TO_TEAM),
            Query("ideas without a team", sum_each_team("experiments_proposed", team=NO_TEAM, window=WINDOW)),
        ),
        build_trend(
            PanelSpec(
                "Undeclared and unclassified, over time",
                "The number of experiments that lack an outcome, a group of failures, or a risk. Each point covers the "
                "window that ends at that time.",
                width=8,
                fixed_id=530717,
            ),
            Query("closed without an outcome", _UNDECLARED, colour="blue"),
            Query("failures without a group", shared.UNCLASSIFIED, colour="purple"),
            Query("ideas without a risk", _NO_RISK, colour="yellow"),
        ),
        build_trend(
            PanelSpec(
                "Excluded from metrics, over time",
                "The number of experiments that metrics exclude, over all teams, by reason. Each point covers the "
                "window that ends at that time.",
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
                "The time since each source's last delivery, and the number of its requests in the time range of this "
                "dashboard, by result. A request is refused, for example, if its signature is wrong or missing. The "
                "row _unknown counts requests to sources that are not configured. For each delivery, GET /deliveries "
                "shows why the delivery did or did not count.",
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
                "The time since each source's last delivery. A source that has never sent a delivery appears only in "
                'the table "Sources".',
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
                "The number of deliveries of each source in the time range of this dashboard, by status. Ignored "
                "deliveries are not about an experiment, which is normal for most deliveries. Failed deliveries could "
                "not be processed; loopgauge keeps them, so that you can retry them.",
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
                "The number of deliveries that are processed per second, by status.",
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
                "How many requests per second were refused, and how many ended in an error, by source. The most "
                "frequent cause of a refusal is that the source and loopgauge have different secrets.",
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
    "Why a panel is empty: which deliveries arrive, which of them count, which experiments are excluded, "
    "and which declarations are missing.",
    [_METRICS, _DECLARED, _SOURCES, _STATUS],
    since="now-7d",
)
