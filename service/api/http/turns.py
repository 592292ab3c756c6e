"""Turns: each caller has one expensive request at a time, and a bounded queue of further requests."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import Request

MOST_WAITING = 8
"""The largest number of requests of one caller that wait for their turn."""


class TooManyWaiting(Exception):
    """Too many requests of this client wait for an answer; send the next one after an answer."""


class Turns:
    """Gives each caller one turn at a time, so that the requests of one caller delay others by one request at most.

    An address is one caller, so the clients behind one proxy are one caller.
    """

    def __init__(self, most_waiting: int = MOST_WAITING) -> None:
        self._most_waiting = most_waiting
        self._locks: dict[str, asyncio.Lock] = {}
        self._present: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, request: Request) -> AsyncIterator[None]:
        """Wait for the caller's turn, and hold it.

        Raises:
            TooManyWaiting: the caller already has as many waiting requests as it may have.
        """
        caller = request.client.host if request.client else ""
        # One request has its turn, and the others wait.
        if self._present[caller] > self._most_waiting:
            raise TooManyWaiting
        lock = self._locks.setdefault(caller, asyncio.Lock())
        self._present[caller] += 1
        try:
            async with lock:
                yield
        finally:
            self._present[caller] -= 1
            if not self._present[caller]:
                del self._present[caller], self._locks[caller]
