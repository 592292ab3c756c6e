"""Alerts end to end: a real service, a real Prometheus with the rules, and a real Alertmanager."""

import signal
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.alertmanager import alerting, hurried_rules, muted_configuration, prometheus_configuration
from tests.support.builders import experiment
from tests.support.commands import in_database
from tests.support.prometheus import scraping
from tests.support.road import store_experiments
from tests.support.serving import serving

_URL = "https://github.com/acme/app/issues/45"
_TEAM_DASHBOARD = "https://grafana.example.com/d/loopgauge-team?var-namespace=&var-team=search&var-window=90d"


@pytest.fixture
def overdue(database_url: str) -> str:
    """The URL of a database with three open experiments of one team: two are overdue, and one of them is forgotten."""
    now = datetime.now(UTC)
    several = [
        experiment("github:acme/app#45", team="search", idea_at=now - timedelta(days=20), url=_URL),
        experiment("jira:ML-12", team="search", idea_at=now - timedelta(days=40), url="https://jira.example.com/ML-12"),
        experiment("jira:ML-13", team="search", idea_at=now - timedelta(days=2)),
    ]
    in_database(database_url, lambda database: store_experiments(database, *several))
    return database_url


def test_an_overdue_experiment_alerts_its_team_until_the_service_dies(overdue: str, tmp_path: Path) -> None:
    rules = hurried_rules(tmp_path)
    with (
        serving(overdue, tmp_path) as service,
        alerting(muted_configuration(tmp_path), tmp_path) as alertmanager,
        scraping([service.url], tmp_path, prometheus_configuration(rules, alertmanager)),
    ):
        # A scrape that times out would mute the alert for a moment, so wait until the alert is not muted.
        late = alertmanager.until("LoopgaugeLoopOverdue", lambda alert: not _is_muted(alert))
        assert late["labels"] == {
            "alertname": "LoopgaugeLoopOverdue",
            "severity": "warning",
            "about": "loops",
            "job": "loopgauge",
            "team": "search",
        }
        assert late["annotations"]["summary"] == "Team search: 1 overdue experiment, threshold 14 days"
        assert late["annotations"]["description"] == (
            "1 open experiment of team search is older than the threshold of 14 days:\n"
            f"- 20.1 days: github:acme/app#45 {_URL}\n"
            f"What does it need to get an answer? {_TEAM_DASHBOARD}"
        )
        forgotten = alertmanager.until("LoopgaugeLoopsForgotten", lambda alert: not _is_muted(alert))
        assert forgotten["annotations"]["description"] == (
            "1 open experiment of team search has had no activity for 30 days or longer:\n"
            "- 40 days: jira:ML-12 https://jira.example.com/ML-12\n"
            f'It deserves an answer, even if the answer is "we stop here". {_TEAM_DASHBOARD}'
        )
        assert late["receivers"] == [{"name": "team-search"}]
        service.end(signal.SIGKILL)
        dead = alertmanager.until("LoopgaugeNoLeader")
        assert dead["receivers"] == [{"name": "operators"}]
        muted = alertmanager.until("LoopgaugeLoopOverdue", lambda alert: bool(alert["status"]["inhibitedBy"]))
        assert muted["status"]["inhibitedBy"] == [dead["fingerprint"]]
    # Alertmanager logs a warning about `repeat_interval` if it would forget a notification before repeating it.
    assert "repeat_interval" not in (tmp_path / "alertmanager.log").read_text()


def test_an_installation_without_a_leader_mutes_only_the_alerts_of_its_own_experiments(tmp_path: Path) -> None:
    with alerting(muted_configuration(tmp_path), tmp_path) as alertmanager:
        # One of the three installations has no label `namespace`.
        alertmanager.fire({"alertname": "LoopgaugeNoLeader"}, {"alertname": "LoopgaugeNoLeader", "namespace": "east"})
        loops = {"alertname": "LoopgaugeLoopOverdue", "about": "loops", "job": "loopgauge"}
        alertmanager.fire(loops, loops | {"namespace": "east"}, loops | {"namespace": "west"})

        alertmanager.until("LoopgaugeLoopOverdue", lambda alert: _is_of(alert, "") and _is_muted(alert))
        alertmanager.until("LoopgaugeLoopOverdue", lambda alert: _is_of(alert, "east") and _is_muted(alert))
        other = alertmanager.until("LoopgaugeLoopOverdue", lambda alert: _is_of(alert, "west"))
        assert not _is_muted(other)


def test_the_median_alert_mutes_the_alert_on_late_answers_even_across_jobs(tmp_path: Path) -> None:
    with alerting(muted_configuration(tmp_path), tmp_path) as alertmanager:
        slow = {"about": "loops", "namespace": "east", "team": "search"}
        alertmanager.fire(
            slow | {"alertname": "LoopgaugeMedianOverThreshold", "job": "a"},
            slow | {"alertname": "LoopgaugeAnswersLate", "job": "b"},
            slow | {"alertname": "LoopgaugeAnswersLate", "job": "a", "namespace": "west"},
        )

        alertmanager.until("LoopgaugeAnswersLate", lambda alert: _is_of(alert, "east") and _is_muted(alert))
        other = alertmanager.until("LoopgaugeAnswersLate", lambda alert: _is_of(alert, "west"))
        assert not _is_muted(other)


def _is_of(alert: Mapping[str, Any], namespace: str) -> bool:
    return bool(alert["labels"].get("namespace", "") == namespace)


def _is_muted(alert: Mapping[str, Any]) -> bool:
    return bool(alert["status"]["inhibitedBy"])
