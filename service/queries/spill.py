"""Gather: what comes moment by moment is put together by metric, on disk where it is too much for memory."""

import struct
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from heapq import merge
from operator import itemgetter
from tempfile import TemporaryFile
from types import TracebackType
from typing import BinaryIO, Self, TypeAlias

_HEAD = struct.Struct(">IIQ")
_ROOM = 1 << 26

Place: TypeAlias = tuple[int, int]
"""Where something stands in the whole: the number of a family, and that of a metric in it."""


class SpillBuffer:
    """Text by its place; what was added first to a place stands first there.

    It fills memory up to a limit, then goes to a temporary file in order of the places, again and again; in the end the
    files are read side by side.

    Args:
        room: how many bytes of text stay in memory.
    """

    def __init__(self, room: int = _ROOM) -> None:
        self._room = room
        self._taken = 0
        self._gathered: defaultdict[Place, bytearray] = defaultdict(bytearray)
        self._files = ExitStack()
        self._full: list[BinaryIO] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add(self, place: Place, text: bytes) -> None:
        """Add text at its place.

        Raises:
            OSError: there is no room for temporary files.
        """
        self._gathered[place] += text
        self._taken += len(text)
        if self._taken >= self._room:
            self._put_away()

    def read(self) -> Iterator[tuple[Place, bytes]]:
        """All that was added, once, in order of the places; one place may come in several parts."""
        # Of equal places, merging takes those of the earlier file first.
        yield from merge(*map(_read, self._full), self._in_order(), key=itemgetter(0))

    def _in_order(self) -> Iterator[tuple[Place, bytes]]:
        for place in sorted(self._gathered):
            yield place, bytes(self._gathered[place])

    def _put_away(self) -> None:
        file = self._files.enter_context(TemporaryFile(prefix="loopgauge-"))  # noqa: SIM115 - the stack closes it
        for (family, metric), text in self._in_order():
            file.write(_HEAD.pack(family, metric, len(text)) + text)
        self._full.append(file)
        self._gathered.clear()
        self._taken = 0


def _read(file: BinaryIO) -> Iterator[tuple[Place, bytes]]:
    file.seek(0)
    while head := file.read(_HEAD.size):
        family, metric, length = _HEAD.unpack(head)
        yield (family, metric), file.read(length)
