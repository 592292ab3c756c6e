"""The shutdown budget: how long each stage may take between SIGTERM and the end of the process.

The stages run one after the other. Their sum leaves a margin below 30 seconds, after which Kubernetes (the chart) and
Compose kill the process: 8 + 1 + 1 + 4 + 6 + 1 + 1 + 5 = 27.
"""

DRAIN_SECONDS = 8
"""Requests under way. Without a disk buffer, a webhook waits up to 7 seconds for PostgreSQL."""
MONITOR_SECONDS = 1
"""The backlog monitor, which only reads."""
STORE_SECONDS = 4
"""The last batch of deliveries, and a last move from the disk buffer to the inbox."""
WORK_SECONDS = 6
"""The worker: what is pending, then the leader's lease."""
CHILD_SECONDS = 1
"""One figures process. It only reads, so killing it loses nothing."""
DATABASE_SECONDS = 1
"""Pooled connections."""
EMBEDDED_SECONDS = 5
"""The embedded PostgreSQL, which runs on if it takes longer."""

TOTAL_SECONDS = (
    DRAIN_SECONDS
    + MONITOR_SECONDS
    + CHILD_SECONDS  # scorecards
    + STORE_SECONDS
    + WORK_SECONDS
    + CHILD_SECONDS  # snapshots
    + DATABASE_SECONDS
    + EMBEDDED_SECONDS
)
