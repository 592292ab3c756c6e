"""Reading request bodies within bounds: of one body, of all together, and of time."""

import asyncio
from collections.abc import Mapping
from types import TracebackType

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from service.api.errors import BodyTooLarge, BodyTooSlow, Overloaded

_READ_SECONDS = 30.0
# How late one may be noticed that is too slow, as a share of its time.
_LOOKS = 30


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
        self._looking: asyncio.TimerHandle | None = None

    def read(self, headers: Mapping[str, str], receive: Receive) -> "_Reading":
        """A context that gives the whole body; its bytes count as in flight until the context ends.

        Entering it raises:
            BodyTooLarge: the body is, or says that it is, over its cap.
            BodyTooSlow: it did not arrive in time.
            Overloaded: all bodies together are over their cap.
            ClientDisconnect: the client went away.
        """
        return _Reading(self, headers.get("content-length", ""), receive)

    def begin(self, reading: "_Reading") -> None:
        """Count a body among those that are arriving."""
        if reading.declared.isdecimal() and int(reading.declared) > self._max_body:
            raise BodyTooLarge(f"the body has {int(reading.declared)} bytes, {self._max_body} are the most")
        self._arriving[reading] = None
        if self._looking is None:
            self._look()

    def take(self, reading: "_Reading", message: Message) -> None:
        """Take a piece of a body in."""
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size = len(chunk)
        if reading.size + size > self._max_body:
            raise BodyTooLarge(f"the body has more than {self._max_body} bytes")
        if self._inflight + size > self._max_inflight:
            self._make_room(reading, size)
        reading.chunks.append(chunk)
        reading.size += size
        self._inflight += size

    def end(self, reading: "_Reading") -> bytes:
        """Count a body among those that have arrived, and return it."""
        del self._arriving[reading]
        body = reading.chunks[0] if len(reading.chunks) == 1 else b"".join(reading.chunks)
        # Two copies would be twice the bytes.
        reading.chunks.clear()
        return body

    def release(self, reading: "_Reading") -> None:
        """Forget about a body."""
        self._arriving.pop(reading, None)
        reading.chunks.clear()
        self._inflight -= reading.size
        reading.size = 0

    def _make_room(self, reading: "_Reading", wanted: int) -> None:
        while self._inflight + wanted > self._max_inflight:
            largest = max(self._arriving, key=lambda one: one.size, default=reading)
            if largest.size <= reading.size + wanted:
                raise Overloaded
            self.release(largest)
            largest.interrupt(Overloaded())

    def _look(self) -> None:
        """Interrupt who is too slow, and come again: one timer for all, since one for each body costs as much as it."""
        now = asyncio.get_running_loop().time()
        for reading in list(self._arriving):
            if reading.began + _READ_SECONDS > now:
                break
            self.release(reading)
            reading.interrupt(BodyTooSlow(f"the body did not arrive within {_READ_SECONDS:g} seconds"))
        self._looking = None
        if self._arriving:
            self._looking = asyncio.get_running_loop().call_later(_READ_SECONDS / _LOOKS, self._look)


class _Reading:
    """One body that is being read, and then in use until the context ends."""

    __slots__ = ("_cancelling", "_interrupted", "_reader", "_receive", "_task", "began", "chunks", "declared", "size")

    def __init__(self, reader: BodyReader, declared: str, receive: Receive) -> None:
        self.declared = declared
        self.chunks: list[bytes] = []
        self.size = 0
        self._reader = reader
        self._receive = receive
        self._interrupted: Exception | None = None

    async def __aenter__(self) -> bytes:
        self._task = _current_task()
        self._cancelling = self._task.cancelling()
        self.began = asyncio.get_running_loop().time()
        self._reader.begin(self)
        try:
            more = True
            while more:
                message = await self._receive()
                self._reader.take(self, message)
                more = message.get("more_body", False)
            return self._reader.end(self)
        except BaseException as error:
            self._reader.release(self)
            if self._interrupted is not None and self._task.uncancel() <= self._cancelling:
                raise self._interrupted from error
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.release(self)

    def interrupt(self, why: Exception) -> None:
        """Let the one who reads the body hear why it is not to be read on."""
        self._interrupted = why
        self._task.cancel()


def _current_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("bodies are read in tasks")
    return task
