"""A process beside this one that computes what would hold up others here, and keeps what it has read.

In a thread of the service, whatever it receives meanwhile would wait for its turn; a process of its own leaves the
service's event loop free. It ends with the process that started it, however that ends, since it hears the end of its
standard input.
"""

import asyncio
import gc
import os
import signal
import struct
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import BinaryIO, Generic, TypeAlias, TypeVar

import msgspec
import structlog

from service.logs import configure_logs
from service.metrics.terms import Terms
from service.storage.errors import DatabaseError, DatabaseUnavailable

_LENGTH = struct.Struct(">Q")
# Above what any answer comes to, so that the pipe is never held back in the middle of one.
_PIPE_BYTES = 1 << 28
_END_SECONDS = 5.0
# The service goes first where both want the processor.
_NICENESS = 5

# Not even an empty message may be left out of another.
_NOTHING = msgspec.Raw(msgspec.msgpack.encode(None))

_log = structlog.get_logger(__name__)

T = TypeVar("T")


class ChildProcessFailed(Exception):
    """The process failed or ended; the next question is a new attempt, to a new one where it ended."""


class Beginning(msgspec.Struct):
    """What a companion hears first: whose experiments are counted, and on what terms."""

    url: str
    terms: Terms
    log_level: str


class _Answer(msgspec.Struct):
    """What became of a question: what is told, or why nothing is."""

    told: msgspec.Raw = _NOTHING
    unavailable: str = ""
    failed: str = ""


Answering: TypeAlias = Callable[[msgspec.Raw], Awaitable[object]]
"""Answers a question that came as MessagePack."""


class ChildProcess(Generic[T]):
    """The asking end: starts the process when something is asked, and asks it.

    Args:
        program: the module that is the process; it calls `accompany`.
        does: what it does, for the message where it ended.
        beginning: what it hears first; its logs go to the same standard error.
        told: what it answers with.
    """

    def __init__(self, program: str, does: str, beginning: Beginning, told: type[T]) -> None:
        self._program = program
        self._does = does
        self._beginning = beginning
        self._told = told
        self._process: asyncio.subprocess.Process | None = None

    async def ask(self, question: object) -> T:
        """The answer; one question at a time. Whoever gives up waiting for it ends the process.

        Raises:
            DatabaseUnavailable: the experiments cannot be read.
            CompanionFailed: the process has a fault, or was killed.
        """
        process = self._process or await self._start()
        self._process = process
        try:
            answer = await _ask(process, question)
        except (OSError, EOFError) as error:
            await self.close()
            raise ChildProcessFailed(f"the process that {self._does} ended with status {process.returncode}") from error
        except BaseException:
            # What comes out of the pipe from now on would be the answer to a question that nobody asks any more.
            self._process = None
            await asyncio.shield(_end(process, patience=0))
            raise
        if answer.unavailable:
            raise DatabaseUnavailable(answer.unavailable)
        if answer.failed:
            raise ChildProcessFailed(answer.failed)
        return msgspec.msgpack.decode(answer.told, type=self._told)

    async def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process, _END_SECONDS)

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_PIPE_BYTES,
            # A folder by the package's name where the service was started must not be taken for it.
            env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        _write(process, self._beginning)
        return process


async def _ask(process: asyncio.subprocess.Process, question: object) -> _Answer:
    _write(process, question)
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


def accompany(begin: Callable[[Beginning], Answering]) -> None:
    """The process itself: answers each question, one after the other, until its standard input is over.

    Args:
        begin: makes what answers; on the running event loop.
    """
    # Where all processes of a terminal or a unit are told to end, the service ends in its order, and this with it.
    for asked in (signal.SIGINT, signal.SIGTERM):
        signal.signal(asked, signal.SIG_IGN)
    os.nice(_NICENESS)
    # Whatever prints by accident must not come in between.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    beginning = msgspec.msgpack.decode(_heard(sys.stdin.buffer) or b"", type=Beginning)
    configure_logs(beginning.log_level)
    # Looking for what refers to itself in a circle takes as long as the figures, and can wait until they are told.
    gc.disable()
    asyncio.run(_answer_each(begin, beginning, sys.stdin.buffer, answers))


async def _answer_each(
    begin: Callable[[Beginning], Answering], beginning: Beginning, questions: BinaryIO, answers: BinaryIO
) -> None:
    asked: asyncio.Queue[bytes] = asyncio.Queue()
    soon = asyncio.get_running_loop().call_soon_threadsafe
    listening = (questions, lambda question: soon(asked.put_nowait, question))
    threading.Thread(target=_listen, args=listening, daemon=True, name="listen").start()
    answering = begin(beginning)
    while True:
        answers.write(_framed(await _answer(answering, msgspec.Raw(await asked.get()))))
        answers.flush()
        gc.collect()
        # What has stayed until now is kept: the next time, only what is new is looked through.
        gc.freeze()


async def _answer(answering: Answering, question: msgspec.Raw) -> _Answer:
    try:
        return _Answer(told=msgspec.Raw(msgspec.msgpack.encode(await answering(question))))
    except DatabaseError as error:
        return _Answer(unavailable=str(error))
    except Exception as error:  # noqa: BLE001 - whatever it was, the process goes on, and the service hears of it
        _log.exception("a question could not be answered")
        return _Answer(failed=f"a fault in loopgauge: {type(error).__name__}")


def _listen(questions: BinaryIO, ask: Callable[[bytes], object]) -> None:
    """Pass on each question, and end the process when nobody is there any more to ask, whatever it is doing."""
    while (question := _heard(questions)) is not None:
        ask(question)
    os._exit(0)


def _heard(messages: BinaryIO) -> bytes | None:
    """The next message, or None at the end."""
    head = messages.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    message = messages.read(length)
    return message if len(message) == length else None
