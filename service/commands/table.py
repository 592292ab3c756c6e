"""Tables and paragraphs that fit the terminal. Elsewhere than on a terminal, nothing is shortened or wrapped."""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import accumulate
from unicodedata import combining, east_asian_width

_GAP = "  "
_INDENT = "  "
_NARROWEST_LAST_COLUMN = 20
_FILLER = "\x00"


def terminal_width() -> int | None:
    """The number of columns of the terminal, or None if the output does not go to a terminal."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def printable(text: str) -> str:
    """The text without control and format characters: a title from a webhook must neither control the terminal nor
    change the order of its characters.
    """
    return "".join(character if character.isprintable() else " " for character in text)


def columns(text: str) -> int:
    """The number of columns that a text takes on a terminal. A wide character takes two, a combining one takes none."""
    return len(text) if text.isascii() else sum(map(_columns_of, text))


def _columns_of(character: str) -> int:
    if combining(character):
        return 0
    return 2 if east_asian_width(character) in "WF" else 1


def _cut(text: str, most: int) -> str:
    """The beginning of a text, at most `most` columns wide."""
    ends = accumulate(map(_columns_of, text))
    return text[: sum(end <= most for end in ends)]


def _fill(text: str, width: int) -> str:
    return text + " " * (width - columns(text))


class Table:
    """A table whose last column is as wide as the rest of the line.

    The other columns are never shortened, because people copy from them. If they leave too little room for the last
    column, its text goes to a line of its own.

    Args:
        titles: the titles of the columns.
        rows: the first rows, which determine the widths of the columns.
        width: the width of the terminal; None to shorten nothing.
        whole: whether to wrap a last column that does not fit, instead of shortening it.
    """

    def __init__(
        self, titles: Sequence[str], rows: Sequence[Sequence[str]], width: int | None, *, whole: bool = False
    ) -> None:
        self._widths = [max(columns(row[place]) for row in [titles, *rows]) for place in range(len(titles) - 1)]
        self._width = width
        taken = sum(self._widths) + len(_GAP) * len(self._widths)
        self._on_one_line = width is None or width - taken >= _NARROWEST_LAST_COLUMN
        self._titles = titles
        self._whole = whole

    def header(self) -> Iterator[str]:
        """The lines with the titles of the columns."""
        yield from self.row(self._titles)

    def row(self, cells: Sequence[str]) -> Iterator[str]:
        """The lines of a row."""
        *first, last = map(printable, cells)
        padded = _GAP.join(_fill(cell, width) for cell, width in zip(first, self._widths, strict=True))
        if self._on_one_line:
            yield from self._fitted(f"{padded}{_GAP}", last)
        else:
            yield padded.rstrip()
            if last:
                yield from self._fitted(_INDENT, last)

    def _fitted(self, before: str, last: str) -> Iterator[str]:
        line = f"{before}{last}".rstrip()
        if self._width is None or columns(line) <= self._width:
            yield line
        elif self._whole:
            texts = _wrap(last, max(self._width - columns(before), _NARROWEST_LAST_COLUMN))
            yield from (f"{before if place == 0 else ' ' * columns(before)}{text}" for place, text in enumerate(texts))
        else:
            yield f"{_cut(line, max(self._width - 1, columns(before.rstrip())))}…"


def fit(line: str) -> str:
    """A line, wrapped at the width of the terminal. A long word, such as a reference, is not broken."""
    line, width = printable(line), terminal_width()
    if width is None:
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return "\n".join(_wrap(line.lstrip(), width, indent, f"{indent}{_INDENT}"))


def wrapped(words: Sequence[str], width: int, *, indent: str = "") -> Iterator[str]:
    """The lines of a paragraph. A long word, such as a reference, is not broken, so that people can copy it."""
    yield from _wrap(printable(_GAP.join(filter(None, words))), width, indent, indent or _INDENT)


def _wrap(text: str, width: int, first: str = "", later: str = "") -> Iterator[str]:
    # `textwrap` counts characters, not columns: let a wide character count as two by a filler after it.
    measured = "".join(letter + _FILLER * (_columns_of(letter) - 1) for letter in text)
    for line in textwrap.wrap(
        measured,
        width,
        initial_indent=first,
        subsequent_indent=later,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    ):
        yield line.replace(_FILLER, "")
