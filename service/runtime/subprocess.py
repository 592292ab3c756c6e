"""A child process that answers questions, one after the other, and keeps its state between questions.

A thread of the service would hold Python's global interpreter lock, and every request would wait for that lock.
`anyio.to_process` and `multiprocessing` do not fit: their workers notice the death of the parent only between
questions, and a pool cannot tie a cache to one worker or end one worker alone.

The child reads questions from its standard input, and ends when the standard input closes. The child therefore ends
with its parent, even if the parent is killed.
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
from typing import BinaryIO, TypeAlias, TypeVar

import msgspec
import structlog

from service.runtime import shutdown
from service.storage.errors import DatabaseError, DatabaseUnavailable

_LENGTH = struct.Struct(">Q")
# This buffer is larger than any answer: asyncio would otherwise pause the pipe in the middle of an answer.
_PIPE_BYTES = 1 << 28
# The child has a lower priority than the service when both need the processor.
_NICENESS = 5

# Takes the place of the content in an answer that reports an error, because msgspec cannot encode an empty Raw.
_NOTHING = msgspec.Raw(msgspec.msgpack.encode(None))

_log = structlog.get_logger(__name__)

_Answered = TypeVar("_Answered")
AnswerQuestion: TypeAlias = Callable[[msgspec.Raw], Awaitable[object]]
"""A function that answers a question, which is encoded as MessagePack."""


class ChildProcessFailed(Exception):
    """The process failed or ended. If the process has ended, the next question starts a new process."""


class _Answer(msgspec.Struct):
    """The answer to a question, or the reason why there is no answer."""

    content: msgspec.Raw = _NOTHING
    unavailable: str = ""
    failed: str = ""


class ChildProcess:
    """The parent's handle to a child process. The first question starts the process.

    Args:
        program: the module that runs as the process; it calls `run_child`.
        setup: the first message to the process, before any question.
    """

    def __init__(self, program: str, setup: object) -> None:
        self._program = program
        self._setup = setup
        self._process: asyncio.subprocess.Process | None = None
        self._ending: set[asyncio.Task[None]] = set()

    async def ask(self, question: object, answer: type[_Answered]) -> _Answered:
        """Ask a question, and return the answer. Cancelling the call kills the process.

        The caller must wait for the answer before it asks again: concurrent calls are not queued.

        Raises:
            DatabaseUnavailable: the child cannot read the database.
            ChildProcessFailed: the process failed, or was killed.
        """
        process = self._process or await self._start()
        self._process = process
        try:
            answered = await _ask(process, question)
        except (OSError, EOFError) as error:
            await self.close()
            raise ChildProcessFailed(f"the process {self._program} ended with status {process.returncode}") from error
        except BaseException:
            # End the process: the answer to this question would otherwise be read as the answer to the next question.
            await self._end(patience=0)
            raise
        if answered.unavailable:
            raise DatabaseUnavailable(answered.unavailable)
        if answered.failed:
            raise ChildProcessFailed(f"the process {self._program} failed: {answered.failed}")
        return msgspec.msgpack.decode(answered.content, type=answer)

    async def close(self) -> None:
        """End the process, if it runs. Wait until all processes that this object has started are gone."""
        await self._end(shutdown.CHILD_SECONDS)

    async def _end(self, patience: float) -> None:
        process, self._process = self._process, None
        if process is not None:
            # End the process in a separate task: a caller that is cancelled again must not leave the process running.
            ending = asyncio.create_task(_end(process, patience), name="end a child process")
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
        if self._ending:
            await asyncio.wait(self._ending)

    async def _start(self) -> asyncio.subprocess.Process:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            self._program,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_PIPE_BYTES,
            # Do not import from the working directory, which may contain a folder named like the package.
            env={**os.environ, "PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        _write(process, self._setup)
        return process


async def _ask(process: asyncio.subprocess.Process, question: object) -> _Answer:
    _write(process, question)
    assert process.stdout is not None  # noqa: S101 - started with a pipe
    (length,) = _LENGTH.unpack(await process.stdout.readexactly(_LENGTH.size))
    return msgspec.msgpack.decode(await process.stdout.readexactly(length), type=_Answer)


def _write(process: asyncio.subprocess.Process, message: object) -> None:
    assert process.stdin is not None  # noqa: S101 - started with a pipe
    process.stdin.write(_frame(message))


async def _end(process: asyncio.subprocess.Process, patience: float) -> None:
    """Close the standard input of a process, and kill the process if it does not end in time."""
    if process.stdin is not None:
        process.stdin.close()
    with suppress(TimeoutError):
        async with asyncio.timeout(patience):
            await process.wait()
    with suppress(ProcessLookupError):
        process.kill()
    await process.wait()


def _frame(message: object) -> bytes:
    encoded = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(encoded)) + encoded


def run_child(start: Callable[[msgspec.Raw], AnswerQuestion]) -> None:
    """Run the child: answer each question, until the standard input closes.

    Args:
        start: is called on the event loop with the first message, and returns the function that answers questions.
    """
    # Terminals and service managers signal the whole process group. Ignore these signals: the parent ends this process
    # in an orderly way.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(_NICENESS)
    # Reserve the standard output for answers. Printed text goes to the standard error instead.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    # A garbage collection takes as long as computing an answer, so collections run between questions.
    gc.disable()
    asyncio.run(_answer_questions(start, sys.stdin.buffer, answers))


async def _answer_questions(
    start: Callable[[msgspec.Raw], AnswerQuestion], messages: BinaryIO, answers: BinaryIO
) -> None:
    questions: asyncio.Queue[bytes] = asyncio.Queue()
    soon = asyncio.get_running_loop().call_soon_threadsafe
    answer_question = start(msgspec.Raw(_read_message(messages) or b""))
    reading = (messages, lambda question: soon(questions.put_nowait, question))
    threading.Thread(target=_read_questions, args=reading, daemon=True, name="read questions").start()
    while True:
        answers.write(_frame(await _answer(answer_question, msgspec.Raw(await questions.get()))))
        answers.flush()
        gc.collect()
        # The surviving objects are caches: exclude them, so that the next collection scans only newer objects.
        gc.freeze()


async def _answer(answer_question: AnswerQuestion, question: msgspec.Raw) -> _Answer:
    try:
        return _Answer(msgspec.Raw(msgspec.msgpack.encode(await answer_question(question))))
    except DatabaseError as error:
        return _Answer(unavailable=str(error))
    except Exception as error:  # noqa: BLE001 - the process survives a bug, which the parent then reports
        _log.exception("a question could not be answered")
        return _Answer(failed=f"a fault in loopgauge: {type(error).__name__}")


def _read_questions(messages: BinaryIO, put: Callable[[bytes], object]) -> None:
    """Pass each question to `put`. When the parent is gone, end the process at once, even during a computation."""
    while (question := _read_message(messages)) is not None:
        put(question)
    os._exit(0)


def _read_message(messages: BinaryIO) -> bytes | None:
    """The next message, or None at the end of the input."""
    head = messages.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    message = messages.read(length)
    return message if len(message) == length else None
