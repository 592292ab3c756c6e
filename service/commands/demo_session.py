"""The demonstration: a service with its own settings and database, and a simulated organisation that posts to it."""

import asyncio
import json
import os
import random
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

from service.app import utc_now
from service.demo.directory import fresh_directory
from service.demo.guide import guide
from service.demo.organisation import SOURCES, TEAMS, THRESHOLDS
from service.demo.post import Post
from service.demo.prometheus import Prometheus, PrometheusUnavailable, run
from service.demo.visit import Service, past, post_history, post_live
from service.settings import PREFIX, Settings, given_alone
from service.storage.embedded import EmbeddedServer, EmbeddedUnavailable

_SECRET_BYTES = 24
# Only a checkout of the repository has the Prometheus rules; a wheel does not include them.
_RULES = Path(__file__).parents[2] / "dashboards" / "rules"

FAST_DATABASE: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Settings that make PostgreSQL fast but not crash-safe: the demo recreates its database at each start anyway."""

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""A function that shows a progress bar with a label. Its context yields a callback, which takes the number of finished
steps and the number of all steps.
"""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """A demonstration: its options, and the steps that it runs.

    Attributes:
        span: the length of the history to post.
        seed: the seed of the random numbers; the same seed gives the same history.
        pace: the hours of simulated time per second once the demo is live; 0 to post only the history.
        command: the command that started `loopgauge`.
        observed: whether to start a Prometheus that loads the history and scrapes the demo.
        prometheus_port: the port of this Prometheus; None for its usual port or any free port.
        say: prints a line for the visitor.
        began: when the command started.
    """

    span: timedelta
    seed: int
    pace: float
    command: str
    observed: bool
    prometheus_port: int | None
    say: Callable[[str], None]
    progress: Progress
    began: datetime = field(default_factory=utc_now)

    def visit(self, settings: Settings, listening: socket.socket) -> Callable[[], Coroutine[Any, Any, None]]:
        """The coroutine to run once the service with these settings is listening."""
        host, port = listening.getsockname()[:2]
        self.say(f"The demo runs in {settings.data_dir}, and serves on http://{host}:{port}.")
        posted_with = {name: source.secret.get_secret_value() for name, source in settings.sources.items()}
        service = Service(host, port, posted_with, utc_now)

        async def visit() -> None:
            # These random numbers need not be secret.
            dice, start = random.Random(self.seed), utc_now().replace(microsecond=0)  # noqa: S311
            # Simulate the past in a thread, so that the event loop stays free for the service.
            await self._show_history(service, await asyncio.to_thread(past, start, self.span, dice))
            own_settings = _own_settings(settings.data_dir, port)
            directory = settings.data_dir / "prometheus"
            prometheus = Prometheus(directory, f"{host}:{port}", _rules(), self.prometheus_port)
            async with self._observed(prometheus, own_settings) as graph_page:
                self.say(guide(f"http://{host}:{port}", graph_page, own_settings, self.command))
                await self._go_on(service, dice)

        return visit

    async def _show_history(self, service: Service, posts: list[Post]) -> None:
        with self.progress("posting and processing the past") as progress:
            results = await post_history(service, posts, progress)
        self.say(
            f"Posted {self.span // timedelta(weeks=1)} weeks of {len(TEAMS)} teams: {results['stored']} deliveries, "
            f"{results['duplicate']} of them twice.\n"
            f"{results['refused']} was refused for its signature. The metrics were ready after {self._took()}."
        )

    @asynccontextmanager
    async def _observed(self, prometheus: Prometheus, own_settings: Mapping[str, str]) -> AsyncIterator[str | None]:
        """Run Prometheus with the history until the context ends, and yield the URL of its page for graphs. Yield None
        if `observed` is false or Prometheus cannot run.
        """
        async with AsyncExitStack() as running:
            graph_page = None
            if self.observed:
                try:
                    graph_page = await self._observe(prometheus, own_settings, running)
                except PrometheusUnavailable as error:
                    self.say(f"Prometheus does not run: {error}.")
                else:
                    self.say(f"Prometheus at {urljoin(graph_page, '/')} had the history after {self._took()}.")
            self.say("")
            yield graph_page

    async def _observe(self, prometheus: Prometheus, own_settings: Mapping[str, str], running: AsyncExitStack) -> str:
        prometheus.prepare()
        with self.progress("loading the past into Prometheus") as progress:
            # Export in a process of its own, so that the event loop stays free for the service.
            command = [sys.executable, "-m", "service", "export-history", "--output", str(prometheus.history)]
            await run(command, _environment(own_settings), prometheus.directory)
            progress(2, 4)
            await prometheus.load()
            progress(3, 4)
            graph_page = await running.enter_async_context(prometheus.running())
            progress(4, 4)
        return graph_page

    def _took(self) -> str:
        return f"{(utc_now() - self.began).total_seconds():.0f} s"

    async def _go_on(self, service: Service, dice: random.Random) -> None:
        if self.pace:
            self.say(f"Live: {self.pace:g} h of simulated time per second. Ctrl-C ends the demo.")
            await post_live(service, utc_now(), self.span, self.pace, dice)
        else:
            self.say("No further deliveries are posted. Ctrl-C ends the demo.")
            await asyncio.Event().wait()


def _rules() -> Path | None:
    return _RULES if _RULES.is_dir() else None


def _environment(own_settings: Mapping[str, str]) -> dict[str, str]:
    """The environment for a command that the demo runs: the user's environment, with the demo's LOOPGAUGE_ variables
    instead of the user's.
    """
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(PREFIX)}
    # Files in the working directory must not shadow the installed package.
    path = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return {**kept, **path, **own_settings}


def demo_settings(directory: Path, port: int) -> Settings:
    """The settings of the demo's service, which ignore the user's settings."""
    return given_alone(
        data_dir=directory,
        port=port,
        sources={source: {"secret": secrets.token_urlsafe(_SECRET_BYTES)} for source in SOURCES},
        # The data is made up, so everyone on this machine may read it.
        open_reads=True,
        thresholds=THRESHOLDS,
        snapshot_interval=timedelta(seconds=2),
        log_level="warning",
    )


def _own_settings(directory: Path, port: int) -> dict[str, str]:
    """The environment variables that let a command use the demo's database."""
    own = {
        "database_url": EmbeddedServer(directory).url,
        # `export-history` writes the port into the label `instance`.
        "port": str(port),
        "thresholds": json.dumps(THRESHOLDS),
    }
    return {f"{PREFIX}{name.upper()}": value for name, value in own.items()}


@contextmanager
def demo_directory(directory: Path) -> Iterator[Path]:
    """Empty and lock the demo's directory, after stopping a database that a killed demo left running.

    Raises:
        DirectoryRefused: the directory does not belong to a demo, or another demo is running in it.
    """
    with fresh_directory(directory, _end_database) as made:
        yield made


def _end_database(directory: Path) -> None:
    if not (directory / "postgres" / "postmaster.pid").exists():
        return
    left_behind = EmbeddedServer(directory)
    try:
        left_behind.start()
        left_behind.release()
    except EmbeddedUnavailable:
        # The server cannot start, so no server needs to be stopped.
        return
