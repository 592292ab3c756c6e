"""Sources as the API and the command line show them: how they are configured, and what they sent."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from service.deliveries.delivery import Source
from service.queries.sources import SourceActivity

_CLOUDEVENTS = "cloudevents"
_EXAMPLE: dict[str, Any] = {
    "sources": [
        {
            "name": "github",
            "provider": "github",
            "path": "/webhooks/github",
            "configured": True,
            "secret_set": True,
            "previous_secret_set": False,
            "last_delivery_at": "2026-03-06T11:05:18Z",
            "recent": {"pending": 0, "counted": 120, "ignored": 310, "failed": 1},
            "pending": 0,
            "failed": 1,
            "refused": None,
        }
    ],
    "since": "2026-02-27T12:00:00Z",
}


class RecentAnswer(BaseModel):
    """The number of recent deliveries by status."""

    pending: int = 0
    counted: int = 0
    ignored: int = 0
    failed: int = 0


class RefusedAnswer(BaseModel):
    """The requests that the answering process refused for their signature: how many since `since`, when the last of
    them was received, and why it was refused.
    """

    requests: int
    since: datetime
    last_at: datetime
    reason: str


class SourceAnswer(BaseModel):
    """A source: how it is configured, and what it sent.

    `path` is where its webhooks go; null if the source is not configured, so that its webhooks get a 404.
    `last_delivery_at` is null if its last delivery is not among the newest 100,000 deliveries. `pending` and `failed`
    count deliveries of any age: those that wait for a worker, and those that failed and can be retried.
    `refused` is about the process that answers; null if it has refused no request to this source since it started.
    """

    name: str
    provider: str | None
    path: str | None
    configured: bool
    secret_set: bool
    previous_secret_set: bool
    last_delivery_at: datetime | None
    recent: RecentAnswer
    pending: int
    failed: int
    refused: RefusedAnswer | None = None


class SourcesAnswer(BaseModel):
    """The configured sources, and those that sent deliveries. `recent` counts the deliveries received after `since`."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})

    sources: list[SourceAnswer]
    since: datetime


def source_path(name: str, provider: str) -> str:
    """The path to which the webhooks of a source go, without a path prefix. URLs have `-` in place of `_`."""
    return "/events" if name == provider == _CLOUDEVENTS else f"/webhooks/{name.replace('_', '-')}"


def source_answer(
    activity: SourceActivity,
    configured: Mapping[str, Source],
    paths: Mapping[str, str],
    refused: RefusedAnswer | None = None,
) -> SourceAnswer:
    """The answer that shows a source.

    Args:
        configured: the configured sources by name.
        paths: the path of each source that can send.
        refused: the requests to the source that this process refused.
    """
    source = configured.get(activity.name)
    secrets = len(source.secrets) if source else 0
    return SourceAnswer(
        name=activity.name,
        provider=source.provider.name if source else None,
        path=paths.get(activity.name),
        configured=source is not None,
        secret_set=secrets > 0,
        previous_secret_set=secrets > 1,
        last_delivery_at=activity.last_delivery_at,
        recent=RecentAnswer(**activity.recent),
        pending=activity.pending,
        failed=activity.failed,
        refused=refused,
    )
