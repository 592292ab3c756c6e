"""Bodies are read within bounds, and what is large and still arriving gives way to what is small."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest
from starlette.types import Message

from service.api.http.bodies import BodyReader
from service.api.http.problems import BodyTooLarge, BodyTooSlow, Overloaded


class _Sender:
    """A client whose body arrives piece by piece, as the test says."""

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
        """Send the last piece; what is read stays in use until it is released."""
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
    """Senders whose pieces have been read as far as they were let."""
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
    """Whether there is room for a body of this size, beside what there is."""
    sender = _Sender(reader)
    sender.end(b"x" * size)
    try:
        return await sender.task == b"x" * size
    except Overloaded:
        return False


async def _takes_at_once(reader: BodyReader) -> bool:
    """The same of a body of 500 bytes that is there already, so that nothing else runs meanwhile."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b"x" * 500, "more_body": False}

    body = await reader.read({}, receive)
    reader.release(body)
    return len(body) == 500


async def test_the_largest_that_is_still_arriving_gives_way_to_smaller_ones() -> None:
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


async def test_the_one_that_would_be_the_largest_itself_is_put_off() -> None:
    reader = BodyReader(1000, 1000)
    async with _sending(reader, [b"a" * 300], [b"b" * 400]) as (first, second):
        assert not await _takes(reader, 500)
        first.end()
        second.end()
        assert (await first.task, await second.task) == (b"a" * 300, b"b" * 400)
    assert await _takes(reader, 1000)


async def test_what_has_arrived_does_not_give_way() -> None:
    reader = BodyReader(1000, 1000)
    async with _sending(reader, [b"a" * 900]) as [stored]:
        stored.end(release=False)
        await _settled()
        assert not await _takes(reader, 200)
        stored.release()
        assert await stored.task == b"a" * 900
    assert await _takes(reader, 1000)


async def test_forty_that_dribble_do_not_keep_an_honest_sender_out() -> None:
    reader = BodyReader(1000, 1000)
    async with _sending(reader, *([b"x" * 20] for _ in range(40))) as dribbling:
        for _ in range(30):
            for sender in dribbling:
                sender.send(b"x" * 3)
            await _settled()
            assert await _takes(reader, 15)
        put_off = [sender for sender in dribbling if sender.task.done()]
        assert 0 < len(put_off) < 40
        assert {type(sender.task.exception()) for sender in put_off} == {Overloaded}
    assert await _takes(reader, 1000)


async def test_one_alone_that_is_larger_than_all_together_may_be_is_put_off() -> None:
    reader = BodyReader(max_body=1000, max_inflight=500)
    async with _sending(reader, [b"x" * 400, b"x" * 200]) as [sender]:
        with pytest.raises(Overloaded):
            await sender.task
    assert await _takes(reader, 500)
    assert not await _takes(reader, 501)


async def test_a_body_that_gave_way_when_its_last_piece_had_arrived_is_put_off_and_not_cut_short() -> None:
    reader = BodyReader(1000, 1000)
    async with _sending(reader, [b"a" * 800]) as [largest]:
        # It has everything, but is not running again yet when another one needs the room.
        largest.end(b"the rest")
        assert await _takes_at_once(reader)
        with pytest.raises(Overloaded):
            await largest.task
    assert await _takes(reader, 1000)


async def test_a_body_that_does_not_arrive_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.http.bodies._READ_SECONDS", 0.05)
    reader = BodyReader(1000, 1000)
    async with _sending(reader, [b"x" * 800]) as [slow]:
        with pytest.raises(BodyTooSlow, match=r"did not arrive within 0\.05 seconds"):
            await slow.task
    assert await _takes(reader, 1000)


async def test_a_body_that_has_to_give_way_as_its_time_runs_out_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.api.http.bodies._READ_SECONDS", 0.1)
    reader = BodyReader(1000, 1000)
    async with _sending(reader, [b"x" * 800]) as [slow]:

        async def come_just_before() -> bool:
            await asyncio.sleep(0.05)
            return await _takes_at_once(reader)

        coming = asyncio.create_task(come_just_before())
        await asyncio.sleep(0)
        # Both moments pass while nothing runs, so that both are due at once: the newcomer is first.
        time.sleep(0.2)  # noqa: ASYNC251 - the loop is to stand still
        assert await coming
        with pytest.raises(Overloaded):
            await slow.task
    assert await _takes(reader, 1000)


async def test_a_body_over_the_cap_leaves_no_bytes_counted() -> None:
    reader = BodyReader(1000, 1500)
    async with _sending(reader, [b"x" * 900, b"x" * 200]) as [sender]:
        with pytest.raises(BodyTooLarge):
            await sender.task
    assert await _takes(reader, 1000)
