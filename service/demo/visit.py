"""The visit: post the past, wait until the metrics include the past, and go on with live deliveries."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random  # noqa: TID251 - only for the type hint

from service.demo.post import Post
from service.demo.sending import Result, UnexpectedAnswer, connected, deliver, deliver_all
from service.demo.timeline import history, live

_OK = 200
_LOOK_SECONDS = 0.25
_INTERPRETED = "loopgauge_interpreted_total"
_WAITING = ("loopgauge_inbox_pending", "loopgauge_projection_pending")
_EXPERIMENTS = ("loopgauge_experiments_in_flight", "loopgauge_experiments_concluded")
_TAKEN_AT = "loopgauge_snapshot_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Service:
    """The service to which the demo posts.

    Attributes:
        secrets: the secret of each source.
        clock: a function that returns the current time, UTC.
    """

    host: str
    port: int
    secrets: Mapping[str, str]
    clock: Callable[[], datetime]


async def post_history(
    service: Service, posts: list[Post], progress: Callable[[int, int], None]
) -> Mapping[Result, int]:
    """Post the past as fast as the service accepts it, and wait until the metrics include the whole past.

    Args:
        progress: a callback that gets the number of finished steps and their total. Each delivery takes two
            steps: the demo posts the delivery, and the service processes it.

    Returns:
        The number of stored, duplicate and refused deliveries.

    Raises:
        UnexpectedAnswer: the service gave an unexpected answer.
    """
    results: dict[Result, int] = {"stored": 0, "duplicate": 0, "refused": 0}

    def done(result: Result) -> None:
        results[result] += 1
        progress(sum(results.values()), 2 * len(posts))

    await deliver_all(service.host, service.port, posts, service.secrets, done)
    await _until_shown(service, results["stored"], lambda processed: progress(len(posts) + processed, 2 * len(posts)))
    progress(2 * len(posts), 2 * len(posts))
    return results


async def post_live(service: Service, start: datetime, span: timedelta, pace: float, dice: Random) -> None:
    """Post each live delivery when it is due. This function never returns.

    Raises:
        UnexpectedAnswer: the service gave an unexpected answer.
    """
    for post in live(start, span, pace, dice):
        await asyncio.sleep(max(0.0, (post.at - service.clock()).total_seconds()))
        # The service closes idle connections, so open a connection for each delivery.
        async with connected(service.host, service.port) as connection:
            await deliver(connection, post, service.secrets)


def past(start: datetime, span: timedelta, dice: Random) -> list[Post]:
    """The deliveries of the organisation's past."""
    return list(history(start, span, dice))


async def _until_shown(service: Service, stored: int, progress: Callable[[int], None]) -> None:
    """Wait until the queue is empty and two successive snapshots show the same number of experiments."""
    shown: tuple[float, float] | None = None
    while True:
        metrics = await _metrics(service)
        interpreted = int(metrics.get(_INTERPRETED, 0))
        waiting = sum(int(metrics.get(name, stored)) for name in _WAITING)
        progress(max(0, interpreted - waiting))
        taken_at, experiments = metrics.get(_TAKEN_AT), sum(metrics.get(name, 0.0) for name in _EXPERIMENTS)
        if interpreted < stored or waiting:
            shown = None
        elif taken_at is not None and (shown is None or taken_at > shown[0]):
            if shown is not None and shown[1] == experiments:
                return
            shown = taken_at, experiments
        await asyncio.sleep(_LOOK_SECONDS)


async def _metrics(service: Service) -> dict[str, float]:
    """For each metric, the sum of the values of all its series."""
    async with connected(service.host, service.port) as connection:
        answer = await connection.ask("GET", "/metrics", {})
    if answer.status != _OK:
        raise UnexpectedAnswer(f"/metrics was answered with status {answer.status}")
    sums: dict[str, float] = {}
    for line in answer.body.decode().splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            family = name.partition("{")[0]
            sums[family] = sums.get(family, 0.0) + float(value)
    return sums
