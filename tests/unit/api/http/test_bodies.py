"""`BodyReader` limits the bytes of all bodies in flight. At the limit, it refuses the largest body still arriving."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from starlette.types import Message

from service.api.http.bodies import BodyReader
from service.api.http.problems import BodyTooLarge, BodyTooSlow, IncompleteBody, Overloaded


class _Sender:
    """A client that sends a piece of its body whenever the test calls `send`."""

    def __init__(self, reader: BodyReader, *pieces: bytes) -> None:
        self._reader = reader
        self._arrived: asyncio.Queue[Message] = asyncio.Queue()
        self.send(*pieces)
        self._release = asyncio.Event()
        self.task = asyncio.create_task(self._post())

    def send(self, *pieces: bytes) -> None:
        for piece in pieces:
            self._arrived.put_nowait({"type": "http.request", "body": piece, "more_body": True})

    def end(self, piece: bytes = b"", *, release: bool = True) -> None:
        """Send the last piece. With `release=False`, the body stays in flight until the test calls `release`."""
        self._arrived.put_nowait({"type": "http.request", "body": piece, "more_body": False})
        if release:
            self.release()

    def release(self) -> None:
        self._release.set()

    async def _post(self) -> bytes:
        body = await self._reader.read({}, self._arrived.get)
        try:
            await self._release.wait()
            return body
        finally:
            self._reader.release(body)


@asynccontextmanager
async def _sending(reader: BodyReader, *bodies: Sequence[bytes]) -> AsyncIterator[list[_Sender]]:
    """Start a sender for each body, and wait until the reader has read the sent pieces or refused the body."""
    senders = [_Sender(reader, *body) for body in bodies]
    await _settled()
    yield senders
    for sender in senders:
        sender.task.cancel()
    await asyncio.gather(*(sender.task for sender in senders), return_exceptions=True)


async def _settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def _takes(reader: BodyReader, size: int) -> bool:
    """Whether the reader accepts one more body of this size."""
    sender = _Sender(reader)
    sender.end(b"x" * size)
    try:
        return await sender.task == b"x" * size
    except Overloaded:
        return False


async def _takes_at_once(reader: BodyReader) -> bool:
    """Read a body of 500 bytes in one piece. The read does not yield to the event loop, so no other task runs."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * 500, "more_body": False}

    body = await reader.read({}, receive)
    reader.release(body)
    return len(body) == 500


async def test_the_largest_arriving_body_is_refused_to_make_room_for_smaller_bodies() -> None:
    reader = BodyReader(1000, 1000)
    async with _sending(reader, [b"a" * 300], [b"b" * 400], [b"c" * 200]) as (small, largest, smallest):
        smallest.send(b"c" * 150)
        await _settled()
        with pytest.raises(Overloaded):
            await largest.task
        small.end(b"a")
        smallest.end(b"c")
        assert (await small.task, await smallest.task) == (b"a" * 301, b"c" * 351)
    assert await _takes(reader, 1000)


async def test_a_new_body_is_refused_if_it_would_be_the_largest() -> None:
    reader = BodyReader(1000, 1000)
    async with _sending(reader, [b"a" * 300], [b"b" * 400]) as (first, second):
        assert not await _takes(reader, 500)
        first.end()
        second.end()
        assert (await first.task, await second.task) == (b"a" * 300, b"b" * 400)
    assert await _takes(reader, 1000)


async def test_a_body_that_has_arrived_is_not_refused_to_make_room_for_another() -> None:
    reader = BodyReader(1000, 1000)
    async with _sending(reader, [b"a" * 900]) as [stored]:
        stored.end(release=False)
        await _settled()
        assert not await _takes(reader, 200)
        stored.release()
        assert await stored.task == b"a" * 900
    assert await _takes(reader, 1000)


async def test_forty_slow_senders_do_not_stop_the_reader_from_accepting_a_small_body() -> None:
    reader = BodyReader(1000, 1000)
    async with _sending(reader, *([b"x" * 20] for _ in range(40))) as dribbling:
        for _ in range(30):
            for sender in dribbling:
                sender.send(b"x" * 3)
            await _settled()
            assert await _takes(reader, 15)
        refused = [sender for sender in dribbling if sender.task.done()]
        assert 0 < len(refused) < 40
        assert {type(sender.task.exception()) for sender in refused} == {Overloaded}
    assert await _takes(reader, 1000)


async def test_a_single_body_above_the_limit_for_all_bodies_in_flight_is_refused() -> None:
    reader = BodyReader(max_body=1000, max_inflight=500)
    async with _sending(reader, [b"x" * 400, b"x" * 200]) as [sender]:
        with pytest.raises(Overloaded):
            await sender.task
    assert await _takes(reader, 500)
    assert not await _takes(reader, 501)


async def test_a_body_refused_after_its_last_piece_arrived_is_not_returned_truncated() -> None:
    reader = BodyReader(1000, 1000)
    async with _sending(reader, [b"a" * 800]) as [largest]:
        # The last piece is queued. A new body arrives and needs the room before the task that reads the piece resumes.
        largest.end(b"the rest")
        assert await _takes_at_once(reader)
        with pytest.raises(Overloaded):
            await largest.task
    assert await _takes(reader, 1000)


async def test_a_body_that_does_not_arrive_within_the_timeout_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.http.bodies._READ_SECONDS", 0.05)
    reader = BodyReader(1000, 1000)
    async with _sending(reader, [b"x" * 800]) as [slow]:
        with pytest.raises(BodyTooSlow, match=r"did not arrive within 0\.05 seconds"):
            await slow.task
    assert await _takes(reader, 1000)


async def test_a_slow_body_that_is_refused_to_make_room_reports_an_overload_and_not_a_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = asyncio.get_running_loop()
    reader = BodyReader(1000, 1000)
    async with _sending(reader, [b"x" * 800]) as [slow]:
        # The slow body is past its timeout. Before the event loop runs the timer, a new body needs the room.
        later = loop.time() + 600
        monkeypatch.setattr(loop, "time", lambda: later)
        assert await _takes_at_once(reader)
        with pytest.raises(Overloaded):
            await slow.task
    assert await _takes(reader, 1000)


async def test_a_body_over_the_size_limit_leaves_no_bytes_in_flight() -> None:
    reader = BodyReader(1000, 1500)
    async with _sending(reader, [b"x" * 900, b"x" * 200]) as [sender]:
        with pytest.raises(BodyTooLarge):
            await sender.task
    assert await _takes(reader, 1000)


async def _read(reader: BodyReader, declared: str, *pieces: bytes) -> bytes:
    """Read a body of these pieces, which follow a head that declares a length."""
    arriving = iter([{"type": "http.request", "body": piece, "more_body": True} for piece in pieces])

    async def receive() -> Message:
        return next(arriving, {"type": "http.request", "body": b"", "more_body": False})

    body = await reader.read({"content-length": declared}, receive)
    reader.release(body)
    return body


@pytest.mark.parametrize("declared", ["4", "0", "x", "-3", "3, 3"])
async def test_a_body_that_does_not_have_its_declared_length_is_refused(declared: str) -> None:
    reader = BodyReader(1000, 1000)
    with pytest.raises(IncompleteBody, match=f"3 bytes, but its Content-Length is {declared}"):
        await _read(reader, declared, b"a", b"bc")
    assert await _takes(reader, 1000)


@pytest.mark.parametrize("declared", ["3", " 3 ", "003", "0" * 5000 + "3"])
async def test_a_body_that_has_its_declared_length_is_read(declared: str) -> None:
    assert await _read(BodyReader(1000, 1000), declared, b"a", b"bc") == b"abc"
    assert await _read(BodyReader(1000, 1000), "0" * len(declared)) == b""


@pytest.mark.parametrize("declared", ["1001", "9999", "1" * 4000, "9" * 5000, " 1001 "])
async def test_a_declared_length_over_the_limit_is_refused_in_few_words(declared: str) -> None:
    reader = BodyReader(1000, 1000)
    with pytest.raises(BodyTooLarge) as refused:
        await _read(reader, declared)
    assert len(str(refused.value)) < 100
    assert await _takes(reader, 1000)


async def test_a_body_for_which_the_memory_is_too_small_leaves_no_bytes_in_flight(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(_: Sequence[bytes]) -> bytes:
        raise MemoryError

    reader = BodyReader(1000, 1000)
    with monkeypatch.context() as patched:
        patched.setattr("service.api.http.bodies._joined", fail)
        with pytest.raises(MemoryError):
            await _read(reader, "900", b"x" * 500, b"x" * 400)
    assert await _takes(reader, 1000)
