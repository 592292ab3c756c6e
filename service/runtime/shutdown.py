"""The shutdown budget: how long each stage may take between SIGTERM and the end of the process.

The stages run one after the other. In all, the stages take at most 8 + 1 + 1 + 4 + 6 + 1 + 1 + 5 = 27 seconds. The sum
leaves a margin: Kubernetes (as the chart configures it) and Compose kill the process after 30 seconds.
"""

DRAIN_SECONDS = 8
"""The time to finish open requests. Without a spool, a webhook request waits up to 7 seconds for PostgreSQL."""
MONITOR_SECONDS = 1
"""The time to stop the backlog monitor, which only reads."""
STORE_SECONDS = 4
"""The time to store the last batch of deliveries, and for a last attempt to move deliveries from the spool to the
inbox."""
WORK_SECONDS = 6
"""The time to let the worker process pending deliveries and then give up the leader's lease."""
CHILD_SECONDS = 1
"""The time to end one child process that computes figures (see `figures_process`).

Such a process only reads, so killing it loses nothing."""
DATABASE_SECONDS = 1
"""The time to close the pooled connections."""
EMBEDDED_SECONDS = 5
"""The time to wait until the embedded PostgreSQL stops. A slower server stops after this process has ended."""

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
