"""Two experiments of the last ten days, for tests that export the past values of metrics."""

from datetime import UTC, datetime, timedelta

from service.lifecycle.taxonomy import Outcome
from tests.support.builders import experiment
from tests.support.commands import in_database
from tests.support.road import store_experiments

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
NOON = timedelta(hours=12)


def days_ago(days: int) -> datetime:
    """Midnight (UTC) at the beginning of the day this many days ago."""
    return TODAY - timedelta(days=days)


# One experiment was proposed at noon (UTC) ten days ago, started a day later and was concluded six days ago. The other
# one was proposed at noon seven days ago and is open.
_EXPERIMENTS = [
    experiment(
        idea_at=days_ago(9) - NOON,
        started_at=days_ago(8) - NOON,
        concluded_at=days_ago(5) - NOON,
        outcome=Outcome.WORKED,
    ),
    experiment("jira:ML-12", idea_at=days_ago(6) - NOON, url="", team="ml"),
]


def store_past(database_url: str) -> None:
    """Store the experiments."""
    in_database(database_url, lambda database: store_experiments(database, *_EXPERIMENTS))
