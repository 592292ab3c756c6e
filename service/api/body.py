"""Reading request bodies within bounds: of one body, of all together, and of time."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from service.api.errors import BodyTooLarge, BodyTooSlow, Overloaded

_READ_SECONDS = 30.0


class BodyReader:
    """Reads bodies, and refuses early what would be too much.

    Args:
        max_body: bytes of one body.
        max_inflight: bytes of all bodies that are being read or stored at one time.
    """

    def __init__(self, max_body: int, max_inflight: int) -> None:
        self._max_body = max_body
        self._max_inflight = max_inflight
        self._inflight = 0

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
        chunks: list[bytes] = []
        try:
            await self._read_into(chunks, receive)
            yield b"".join(chunks)
        finally:
            self._inflight -= sum(map(len, chunks))

    async def _read_into(self, chunks: list[bytes], receive: Receive) -> None:
        size = 0
        try:
            async with asyncio.timeout(_READ_SECONDS):
                async for chunk in _chunks(receive):
                    size += len(chunk)
                    if size > self._max_body:
                        raise BodyTooLarge(f"the body has more than {self._max_body} bytes")
                    if self._inflight + len(chunk) > self._max_inflight:
                        raise Overloaded
                    chunks.append(chunk)
                    self._inflight += len(chunk)
        except TimeoutError as error:
            raise BodyTooSlow(f"the body did not arrive within {_READ_SECONDS:g} seconds") from error


async def _chunks(receive: Receive) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        yield message.get("body", b"")
        more = message.get("more_body", False)
