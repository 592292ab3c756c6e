"""A visit posts the demo's deliveries to the service, and checks every answer. If the visit fails, the service ends."""

import asyncio
import random
import signal
import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from service.app import utc_now
from service.demo.organisation import SOURCES
from service.demo.post import Post
from service.demo.sending import UnexpectedAnswer, connected, deliver
from service.demo.timeline import history
from service.demo.visit import Service, post_history
from service.server import run_service
from service.settings import Settings, given_alone
from tests.support.road import RULES

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECRETS = {source: f"a secret of {source}" for source in SOURCES}
Visit = Callable[[Service], Coroutine[Any, Any, None]]


def week() -> list[Post]:
    return list(history(START, timedelta(weeks=1), random.Random(1)))


def settings(database_url: str, tmp_path: Path) -> Settings:
    sources = {name: {"secret": secret} for name, secret in SECRETS.items()}
    return given_alone(database_url=database_url, data_dir=tmp_path, sources=sources, snapshot_interval="1s")


async def visited(database_url: str, tmp_path: Path, visit: Visit) -> None:
    """Run the service until `visit`, which acts as the demo, has ended."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        host, port = listening.getsockname()
        service = Service(host, port, SECRETS, utc_now)

        async def visit_and_end() -> None:
            await visit(service)
            signal.raise_signal(signal.SIGTERM)

        await run_service(settings(database_url, tmp_path), RULES, listening, visit_and_end)


async def test_the_visit_posts_the_past_and_waits_for_the_metrics(database_url: str, tmp_path: Path) -> None:
    posts, seen, shown = week(), list[tuple[int, int]](), list[bytes]()

    async def visit(service: Service) -> None:
        results = await post_history(service, posts, lambda done, total: seen.append((done, total)))
        assert (sum(results.values()), results["refused"]) == (len(posts), 1)
        assert results["duplicate"] == len(posts) - len({(post.source, post.body) for post in posts})
        async with connected(service.host, service.port) as connection:
            shown.append((await connection.ask("GET", "/metrics", {})).body)

    await visited(database_url, tmp_path, visit)
    assert seen[: len(posts)] == [(done, 2 * len(posts)) for done in range(1, len(posts) + 1)]
    assert seen[-1] == (2 * len(posts), 2 * len(posts))
    assert b"loopgauge_projection_pending 0.0" in shown[0]
    assert b'loopgauge_experiments_concluded{outcome="worked",team="search",window="7d"}' in shown[0]


async def test_a_refused_delivery_fails_the_visit_and_ends_the_service(database_url: str, tmp_path: Path) -> None:
    async def visit(service: Service) -> None:
        wrong = replace(service, secrets=dict.fromkeys(SOURCES, "another secret"))
        await post_history(wrong, week(), lambda done, total: None)

    with pytest.raises(UnexpectedAnswer, match="a delivery to /webhooks/github was answered with status 401"):
        await visited(database_url, tmp_path, visit)


async def test_an_accepted_forged_delivery_fails_the_visit(database_url: str, tmp_path: Path) -> None:
    async def visit(service: Service) -> None:
        honest = replace(week()[0], forged=True)
        backwards = {source: secret[::-1] for source, secret in SECRETS.items()}
        async with connected(service.host, service.port) as connection:
            await deliver(connection, honest, backwards)

    with pytest.raises(UnexpectedAnswer, match="was answered with status 202"):
        await visited(database_url, tmp_path, visit)


async def test_a_running_visit_ends_with_the_service(database_url: str, tmp_path: Path) -> None:
    ended: list[str] = []

    async def visit(_: Service) -> None:
        asyncio.get_running_loop().call_later(0.5, signal.raise_signal, signal.SIGINT)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("yes")

    await visited(database_url, tmp_path, visit)
    assert ended == ["yes"]


async def test_an_unreachable_service_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(UnexpectedAnswer, match=f"cannot be reached at 127.0.0.1:{port}"):
        async with connected("127.0.0.1", port):
            pass
