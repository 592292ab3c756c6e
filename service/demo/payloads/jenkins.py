"""Messages of Jenkins' Notification plugin. Source: the plugin's `model` package."""

from datetime import datetime

from service.demo.ci_run import Run
from service.demo.post import Post, written


def build(run: Run) -> list[Post]:
    """The posts of a build: one when the build has started, and one when it has completed."""
    status = run.result("SUCCESS", "FAILURE")
    return [_phase(run, "STARTED", None, run.ended_at - run.took), _phase(run, "COMPLETED", status, run.ended_at)]


def _phase(run: Run, phase: str, status: str | None, at: datetime) -> Post:
    name, number = run.project.partition("/")[2], run.number % 10_000
    common = {
        "full_url": f"https://jenkins.example.com/job/{name}/{number}/",
        "number": number,
        "queue_id": number,
        "timestamp": int(at.timestamp() * 1000),
        "phase": phase,
        "url": f"job/{name}/{number}/",
        "scm": {"url": f"git@github.com:{run.project}.git", "branch": f"origin/{run.branch}", "commit": run.sha},
        "parameters": {},
        "log": "",
        "artifacts": {},
    }
    build = {**common, "status": status} if status else common
    return written("jenkins", at, {"name": name, "display_name": name, "url": f"job/{name}/", "build": build})
