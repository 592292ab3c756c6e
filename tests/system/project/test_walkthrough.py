"""`getting-started.md` describes a failed experiment step by step. Its commands work, in its order."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.documents import example
from tests.support.serving import serving
from tests.support.waiting import PATIENCE_SECONDS, wait_for


def _examples(*names: str) -> str:
    """The examples with these names, joined into one script."""
    return "\n".join(map(example, names))


def _run(script: str, **variables: str) -> str:
    ended = subprocess.run(
        ["bash", "-c", script],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_SECONDS,
    )
    return ended.stdout


def _until(expected: str, read: Callable[[], str]) -> str:
    """Read until the text contains what is expected, and return the text."""
    return wait_for(lambda: text if expected in (text := read()) else None, expected)


def test_the_walkthrough_of_a_failure_works(database_url: str, tmp_path: Path) -> None:
    with serving(database_url, tmp_path, SOURCES__GITHUB__SECRET="change-me") as service:

        def at_the_service(script: str) -> str:
            return script.replace("http://127.0.0.1:8080", service.url)

        def run_example(name: str) -> str:
            script = example(name).replace("loopgauge", f"{sys.executable} -m service", 1)
            printed = _run(script, LOOPGAUGE_DATABASE_URL=database_url)
            return " ".join(printed.split())

        def explained() -> str:
            return run_example("why it counted")

        def scorecard() -> str:
            return run_example("the scorecard")

        assert json.loads(_run(at_the_service(_examples("a failure"))))["status"] == "stored"
        # Until a worker has processed the delivery, no experiment has this reference, so `loopgauge explain` fails.
        _until("counted", lambda: service.get("/deliveries").text)
        before = _until("concluded: failed (unclassified) after 9 days", explained)
        assert before.count('loopgauge_failures{category="unclassified"}') == 1
        # One experiment is less than the minimum sample, so one line stands for all shares and medians.
        assert before.count("all shares and medians: withheld (1 of 5 needed;") == 1
        assert "loopgauge_stage_quantile_seconds{" not in before
        assert "biggest group unclassified" in scorecard()
        assert "no failed experiment has been shared yet" in scorecard()
        posted = _run(at_the_service(_examples("a failure", "a classification by comment")))
        # The classification uses the function `deliver` of the first example, so the script runs that example again.
        assert posted.endswith('"status": "stored"}')
        _until("concluded: failed (intelligent) after 9 days", explained)
        shown = 'loopgauge_failures{category="intelligent",team="search",window="7d"} 1.0'
        _until(shown, lambda: service.get("/metrics").text)
        assert "biggest group intelligent" in scorecard()
        assert "recorded for github:acme/app#2: shared" in run_example("sharing by a command")
        _until("learnings shared 1", scorecard)
        assert "biggest group intelligent" in scorecard()
        assert "https://wiki.example.com/clicks, by " in explained()
