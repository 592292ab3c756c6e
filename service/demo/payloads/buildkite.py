"""Buildkite's webhooks. Source: "Build webhook events" in Buildkite's documentation."""

from uuid import NAMESPACE_URL, uuid5

from service.demo.ci_run import Run
from service.demo.post import Post, written, zulu


def build(run: Run) -> list[Post]:
    """The posts of a build: one when the build is running, and one when it has finished."""
    began = run.ended_at - run.took
    organisation, _, name = run.project.partition("/")
    page = f"https://buildkite.com/{organisation}/{name}"
    common = {
        "id": str(uuid5(NAMESPACE_URL, f"buildkite/{run.project}/{run.number}")),
        "number": run.number % 10_000,
        "web_url": f"{page}/builds/{run.number % 10_000}",
        "blocked": False,
        "commit": run.sha,
        "branch": run.branch,
        "message": run.message,
        "source": "webhook",
        "created_at": zulu(began),
        "started_at": zulu(began),
        "pull_request": None,
        "meta_data": {},
    }
    pipeline = {"slug": name, "name": name, "web_url": page, "repository": f"git@github.com:{run.project}.git"}
    running = {"event": "build.running", "build": {**common, "state": "running", "finished_at": None}}
    state = run.result("passed", "failed")
    finished = {"event": "build.finished", "build": {**common, "state": state, "finished_at": zulu(run.ended_at)}}
    return [
        written("buildkite", began, {**running, "pipeline": pipeline}, x_buildkite_event="build.running"),
        written("buildkite", run.ended_at, {**finished, "pipeline": pipeline}, x_buildkite_event="build.finished"),
    ]
