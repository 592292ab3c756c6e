"""External merge sort: sort texts by their place in the output, with temporary files if they exceed a memory limit."""

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
_MEMORY_BYTES = 1 << 26

Place: TypeAlias = tuple[int, int]
"""A position in the output: the index of a metric family, and an index that orders the metrics within the family."""


class SpillBuffer:
    """Collects text by place. Within a place, text stays in the order in which it was added.

    Whenever the text in memory reaches the limit, it is written to a temporary file, in the order of the places. `read`
    merges the files.

    Args:
        memory_bytes: the largest number of bytes of text in memory.
    """

    def __init__(self, memory_bytes: int = _MEMORY_BYTES) -> None:
        self._limit = memory_bytes
        self._size = 0
        self._text: defaultdict[Place, bytearray] = defaultdict(bytearray)
        self._files = ExitStack()
        self._spilled: list[BinaryIO] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._files.close()

    def add(self, place: Place, text: bytes) -> None:
        """Add text at its place.

        Raises:
            OSError: there is no disk space for temporary files.
        """
        self._text[place] += text
        self._size += len(text)
        if self._size >= self._limit:
            self._spill()

    def read(self) -> Iterator[tuple[Place, bytes]]:
        """Read all text in the order of the places. Call this once. The text of a place may come in several parts."""
        # For equal places, `merge` takes the earlier file first, so the text of a place stays in order.
        yield from merge(*map(_read, self._spilled), self._in_order(), key=itemgetter(0))

    def _in_order(self) -> Iterator[tuple[Place, bytes]]:
        for place in sorted(self._text):
            yield place, bytes(self._text[place])

    def _spill(self) -> None:
        file = self._files.enter_context(TemporaryFile(prefix="loopgauge-"))  # noqa: SIM115 - the stack closes it
        for (family, metric), text in self._in_order():
            file.write(_HEAD.pack(family, metric, len(text)) + text)
        self._spilled.append(file)
        self._text.clear()
        self._size = 0


def _read(file: BinaryIO) -> Iterator[tuple[Place, bytes]]:
    file.seek(0)
    while head := file.read(_HEAD.size):
        family, metric, length = _HEAD.unpack(head)
        yield (family, metric), file.read(length)
