"""CircleCI's webhooks. Source: "Outbound webhooks reference" in CircleCI's documentation."""

from typing import Any
from uuid import NAMESPACE_URL, uuid5

from service.demo.ci_run import Run
from service.demo.post import Post, written, zulu


def workflow(run: Run) -> list[Post]:
    """The posts of a finished workflow: one about its job, and one about the workflow itself."""
    status = run.result("success", "failed")
    began, ended = zulu(run.ended_at - run.took), zulu(run.ended_at)
    address = f"https://app.circleci.com/pipelines/github/{run.project}/{run.number}"
    common = {
        "happened_at": ended,
        "webhook": {"id": _id("webhook"), "name": "loopgauge"},
        "project": {"id": _id(run.project), "name": run.project.partition("/")[2], "slug": f"github/{run.project}"},
        "organization": {"id": _id("organisation"), "name": run.project.partition("/")[0]},
        "workflow": {
            "id": _id(run.sha, run.number),
            "name": "build-and-test",
            "created_at": began,
            "stopped_at": ended,
            "url": address,
            "status": status,
        },
        "pipeline": _pipeline(run, began),
    }
    job = {"id": _id("job", run.number), "name": "test", "number": run.number, "status": status, "stopped_at": ended}
    return [_post(run, "job-completed", {**common, "job": job}), _post(run, "workflow-completed", common)]


def _pipeline(run: Run, began: str) -> dict[str, Any]:
    subject, _, rest = run.message.partition("\n")
    return {
        "id": _id("pipeline", run.number),
        "number": run.number,
        "created_at": began,
        "trigger": {"type": "webhook"},
        "vcs": {
            "provider_name": "github",
            "origin_repository_url": f"https://github.com/{run.project}",
            "target_repository_url": f"https://github.com/{run.project}",
            "revision": run.sha,
            "branch": run.branch,
            "commit": {"subject": subject, "body": rest.strip()},
        },
    }


def _post(run: Run, event: str, payload: dict[str, Any]) -> Post:
    named = {"id": _id(event, run.number), "type": event, **payload}
    return written("circleci", run.ended_at, named, circleci_event_type=event)


def _id(*parts: object) -> str:
    return str(uuid5(NAMESPACE_URL, "circleci/" + "/".join(map(str, parts))))
