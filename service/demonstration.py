"""The demonstration: a service with settings and a database of its own, and the organisation that visits it."""

import json
import random  # noqa: TID251 - a composition root hands out the dice
import secrets  # noqa: TID251 - likewise
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from service.app import utc_now
from service.demo.directory import fresh_directory
from service.demo.guide import guide
from service.demo.organisation import SOURCES, TEAMS, THRESHOLDS
from service.demo.post import Post
from service.demo.visit import Service, past, post_history, post_live
from service.settings import PREFIX, Settings, given_alone
from service.storage.embedded import EmbeddedServer, EmbeddedUnavailable

_SECRET_BYTES = 24

HASTY: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""PostgreSQL's settings for a database that is made anew at each start: what a crash takes is no loss."""

Progress = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
"""Shows under a label how much is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What is shown, and how.

    Attributes:
        span: how much of the organisation's past is posted.
        seed: of the dice; the same one gives the same past.
        pace: how many hours of the organisation's life pass in a second once the demo is live; 0 for none.
        command: what `loopgauge` was started as.
        say: tells the visitor something.
    """

    span: timedelta
    seed: int
    pace: float
    command: str
    say: Callable[[str], None]
    progress: Progress

    def visit(self, settings: Settings, listening: socket.socket) -> Callable[[], Coroutine[Any, Any, None]]:
        """What the organisation does once the service with these settings serves."""
        host, port = listening.getsockname()[:2]
        posted_with = {name: source.secret.get_secret_value() for name, source in settings.sources.items()}
        service = Service(host, port, posted_with, utc_now)

        async def visit() -> None:
            # The dice decide about a story, and no secret.
            dice, start = random.Random(self.seed), utc_now().replace(microsecond=0)  # noqa: S311
            await self._show_history(service, past(start, self.span, dice))
            self.say(guide(f"http://{host}:{port}", _own_settings(settings.data_dir, port), self.command))
            if self.pace:
                self.say(f"Live: {self.pace:g} h of the organisation's life pass in a second. Ctrl-C ends the demo.")
                await post_live(service, utc_now(), self.span, self.pace, dice)
            else:
                self.say("Nothing more happens. Ctrl-C ends the demo.")

        return visit

    async def _show_history(self, service: Service, posts: list[Post]) -> None:
        began = utc_now()
        with self.progress("posting and counting the past") as progress:
            results = await post_history(service, posts, progress)
        took = (utc_now() - began).total_seconds()
        self.say(
            f"{self.span // timedelta(weeks=1)} weeks of {len(TEAMS)} teams: {results['stored']} deliveries, "
            f"{results['duplicate']} of them twice, and {results['refused']} refused for its signature; "
            f"in the figures after {took:.0f} s.\n"
        )


def demo_settings(directory: Path, port: int) -> Settings:
    """The settings of the demo's service, to which the user's own have nothing to say."""
    return given_alone(
        data_dir=directory,
        port=port,
        sources={source: {"secret": secrets.token_urlsafe(_SECRET_BYTES)} for source in SOURCES},
        thresholds=THRESHOLDS,
        snapshot_interval=timedelta(seconds=2),
        log_level="warning",
    )


def _own_settings(directory: Path, port: int) -> dict[str, str]:
    """The variables with which a command sees what the demo's service sees."""
    own = {
        "database_url": EmbeddedServer(directory).url,
        # Of which the labels of an exported history are made.
        "port": str(port),
        "thresholds": json.dumps(THRESHOLDS),
    }
    return {f"{PREFIX}{name.upper()}": value for name, value in own.items()}


@contextmanager
def demo_directory(directory: Path) -> Iterator[Path]:
    """The demo's directory, empty and its alone; a database that a demo left running in it is ended first.

    Raises:
        NotOurs: it is not the demo's, or a demo runs in it.
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
        # What cannot be started does not run.
        return
