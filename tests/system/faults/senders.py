"""Senders that repeat each request until they get a response other than 503."""

import heapq
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from types import TracebackType
from typing import Self

import httpx

from tests.system.faults.stories import Posting

# Some senders time out before the service does, and do not learn whether it stored their request.
_SHORTEST_TIMEOUT, _LONGEST_TIMEOUT = 3.0, 15.0
_THREADS = 16


@dataclass(slots=True)
class Sent:
    """The responses that senders got."""

    acknowledged: Counter[str] = field(default_factory=Counter)
    """The number of 2xx responses for each delivery, by its id."""
    duplicates: int = 0
    refused: int = 0
    resent: Counter[str] = field(default_factory=Counter)
    """The number of requests that were sent again, by reason."""
    surprises: list[str] = field(default_factory=list)
    """Responses that must never occur."""


class Senders:
    """Threads that post requests to several processes.

    Args:
        due: pairs of a delay in seconds and a request; the request is sent for the first time after the delay.
    """

    def __init__(self, due: Sequence[tuple[float, Posting]], urls: Sequence[str], rng: random.Random) -> None:
        self.sent = Sent()
        self._urls = urls
        self._numbers = count()
        self._changed = threading.Condition()
        self._over = False
        self._unanswered = len(due)
        now = time.monotonic()
        self._waiting = [(now + when, next(self._numbers), one) for when, one in due]
        heapq.heapify(self._waiting)
        seeds = [rng.getrandbits(32) for _ in range(_THREADS)]
        self._threads = [threading.Thread(target=self._post, args=(random.Random(seed),)) for seed in seeds]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._over = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    @property
    def unanswered(self) -> int:
        """The number of requests that have no final response yet."""
        with self._changed:
            return self._unanswered

    def finish(self, seconds: float) -> None:
        """Wait until each request has its final response, or until the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: not self._unanswered, seconds)

    def _post(self, rng: random.Random) -> None:
        with httpx.Client() as client:
            while one := self._next():
                timeout = rng.uniform(_SHORTEST_TIMEOUT, _LONGEST_TIMEOUT)
                seen = self._attempt(client, rng.choice(self._urls), one, timeout)
                with self._changed:
                    if seen is None:
                        self._unanswered -= 1
                    else:
                        self.sent.resent[seen] += 1
                        again = time.monotonic() + rng.uniform(0.2, 1)
                        heapq.heappush(self._waiting, (again, next(self._numbers), one))
                    self._changed.notify_all()

    def _next(self) -> Posting | None:
        with self._changed:
            while not self._over:
                wait = self._waiting[0][0] - time.monotonic() if self._waiting else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._waiting)[2]
                self._changed.wait(wait)
        return None

    def _attempt(self, client: httpx.Client, url: str, one: Posting, timeout: float) -> str | None:
        """Post a request once, and return the reason to repeat it, or `None`."""
        try:
            response = client.post(url + one.path, content=one.body, headers=one.headers, timeout=timeout)
        except httpx.HTTPError as error:
            return type(error).__name__
        if response.status_code == 503:
            return "503"
        with self._changed:
            self._judge(one, response)
        return None

    def _judge(self, one: Posting, response: httpx.Response) -> None:
        match response.status_code, one.genuine:
            case 401, False:
                self.sent.refused += 1
            case 202, True if response.json()["delivery"] == str(one.delivery):
                self.sent.acknowledged[str(one.delivery)] += 1
                self.sent.duplicates += response.json()["status"] == "duplicate"
            case _:
                signed = "genuine" if one.genuine else "tampered"
                self.sent.surprises.append(f"{signed} {one.delivery}: {response.status_code} {response.text[:200]}")
