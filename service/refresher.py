"""The refresher: a process beside the leader that takes its snapshots, so that a refresh holds nobody up.

A snapshot of many experiments is a second of pure Python. In a thread of the service, whatever it receives meanwhile
would wait for its turn; a process of its own leaves the service's event loop free, and keeps what it has read from one
snapshot to the next. It ends with the process that started it, however that ends, since it hears the end of its
standard input.
"""

import asyncio
import gc
import os
import signal
import struct
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import BinaryIO

import msgspec
import structlog

from service.logs import configure_logs
from service.metrics.terms import Terms
from service.pipeline.snapshot import Memory, Snapshot, take_snapshot
from service.storage.database import Database, DatabaseError, DatabaseUnavailable

_LENGTH = struct.Struct(">Q")
# Above what any snapshot comes to, so that the pipe is never held back in the middle of one.
_PIPE_BYTES = 1 << 28
_END_SECONDS = 5.0
_QUESTION = "snapshot"
# The service goes first where both want the processor.
_NICENESS = 5

_log = structlog.get_logger(__name__)


class RefreshFailed(Exception):
    """The refresher failed or ended; the next snapshot is a new attempt, by a new one where it ended."""


class _Beginning(msgspec.Struct):
    """What a refresher hears first."""

    url: str
    terms: Terms
    log_level: str


class _Answer(msgspec.Struct):
    """What became of a snapshot: the snapshot, or why there is none."""

    snapshot: Snapshot | None = None
    unavailable: str = ""
    failed: str = ""


class Refresher:
    """The leader's end: starts the process when a snapshot is asked for, and asks it.

    Args:
        database: whose experiments are counted.
        terms: those of the figures.
        log_level: of what the process logs, to the same standard error.
    """

    def __init__(self, database: Database, terms: Terms, log_level: str) -> None:
        self._beginning = _Beginning(database.url, terms, log_level)
        self._process: asyncio.subprocess.Process | None = None

    async def refresh(self) -> Snapshot:
        """The figures of this moment; one at a time. Whoever gives up waiting for them ends the process.

        Raises:
            DatabaseUnavailable: the experiments cannot be read.
            RefreshFailed: the process has a fault, or was killed.
        """
        process = self._process or await self._start()
        self._process = process
        try:
            answer = await _ask(process)
        except (OSError, EOFError) as error:
            await self.close()
            raise RefreshFailed(f"the process that takes snapshots ended with status {process.returncode}") from error
        except BaseException:
            # What comes out of the pipe from now on would be the answer to a question that nobody asks any more.
            self._process = None
            await asyncio.shield(_end(process, patience=0))
            raise
        if answer.unavailable:
            raise DatabaseUnavailable(answer.unavailable)
        if answer.snapshot is None:
            raise RefreshFailed(answer.failed)
        return answer.snapshot

    async def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process, _END_SECONDS)

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            __name__,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_PIPE_BYTES,
            # A folder by the package's name where the service was started must not be taken for it.
            env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        _write(process, self._beginning)
        return process


async def _ask(process: asyncio.subprocess.Process) -> _Answer:
    _write(process, _QUESTION)
    assert process.stdout is not None  # noqa: S101 - it was started with a pipe
    (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
    return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=_Answer)


def _write(process: asyncio.subprocess.Process, message: object) -> None:
    assert process.stdin is not None  # noqa: S101 - it was started with a pipe
    process.stdin.write(_framed(message))


async def _end(process: asyncio.subprocess.Process, patience: float) -> None:
    """See a process end: by itself, since its standard input is over, or killed when that takes too long."""
    if process.stdin is not None:
        process.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await process.wait()
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _framed(message: object) -> bytes:
    written = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(written)) + written


def main() -> None:
    """The process itself: takes a snapshot each time it is asked for one, until its standard input is over."""
    # Where all processes of a terminal or a unit are told to end, the service ends in its order, and this with it.
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.SIG_IGN)
    os.nice(_NICENESS)
    # Whatever prints by accident must not come in between.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    beginning = msgspec.msgpack.decode(_heard(sys.stdin.buffer) or b"", type=_Beginning)
    configure_logs(beginning.log_level)
    # Looking for what refers to itself in a circle takes as long as the figures, and can wait until they are told.
    gc.disable()
    asyncio.run(_take_snapshots(beginning, sys.stdin.buffer, answers))


async def _take_snapshots(beginning: _Beginning, questions: BinaryIO, answers: BinaryIO) -> None:
    asked = asyncio.Semaphore(0)
    ask = asyncio.get_running_loop().call_soon_threadsafe
    threading.Thread(target=_listen, args=(questions, lambda: ask(asked.release)), daemon=True, name="listen").start()
    database, memory = Database(beginning.url, pool_size=1), Memory()
    while True:
        await asked.acquire()
        answer = await _answer(database, beginning.terms, memory)
        if answer.snapshot is None:
            # Another server may be there now, on which the same version means something else.
            memory = Memory()
        answers.write(_framed(answer))
        answers.flush()
        gc.collect()
        # What has stayed until now is kept: the next time, only what is new is looked through.
        gc.freeze()


async def _answer(database: Database, terms: Terms, memory: Memory) -> _Answer:
    try:
        return _Answer(snapshot=await take_snapshot(database, terms, _now, memory))
    except DatabaseError as error:
        return _Answer(unavailable=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it was, the process goes on, and the service hears of it
        _log.exception("a snapshot failed")
        return _Answer(failed=f"a fault in loopgauge: {type(error).__name__}")


def _now() -> datetime:
    return datetime.now(UTC)


def _listen(questions: BinaryIO, ask: Callable[[], object]) -> None:
    """Pass on each question, and end the process when nobody is there any more to ask, whatever it is doing."""
    while _heard(questions) is not None:
        ask()
    os._exit(0)


def _heard(messages: BinaryIO) -> bytes | None:
    """The next message, or None at the end."""
    head = messages.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    message = messages.read(length)
    return message if len(message) == length else None


if __name__ == "__main__":
    main()
