"""Reading request bodies within bounds: of one body, of all together, and of time."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from service.api.http.problems import BodyTooLarge, BodyTooSlow, Overloaded

_READ_SECONDS = 30.0
# How often it is looked who is too slow, in that time.
_LOOKS = 30


@dataclass(slots=True, eq=False)
class _Reading:
    """One body that is arriving.

    Attributes:
        task: who reads it.
        began: the number of the look before it began.
        size: how many bytes have arrived.
        refused: why it is not to be read on.
    """

    task: asyncio.Task[object]
    began: int
    size: int = 0
    chunks: list[bytes] = field(default_factory=list)
    refused: Exception | None = None


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
        # In the order in which they began.
        self._arriving: dict[_Reading, None] = {}
        self._looks = 0
        self._looking: asyncio.TimerHandle | None = None

    async def read(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        """The whole body, whose bytes count as in flight until it is released.

        Raises:
            BodyTooLarge: the body is, or says that it is, over its cap.
            BodyTooSlow: it did not arrive in time.
            Overloaded: all bodies together are over their cap.
            ClientDisconnect: the client went away.
        """
        declared = headers.get("content-length", "")
        if declared.isdecimal() and int(declared) > self._max_body:
            raise BodyTooLarge(f"the body has {int(declared)} bytes, {self._max_body} are the most")
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("bodies are read in tasks")
        reading = _Reading(task, self._looks)
        cancelling = task.cancelling()
        self._arriving[reading] = None
        if self._looking is None:
            self._look()
        try:
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect  # noqa: TRY301 - what has arrived is given back in one place
                self._take(reading, message.get("body", b""))
                more = message.get("more_body", False)
        except BaseException as error:
            self._inflight -= reading.size
            # Cancelled by us, and by nobody else.
            if reading.refused is not None and task.uncancel() <= cancelling:
                raise reading.refused from error
            raise
        finally:
            self._arriving.pop(reading, None)
        return reading.chunks[0] if len(reading.chunks) == 1 else b"".join(reading.chunks)

    def release(self, body: bytes) -> None:
        """Give back the room of a body that was read."""
        self._inflight -= len(body)

    def _take(self, reading: _Reading, chunk: bytes) -> None:
        size = len(chunk)
        if reading.size + size > self._max_body:
            raise BodyTooLarge(f"the body has more than {self._max_body} bytes")
        if self._inflight + size > self._max_inflight:
            self._make_room(reading, size)
        reading.chunks.append(chunk)
        reading.size += size
        self._inflight += size

    def _make_room(self, reading: _Reading, wanted: int) -> None:
        while self._inflight + wanted > self._max_inflight:
            largest = max(self._arriving, key=lambda one: one.size, default=reading)
            if largest.size <= reading.size + wanted:
                raise Overloaded
            self._refuse(largest, Overloaded())

    def _refuse(self, reading: _Reading, why: Exception) -> None:
        """Let go of what has arrived of a body, and wake up who reads it to say so."""
        del self._arriving[reading]
        self._inflight -= reading.size
        reading.chunks.clear()
        reading.size = 0
        reading.refused = why
        reading.task.cancel()

    def _look(self) -> None:
        """Refuse what is too slow, and look again: one timer for all, since one for each costs more than to read it."""
        self._looks += 1
        for reading in list(self._arriving):
            if self._looks - reading.began <= _LOOKS:
                break
            self._refuse(reading, BodyTooSlow(f"the body did not arrive within {_READ_SECONDS:g} seconds"))
        self._looking = None
        if self._arriving:
            self._looking = asyncio.get_running_loop().call_later(_READ_SECONDS / _LOOKS, self._look)
