"""The demo organisation in a real Prometheus, in the dashboards, and in a real Alertmanager."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from dashboards.words import WITHIN
from service.demo.organisation import TEAMS
from tests.support.alertmanager import (
    Alertmanager,
    alerting,
    hurried_rules,
    muted_configuration,
    prometheus_configuration,
)
from tests.support.demo import demo, lines_until
from tests.support.panel_queries import Query, documents, panels, queries
from tests.support.prometheus import Prometheus, load, scraping

_NAMESPACE = "demo"
_UNSEEN = {
    ("loopgauge-failures", "Reclassified", "A"): "no experiment is reclassified during the test",
    ("loopgauge-failures", "The biggest group", "C"): "no team fails mostly with complex failures",
    ("loopgauge-learning", "The biggest group", "C"): "the same query as in the failures dashboard",
    ("loopgauge-data-quality", "Undeclared and unclassified", "D"): "every experiment belongs to a team",
}
"""Queries that have no series for any team, and why."""
_QUIET = {
    ("loopgauge-failures", "Reclassified"): "no experiment is reclassified during the test",
}
"""Panels that may be empty even for a team with enough experiments for every ratio and quantile, and why."""
_DESERVED = (
    ("LoopgaugeLoopOverdue", "platform"),
    ("LoopgaugeLoopOverdue", "checkout"),
    ("LoopgaugeLoopsForgotten", "platform"),
    ("LoopgaugeNothingShared", "payments"),
    ("LoopgaugeFailuresUnclassified", "payments"),
    ("LoopgaugeMedianOverThreshold", "checkout"),
    ("LoopgaugeBasicFailuresDominate", "growth"),
    ("LoopgaugeAnswersLate", "frontier"),
)


@dataclass(frozen=True, slots=True)
class Observed:
    """The running demo, and the programs that observe it."""

    organisation: subprocess.Popen[str]
    prometheus: Prometheus
    alertmanager: Alertmanager


@contextmanager
def observing(directory: Path) -> Iterator[Observed]:
    """Run the demo with its whole history, and the programs that observe the demo, until the context ends."""
    with ExitStack() as running:
        running.callback(_stop_server, directory / "demo" / "postgres" / "postmaster.pid")
        organisation = running.enter_context(demo(directory / "demo", "--weeks", "26"))
        told = lines_until(organisation, "What to notice")
        (url,) = {found for line in told for found in re.findall(r"http://127\.0\.0\.1:\d+", line)}
        history = directory / "history.om"
        labels = ["--label", f"namespace={_NAMESPACE}"]
        command = [sys.executable, "-m", "service", "export-history", *labels, "--output", str(history)]
        subprocess.run(command, env={**os.environ, **_exported(told)}, check=True, capture_output=True)
        load(history, directory)
        alertmanager = running.enter_context(alerting(muted_configuration(directory), directory))
        configuration = prometheus_configuration(hurried_rules(directory), alertmanager)
        prometheus = running.enter_context(scraping([url], directory, configuration, namespace=_NAMESPACE))
        prometheus.until("rate(loopgauge_deliveries_total[1m])")
        yield Observed(organisation, prometheus, alertmanager)


def _stop_server(told: Path) -> None:
    """Stop the PostgreSQL that a killed demo leaves running."""
    if told.exists():
        with suppress(ProcessLookupError):
            os.kill(int(told.read_text().split()[0]), signal.SIGINT)


def _exported(told: list[str]) -> Mapping[str, str]:
    """The variables that the demo prints for another terminal."""
    lines = [line.lstrip().removeprefix("export ") for line in told if line.lstrip().startswith("export ")]
    return dict(word.split("=", 1) for line in lines for word in shlex.split(line))


def every_query_of_every_panel_and_variable_has_series(observed: Observed) -> None:
    every = {_named(query) for query in queries()}
    shown = {team: _shown(observed.prometheus, team) for team in ("_org", *(team.name for team in TEAMS))}
    unseen = every - set().union(*shown.values())
    assert unseen == _UNSEEN.keys()
    for team in ("_org", "frontier"):
        assert _askers(every) - _askers(shown[team]) <= _QUIET.keys(), team
    assert ("loopgauge-team", "Overdue") in _askers(shown["platform"])


def _shown(prometheus: Prometheus, team: str) -> set[tuple[str, str, str]]:
    """The queries that return a series for a team."""
    asked = queries(team, time_range="10m", namespace=_NAMESPACE)
    return {_named(query) for query in asked if prometheus.query(query.expression)}


def _named(query: Query) -> tuple[str, str, str]:
    return query.dashboard, query.owner, query.letter


def _askers(named: Iterable[tuple[str, str, str]]) -> set[tuple[str, str]]:
    """The panels and variables to which the queries belong."""
    return {(dashboard, asker) for dashboard, asker, _ in named}


def half_a_year_has_the_labels_of_the_scrape(observed: Observed) -> None:
    now = datetime.now(UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    asked = 'loopgauge_experiments_concluded{team="search",window="90d",outcome="worked"}'
    ((labels, past),) = observed.prometheus.past(asked, midnight - timedelta(days=181), midnight - timedelta(days=1))
    assert len(past) >= 170
    assert max(past.values()) > min(past.values())
    (series,) = observed.prometheus.series(asked, midnight - timedelta(days=181), now)
    assert series == labels


def _is_of(team: str, alert: Mapping[str, Any]) -> bool:
    return bool(alert["labels"].get("team") == team)


def each_team_gets_its_alert(observed: Observed) -> None:
    for alert, team in _DESERVED:
        told = observed.alertmanager.until(alert, partial(_is_of, team))
        assert told["labels"]["about"] == "loops"
        assert told["annotations"]["summary"]


def teams_that_do_well_or_are_too_small_get_no_alert(observed: Observed) -> None:
    observed.alertmanager.until("LoopgaugeNothingShared")
    told = {(alert["labels"].get("team"), alert["labels"]["alertname"]) for alert in observed.alertmanager.alerts()}
    assert {alert for team, alert in told if team in {"search", "devices"}} == set()


def after_a_kill_no_panel_shows_a_current_value_or_is_green(observed: Observed) -> None:
    observed.organisation.kill()
    observed.organisation.wait()
    observed.prometheus.until("up == 0")
    now = [
        query
        for query in queries("_org", namespace=_NAMESPACE)
        if "_over_time(" not in query.expression
        and "rate(" not in query.expression
        and "increase(" not in query.expression
    ]
    assert len(now) > 50
    assert {_named(query) for query in now if observed.prometheus.query(query.expression)} == set()
    # Queries over a past time range may still have values, but their panels must not show any value in green.
    told = {query for team in ("_org", "frontier") for query in queries(team, time_range="10m", namespace=_NAMESPACE)}
    askers = {_asker(query) for query in told if observed.prometheus.query(query.expression)}
    assert {asker for asker in askers if f'"{WITHIN}"' in json.dumps(_panel(*asker))} == set()


def _panel(dashboard: str, asker: str) -> object:
    """A list with the JSON object of the panel; empty if `asker` is a variable, which has no panel."""
    return [panel for panel in panels(documents()[dashboard]) if panel["title"] == asker]


def _asker(query: Query) -> tuple[str, str]:
    return query.dashboard, query.owner


SEEN = (
    every_query_of_every_panel_and_variable_has_series,
    half_a_year_has_the_labels_of_the_scrape,
    each_team_gets_its_alert,
    teams_that_do_well_or_are_too_small_get_no_alert,
    after_a_kill_no_panel_shows_a_current_value_or_is_green,
)


def test_prometheus_dashboards_and_alerts_show_the_demo(tmp_path: Path) -> None:
    with observing(tmp_path) as observed:
        # This is one test, because posting half a year of deliveries takes long.
        for look in SEEN:
            look(observed)
