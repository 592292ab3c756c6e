"""The visit: post the past, see it in the figures, and go on live."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random  # noqa: TID251 - the type alone: the dice come in as a parameter

from service.demo.post import Post
from service.demo.sending import NotTaken, Result, connected, deliver, deliver_all
from service.demo.timeline import history, live

_OK = 200
_LOOK_SECONDS = 0.25
_INTERPRETED = "loopgauge_interpreted_total"
_WAITING = ("loopgauge_inbox_pending", "loopgauge_projection_pending")
_EXPERIMENTS = ("loopgauge_experiments_in_flight", "loopgauge_experiments_concluded")
_TAKEN_AT = "loopgauge_snapshot_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Service:
    """The service that is visited.

    Attributes:
        secrets: by source.
        clock: the time now, UTC.
    """

    host: str
    port: int
    secrets: Mapping[str, str]
    clock: Callable[[], datetime]


async def post_history(
    service: Service, posts: list[Post], progress: Callable[[int, int], None]
) -> Mapping[Result, int]:
    """Post the past, as fast as it is taken, and wait until all of it is in the figures.

    Args:
        progress: is told how much is done, and of how much: each delivery is posted, and then counted.

    Returns:
        How many were stored, how many were duplicates and how many were refused.

    Raises:
        NotTaken: the service took one of them otherwise than it should.
    """
    results: dict[Result, int] = {"stored": 0, "duplicate": 0, "refused": 0}

    def done(result: Result) -> None:
        results[result] += 1
        progress(sum(results.values()), 2 * len(posts))

    await deliver_all(service.host, service.port, posts, service.secrets, done)
    await _until_shown(service, results["stored"], lambda counted: progress(len(posts) + counted, 2 * len(posts)))
    progress(2 * len(posts), 2 * len(posts))
    return results


async def post_live(service: Service, start: datetime, span: timedelta, pace: float, dice: Random) -> None:
    """Post what goes on happening, each delivery when it is due, without an end.

    Raises:
        NotTaken: the service took one of them otherwise than it should.
    """
    for post in live(start, span, pace, dice):
        await asyncio.sleep(max(0.0, (post.at - service.clock()).total_seconds()))
        # A connection that is idle for long is ended by the service.
        async with connected(service.host, service.port) as connection:
            await deliver(connection, post, service.secrets)


def past(start: datetime, span: timedelta, dice: Random) -> list[Post]:
    """The organisation's past, ready to be posted."""
    return list(history(start, span, dice))


async def _until_shown(service: Service, stored: int, progress: Callable[[int], None]) -> None:
    """Wait until nothing waits, and two snapshots one after the other tell of the same experiments."""
    shown: tuple[float, float] | None = None
    while True:
        figures = await _figures(service)
        interpreted = int(figures.get(_INTERPRETED, 0))
        waiting = sum(int(figures.get(name, stored)) for name in _WAITING)
        progress(max(0, interpreted - waiting))
        taken_at, experiments = figures.get(_TAKEN_AT), sum(figures.get(name, 0.0) for name in _EXPERIMENTS)
        if interpreted < stored or waiting:
            shown = None
        elif taken_at is not None and (shown is None or taken_at > shown[0]):
            if shown is not None and shown[1] == experiments:
                return
            shown = taken_at, experiments
        await asyncio.sleep(_LOOK_SECONDS)


async def _figures(service: Service) -> dict[str, float]:
    """The sum of each figure over its labels."""
    async with connected(service.host, service.port) as connection:
        answer = await connection.ask("GET", "/metrics", {})
    if answer.status != _OK:
        raise NotTaken(f"/metrics was answered {answer.status}")
    sums: dict[str, float] = {}
    for line in answer.body.decode().splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            family = name.partition("{")[0]
            sums[family] = sums.get(family, 0.0) + float(value)
    return sums
