"""`loopgauge explain` and `loopgauge scorecard`."""

import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.support.builders import Issue
from tests.support.serving import opened, run_command, serving
from tests.support.waiting import wait_for


def test_an_experiment_is_explained_on_the_command_line(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path) as service:
        service.post_all([opened()])
        service.end(signal.SIGTERM)
    explained = run_command("explain", "github:acme/app#45", DATABASE_URL=database_url)
    assert "experiment by label; github" in explained.stdout
    assert 'loopgauge_experiments_in_flight{team="acme/app", stage="proposed"}' in explained.stdout
    shown = json.loads(run_command("explain", "github:acme/app#45", "--json", DATABASE_URL=database_url).stdout)
    assert shown["experiment"]["idea_at"] == "2026-03-02T09:00:00Z"
    unknown = run_command("explain", "github:acme/app#1", DATABASE_URL=database_url)
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("loopgauge: nothing is known of github:acme/app#1: ")


def test_the_scorecard_is_shown_on_the_command_line_as_it_is_over_http(database_url: str, tmp_path: Path) -> None:
    settings = {"DATABASE_URL": database_url, "MIN_SAMPLE": "1"}
    opened = Issue(created_at=datetime.now(UTC) - timedelta(days=3), labels=("experiment", "team:search")).opened()
    with serving(database_url, tmp_path, MIN_SAMPLE="1", THRESHOLDS='{"search": "7d"}') as service:
        service.post(opened)
        wait_for(lambda: service.figures().get(("experiments_in_flight", "proposed", "search")))
        over_http = service.get("/scorecard?team=search&window=30d").json()
    named = ("scorecard", "--team", "search", "--window", "30d")
    ended = run_command(*named, "--json", THRESHOLDS='{"search": "7d"}', **settings)
    assert (ended.returncode, ended.stderr) == (0, "")
    shown = json.loads(ended.stdout)
    assert shown["loops"]["open"]["value"] == 1
    assert shown["idea_to_answer"]["threshold"]["words"] == "about a week"
    moments = ("taken_at", "since")
    assert {**shown, **dict.fromkeys(moments)} == {**over_http, **dict.fromkeys(moments)}
    table = run_command("scorecard", **settings).stdout
    assert "How long from the idea to knowing whether it worked?" in table
    assert "\x1b" not in table
    refused = run_command("scorecard", "--team", "serch", **settings)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr == "loopgauge: no experiment is of the team serch; did you mean search?\n"
    wrong = run_command("scorecard", "--window", "59m", **settings)
    assert wrong.returncode == 2
    assert "expected a window such as 36h or 90d" in wrong.stderr
