"""Read request bodies. Limit the size of each body, the total size of all bodies, and the time to read a body."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from service.api.http.problems import BodyTooLarge, BodyTooSlow, IncompleteBody, Overloaded

_READ_SECONDS = 30.0
_TICKS = 30
"""How many times the timer ticks within `_READ_SECONDS`."""
_SHOWN_DIGITS = 20


@dataclass(slots=True, eq=False)
class _ArrivingBody:
    """A body that is arriving.

    Attributes:
        task: reads the body.
        first_tick: the number of the timer's ticks before the body began to arrive.
        size: how many bytes of the body have arrived.
        refusal: the error to raise; None until the body is refused.
    """

    task: asyncio.Task[object]
    first_tick: int
    size: int = 0
    chunks: list[bytes] = field(default_factory=list)
    refusal: Exception | None = None


class BodyReader:
    """Reads bodies, and refuses a body as soon as it exceeds a limit.

    If all bodies together exceed their limit, the reader refuses the largest body that is still arriving (load
    shedding). Signatures are verified only once the whole body has arrived, so without this rule a few large, slow
    bodies from any client could block all others.

    Args:
        max_body: the maximum size of one body in bytes.
        max_inflight: the maximum total size, in bytes, of the bodies that are being read or stored.
    """

    def __init__(self, max_body: int, max_inflight: int) -> None:
        self._max_body = max_body
        self._most = str(max_body)
        self._max_inflight = max_inflight
        self._inflight = 0
        # The keys are in the order in which the bodies began to arrive, so `_tick` can stop at the first recent body.
        self._arriving: dict[_ArrivingBody, None] = {}
        self._ticks = 0
        self._timer: asyncio.TimerHandle | None = None

    async def read(self, headers: Mapping[str, str], receive: Receive) -> bytes:
        """Read the whole body. The caller must `release` the body after use; until then its bytes count as in flight.

        Raises:
            BodyTooLarge: the body, or its declared length, exceeds the limit of one body.
            IncompleteBody: the body does not have its declared length.
            BodyTooSlow: the body did not arrive in time.
            Overloaded: all bodies together exceed their limit, and this body is the largest that is still arriving.
            ClientDisconnect: the client disconnected.
        """
        declared = headers.get("content-length", "")
        if len(declared) >= len(self._most):
            self._check_length(declared)
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("bodies must be read in a task")
        body = _ArrivingBody(task, self._ticks)
        cancelling = task.cancelling()
        self._arriving[body] = None
        if self._timer is None:
            self._tick()
        try:
            await self._receive(body, receive)
            if declared != str(body.size):
                _check_complete(body, declared)
            return _joined(body.chunks)
        except BaseException as error:
            self._inflight -= body.size
            # `_refuse` cancelled this task. Raise the refusal instead of the cancellation, unless the server cancelled
            # the task too.
            if body.refusal is not None and task.uncancel() <= cancelling:
                raise body.refusal from error
            raise
        finally:
            self._arriving.pop(body, None)

    def _check_length(self, declared: str) -> None:
        """Refuse a body whose declared length exceeds the limit, without parsing a number of thousands of digits."""
        digits = declared.strip().lstrip("0")
        if digits.isdecimal() and (len(digits), digits) > (len(self._most), self._most):
            raise BodyTooLarge(f"the body has {_shortened(digits)} bytes; the limit is {self._most}")

    async def _receive(self, body: _ArrivingBody, receive: Receive) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            self._take(body, message.get("body", b""))
            more = message.get("more_body", False)

    def release(self, body: bytes) -> None:
        """Stop counting a body as in flight."""
        self._inflight -= len(body)

    def _take(self, body: _ArrivingBody, chunk: bytes) -> None:
        size = len(chunk)
        if body.size + size > self._max_body:
            raise BodyTooLarge(f"the body has more than {self._max_body} bytes")
        if self._inflight + size > self._max_inflight:
            self._make_room(body, size)
        body.chunks.append(chunk)
        body.size += size
        self._inflight += size

    def _make_room(self, body: _ArrivingBody, wanted: int) -> None:
        while self._inflight + wanted > self._max_inflight:
            largest = max(self._arriving, key=lambda arriving: arriving.size, default=body)
            if largest.size <= body.size + wanted:
                raise Overloaded
            self._refuse(largest, Overloaded())

    def _refuse(self, body: _ArrivingBody, refusal: Exception) -> None:
        """Drop the bytes that have arrived, and cancel the task that reads them."""
        del self._arriving[body]
        self._inflight -= body.size
        body.chunks.clear()
        body.size = 0
        body.refusal = refusal
        body.task.cancel()

    def _tick(self) -> None:
        """Refuse slow bodies, and schedule the next tick if any body is still arriving.

        One timer serves all bodies, because a timer for each body would cost 4 µs per delivery.
        """
        self._ticks += 1
        for body in list(self._arriving):
            if self._ticks - body.first_tick <= _TICKS:
                break
            self._refuse(body, BodyTooSlow(f"the body did not arrive within {_READ_SECONDS:g} seconds"))
        self._timer = None
        if self._arriving:
            self._timer = asyncio.get_running_loop().call_later(_READ_SECONDS / _TICKS, self._tick)


def _check_complete(body: _ArrivingBody, declared: str) -> None:
    """Refuse a body that does not have its declared length, even if the HTTP server has accepted the body."""
    digits = declared.strip()
    if digits and digits.lstrip("0") != str(body.size or ""):
        raise IncompleteBody(f"the body has {body.size} bytes, but its Content-Length is {_shortened(digits)}")


def _shortened(digits: str) -> str:
    return digits if len(digits) <= _SHOWN_DIGITS else f"{digits[:_SHOWN_DIGITS]}…"


def _joined(chunks: Sequence[bytes]) -> bytes:
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
