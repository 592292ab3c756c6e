"""Reading request bodies within bounds: of one body, of all together, and of time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from service.api.errors import BodyTooLarge, BodyTooSlow, Overloaded

_READ_SECONDS = 30.0


class _Reading:
    """One body that is being read."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.size = 0
        self.deadline = asyncio.timeout(_READ_SECONDS)
        self.gave_way = False


class BodyReader:
    """Reads bodies, and refuses early what would be too much.

    Where all together would be too much, the largest that is still arriving gives way: nobody is proven yet to be who
    they claim to be, and a few who send much and slowly must not keep out those who send little.

    Args:
        max_body: bytes of one body.
        max_inflight: bytes of all bodies that are being read or stored at one time.
    """

    def __init__(self, max_body: int, max_inflight: int) -> None:
        self._max_body = max_body
        self._max_inflight = max_inflight
        self._inflight = 0
        self._arriving: set[_Reading] = set()

    @asynccontextmanager
    async def read(self, headers: Mapping[str, str], receive: Receive) -> AsyncIterator[bytes]:
        """The whole body; its bytes count as in flight until the context ends.

        Raises:
            BodyTooLarge: the body is, or says that it is, over its cap.
            BodyTooSlow: it did not arrive in time.
            Overloaded: all bodies together are over their cap.
            ClientDisconnect: the client went away.
        """
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_body:
            raise BodyTooLarge(f"the body has {int(declared)} bytes, {self._max_body} are the most")
        reading = _Reading()
        try:
            await self._read(reading, receive)
            body = b"".join(reading.chunks)
            # Two copies would be twice the bytes.
            reading.chunks.clear()
            yield body
        finally:
            self._inflight -= reading.size

    async def _read(self, reading: _Reading, receive: Receive) -> None:
        self._arriving.add(reading)
        try:
            async with reading.deadline:
                async for chunk in _chunks(receive):
                    # It may have arrived before the wake-up: what is left of the body is not the body.
                    if reading.gave_way:
                        raise Overloaded
                    if reading.size + len(chunk) > self._max_body:
                        raise BodyTooLarge(f"the body has more than {self._max_body} bytes")
                    self._make_room(reading, len(chunk))
                    reading.chunks.append(chunk)
                    reading.size += len(chunk)
                    self._inflight += len(chunk)
        except TimeoutError as error:
            if reading.gave_way:
                raise Overloaded from error
            raise BodyTooSlow(f"the body did not arrive within {_READ_SECONDS:g} seconds") from error
        finally:
            self._arriving.discard(reading)

    def _make_room(self, reading: _Reading, wanted: int) -> None:
        while self._inflight + wanted > self._max_inflight:
            largest = max(self._arriving, key=lambda one: one.size, default=reading)
            if largest.size <= reading.size + wanted:
                raise Overloaded
            self._give_way(largest)

    def _give_way(self, reading: _Reading) -> None:
        """Let go of what has arrived of a body, and wake up who reads it to say so."""
        self._arriving.discard(reading)
        reading.gave_way = True
        reading.chunks.clear()
        self._inflight -= reading.size
        reading.size = 0
        # One whose time has just run out is being woken up already.
        if not reading.deadline.expired():
            reading.deadline.reschedule(asyncio.get_running_loop().time())


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        more = message.get("more_body", False)
