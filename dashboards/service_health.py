"""Service health: what the processes of loopgauge tell of themselves."""

from dashboards.board import Board, Section
from dashboards.figures import BYTES, NUMBER, RATE, SECONDS, Figure
from dashboards.links import SERVICE_HEALTH_UID, TO_DATA_QUALITY
from dashboards.panels import About, answer, none, process_trend
from dashboards.promql import (
    of_all_processes,
    of_installation,
    of_our_processes,
    per_second,
    select,
    shared,
    since,
    slowest,
)
from dashboards.words import BROKEN, FRESHNESS, OVER, WITHIN

_SNAPSHOT_AGE = since(shared("snapshot_timestamp_seconds"))
_OLDEST = shared("inbox_oldest_pending_seconds")

_NOW = Section(
    "Does it work now?",
    [
        answer(
            About(
                "Processes",
                "Processes that are scraped, by role and version, and how many of them export the figures about "
                "experiments: one, the leader of the workers.",
                missing="no process is scraped",
            ),
            Figure("{{role}}, version {{version}}", f"count by (role, version) ({select('build_info')})"),
            Figure("export figures", f"count({select('snapshot_timestamp_seconds')})", bounds=[(2, OVER)]),
        ),
        answer(
            About(
                "Figures",
                "How old the figures about experiments are, and how long it took to have them ready.",
                missing="no figures are exported: no worker leads, or it is not scraped",
            ),
            Figure(
                "figures",
                _SNAPSHOT_AGE,
                SECONDS,
                FRESHNESS,
                WITHIN,
                [(60, OVER), (300, BROKEN)],
                TO_DATA_QUALITY,
            ),
            Figure("old", _SNAPSHOT_AGE, SECONDS, leads_to=TO_DATA_QUALITY),
            Figure("to make", shared("snapshot_duration_seconds"), SECONDS, leads_to=TO_DATA_QUALITY),
        ),
        answer(
            About(
                "Inbox",
                "Deliveries that are stored and wait for their verdict, how long the first of them has waited, and "
                "those that failed and can be retried.",
                missing=none("PostgreSQL does not answer"),
            ),
            Figure("wait", shared("inbox_pending")),
            Figure("the first waits", _OLDEST, SECONDS, (), WITHIN, [(60, OVER), (600, BROKEN)]),
            Figure("failed", shared("inbox_failed"), bounds=[(1, OVER)], leads_to=TO_DATA_QUALITY),
        ),
        answer(
            About(
                "Behind the inbox",
                "Subjects whose experiments are still to be folded anew, and deliveries on local disks that wait "
                "until PostgreSQL is back.",
                missing=none("PostgreSQL does not answer"),
            ),
            Figure("to be folded", shared("projection_pending")),
            Figure("on local disks", of_all_processes("spool_pending"), bounds=[(1, OVER)]),
        ),
    ],
)

_DELIVERIES = Section(
    "Do deliveries come in, and through?",
    [
        process_trend(
            About("Deliveries", "Webhook requests a second by what became of them.", width=8),
            Figure("{{result}}", per_second("deliveries_total", "result")),
            unit=RATE,
            stacked=True,
        ),
        process_trend(
            About(
                "What waits",
                "Deliveries without a verdict, subjects to be folded, and deliveries on local disks.",
                width=8,
                missing=none("PostgreSQL did not answer"),
            ),
            Figure("inbox", shared("inbox_pending")),
            Figure("to be folded", shared("projection_pending")),
            Figure("on local disks", of_all_processes("spool_pending")),
        ),
        process_trend(
            About(
                "From received to visible",
                "How long it takes until a counted delivery is in the exported figures; guessed from buckets.",
                width=8,
                missing=none("no delivery has become visible"),
            ),
            Figure("median", slowest("delivery_to_visible_seconds", 0.5)),
            Figure("99 in 100 within", slowest("delivery_to_visible_seconds", 0.99)),
            unit=SECONDS,
        ),
    ],
)

_REQUESTS = Section(
    "Are requests answered?",
    [
        process_trend(
            About("Requests", "HTTP requests a second by status.", width=8),
            Figure("{{status}}", per_second("http_request_duration_seconds_count", "status")),
            unit=RATE,
            stacked=True,
        ),
        process_trend(
            About(
                "Slow requests",
                "99 in 100 requests of each route are answered within; guessed from buckets.",
                width=8,
                missing=none("there was no request"),
            ),
            Figure("{{route}}", slowest("http_request_duration_seconds", 0.99, "route")),
            unit=SECONDS,
        ),
        process_trend(
            About("The first delivery waits", "How long the first delivery without a verdict has waited.", width=8),
            Figure("waits", _OLDEST),
            unit=SECONDS,
        ),
    ],
)

_WORK = Section(
    "What do the workers do?",
    [
        process_trend(
            About("Verdicts", "Deliveries a second by their verdict.", width=8),
            Figure("{{verdict}}", per_second("interpreted_total", "verdict")),
            unit=RATE,
            stacked=True,
        ),
        process_trend(
            About("Lifecycle events", "Lifecycle events a second that were not known before, by kind.", width=8),
            Figure("{{kind}}", per_second("lifecycle_events_recorded_total", "kind")),
            unit=RATE,
            stacked=True,
        ),
        process_trend(
            About(
                "Figures, over time",
                "How old the figures about experiments are, and how long it took to have them ready.",
                width=8,
            ),
            Figure("age", _SNAPSHOT_AGE),
            Figure("time to make", shared("snapshot_duration_seconds")),
            unit=SECONDS,
        ),
    ],
)

_PROCESSES = Section(
    "What do the processes take?",
    [
        process_trend(
            About("Memory", "Resident memory of each process.", width=12),
            Figure("{{instance}}", of_our_processes(of_installation("process_resident_memory_bytes"))),
            unit=BYTES,
        ),
        process_trend(
            About("Processors", "Processors that each process keeps busy.", width=12),
            Figure(
                "{{instance}}",
                of_our_processes(f"rate({of_installation('process_cpu_seconds_total')}[$__rate_interval])"),
            ),
            unit=NUMBER,
        ),
    ],
)

SERVICE_HEALTH = Board(
    SERVICE_HEALTH_UID,
    "Service health",
    "What the processes of loopgauge tell of themselves: whether deliveries come in and through, and what waits.",
    [_NOW, _DELIVERIES, _REQUESTS, _WORK, _PROCESSES],
    since="now-6h",
    refresh="30s",
)
