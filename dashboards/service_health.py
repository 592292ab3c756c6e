"""The dashboard *Service health*: metrics that loopgauge's processes export about themselves."""

from dashboards.board import Board, Section
from dashboards.links import SERVICE_HEALTH_UID, TO_DATA_QUALITY
from dashboards.panels import PanelSpec, build_process_trend, build_stat, explain_none
from dashboards.promql import (
    compute_age,
    compute_rate,
    estimate_quantile,
    keep_loopgauge_processes,
    merge_replicas,
    select,
    select_by_name,
    sum_processes,
)
from dashboards.queries import BYTES, NUMBER, RATE, SECONDS, Query
from dashboards.words import BROKEN, FRESHNESS, OVER, WITHIN

_SNAPSHOT_AGE = compute_age(merge_replicas("snapshot_timestamp_seconds"))
_SNAPSHOT_DURATION = merge_replicas("snapshot_duration_seconds")
_LONGEST_WAIT = merge_replicas("inbox_oldest_pending_seconds")
_CPU_RATE = f"rate({select_by_name('process_cpu_seconds_total')}[$__rate_interval])"

_NOW = Section(
    "Does loopgauge work now?",
    [
        build_stat(
            PanelSpec(
                "Processes",
                "The number of processes that Prometheus scrapes, by role and version, and how many of them export "
                "the metrics about experiments. Only one process should export these metrics: the leader of the "
                "workers.",
                missing="Prometheus scrapes no process of loopgauge",
            ),
            Query("{{role}}, version {{version}}", f"count by (role, version) ({select('build_info')})"),
            Query("export metrics", f"count({select('snapshot_timestamp_seconds')})", bounds=[(2, OVER)]),
        ),
        build_stat(
            PanelSpec(
                "Metrics",
                "The age of the metrics about experiments, and the time that the leader took to compute them.",
                missing="no metrics are exported: no worker is the leader, or Prometheus does not scrape the leader",
                fixed_id=716935,
            ),
            Query("metrics", _SNAPSHOT_AGE, SECONDS, FRESHNESS, WITHIN, [(60, OVER), (300, BROKEN)], TO_DATA_QUALITY),
            Query("age", _SNAPSHOT_AGE, SECONDS, leads_to=TO_DATA_QUALITY),
            Query("time to compute", _SNAPSHOT_DURATION, SECONDS, leads_to=TO_DATA_QUALITY),
        ),
        build_stat(
            PanelSpec(
                "Queue",
                "The number of deliveries in the queue, how long the oldest of them has waited, and the number of "
                "failed deliveries, which you can retry.",
                missing=explain_none("PostgreSQL does not respond"),
                fixed_id=136126,
            ),
            Query("in the queue", merge_replicas("inbox_pending")),
            Query("longest wait", _LONGEST_WAIT, SECONDS, (), WITHIN, [(60, OVER), (600, BROKEN)]),
            Query("failed", merge_replicas("inbox_failed"), bounds=[(1, OVER)], leads_to=TO_DATA_QUALITY),
        ),
        build_stat(
            PanelSpec(
                "Updates and spool",
                "The number of subjects whose experiments wait for an update, the number of these subjects that are "
                "set aside, and the number of deliveries that wait in the spools until PostgreSQL responds.",
                missing=explain_none("PostgreSQL does not respond"),
                fixed_id=570807,
            ),
            Query("to update", merge_replicas("projection_pending")),
            Query("set aside", merge_replicas("projection_set_aside"), bounds=[(1, OVER)]),
            Query("in the spool", sum_processes("spool_pending"), bounds=[(1, OVER)]),
        ),
    ],
    fixed_id=643702,
)

_DELIVERIES = Section(
    "Are deliveries received and processed?",
    [
        build_process_trend(
            PanelSpec("Deliveries", "The number of webhook requests per second, by result.", width=8),
            Query("{{result}}", compute_rate("deliveries_total", "result")),
            unit=RATE,
            stacked=True,
        ),
        build_process_trend(
            PanelSpec(
                "Queues",
                "How many deliveries wait in the queue, how many subjects have experiments that wait for an update, "
                "and how many deliveries wait in the spools.",
                width=8,
                missing=explain_none("PostgreSQL did not respond"),
                fixed_id=103923,
            ),
            Query("in the queue", merge_replicas("inbox_pending")),
            Query("to update", merge_replicas("projection_pending")),
            Query("in the spool", sum_processes("spool_pending")),
        ),
        build_process_trend(
            PanelSpec(
                "From receipt to metrics",
                "The time from the receipt of a delivery until the exported metrics include the delivery, for "
                'deliveries whose status is "counted". The times are estimated from histogram buckets.',
                width=8,
                missing=explain_none("no delivery has reached the metrics"),
                fixed_id=928483,
            ),
            Query("median", estimate_quantile("delivery_to_visible_seconds", 0.5)),
            Query("p99", estimate_quantile("delivery_to_visible_seconds", 0.99)),
            unit=SECONDS,
        ),
    ],
    fixed_id=806314,
)

_REQUESTS = Section(
    "Are requests answered?",
    [
        build_process_trend(
            PanelSpec("Requests", "The number of HTTP requests per second, by status code.", width=8),
            Query("{{status}}", compute_rate("http_request_duration_seconds_count", "status")),
            unit=RATE,
            stacked=True,
        ),
        build_process_trend(
            PanelSpec(
                "Slow requests",
                "For each route, the response time that 99 % of requests do not exceed. The times are estimated from "
                "histogram buckets.",
                width=8,
                missing=explain_none("no process has received a request"),
            ),
            Query("{{route}}", estimate_quantile("http_request_duration_seconds", 0.99, "route")),
            unit=SECONDS,
        ),
        build_process_trend(
            PanelSpec(
                "Longest wait in the queue",
                "How long the oldest delivery in the queue has waited.",
                width=8,
                fixed_id=42703,
            ),
            Query("longest wait", _LONGEST_WAIT),
            unit=SECONDS,
        ),
    ],
)

_WORK = Section(
    "What do the workers do?",
    [
        build_process_trend(
            PanelSpec(
                "Status of deliveries",
                "The number of deliveries that are processed per second, by status.",
                width=8,
                fixed_id=155178,
            ),
            Query("{{verdict}}", compute_rate("interpreted_total", "verdict")),
            unit=RATE,
            stacked=True,
        ),
        build_process_trend(
            PanelSpec("Lifecycle events", "The number of new lifecycle events per second, by kind.", width=8),
            Query("{{kind}}", compute_rate("lifecycle_events_recorded_total", "kind")),
            unit=RATE,
            stacked=True,
        ),
        build_process_trend(
            PanelSpec(
                "Age of metrics, over time",
                "The age of the metrics about experiments, and the time that the leader took to compute them.",
                width=8,
                fixed_id=538745,
            ),
            Query("age", _SNAPSHOT_AGE),
            Query("time to compute", _SNAPSHOT_DURATION),
            unit=SECONDS,
        ),
    ],
)

_PROCESSES = Section(
    "What resources do the processes use?",
    [
        build_process_trend(
            PanelSpec("Memory", "The resident memory of each process.", width=12),
            Query("{{instance}}", keep_loopgauge_processes(select_by_name("process_resident_memory_bytes"))),
            unit=BYTES,
        ),
        build_process_trend(
            PanelSpec("CPU", "The number of CPU cores that each process keeps busy.", width=12, fixed_id=102634),
            Query("{{instance}}", keep_loopgauge_processes(_CPU_RATE)),
            unit=NUMBER,
        ),
    ],
    fixed_id=329205,
)

SERVICE_HEALTH = Board(
    SERVICE_HEALTH_UID,
    "Service health",
    "Whether the processes of loopgauge receive and process deliveries, and how long their queues are.",
    [_NOW, _DELIVERIES, _REQUESTS, _WORK, _PROCESSES],
    since="now-6h",
    refresh="30s",
)
