"""The documentation: its pages, the code blocks in them, and the marks that say how tests check a block.

A mark is a comment in the line above a block. The reader of the page does not see it:

| mark | meaning |
|---|---|
| `<!-- run -->` | the suite runs the commands, one block of a page after the other, and each must succeed |
| `<!-- run with: promtool -->` | as `run`, if this program is installed |
| `<!-- printed -->` | the block before prints these lines, in this order; `…` stands for any text |
| `<!-- file: bets.yaml -->` | the text of a file that later blocks of the page use |
| `<!-- example: a failure -->` | a test with its own checks runs or reads the block under this name |
| `<!-- not run: needs a cluster -->` | the reason why the suite cannot run the commands |
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import DOCS, README

PAGES = sorted([README, *DOCS.rglob("*.md")])

_MARK = r"[ ]*<!-- [^\n]* -->\n"
_BLOCK = re.compile(
    rf"(?P<marks>(?:^{_MARK})*)^(?P<indent>[ ]*)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
_ONE_MARK = re.compile(r"<!-- (?P<name>[\w ]+)(?:: (?P<argument>.*?))? -->")


@dataclass(frozen=True, slots=True)
class Block:
    """A code block of a page.

    Attributes:
        place: the page and the line where the block begins.
        language: the word behind the fence, such as `sh`.
        marks: the argument of each mark by the mark's name; an empty text if the mark has no argument.
    """

    place: str
    language: str
    marks: Mapping[str, str]
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the code blocks of a page, in their order."""
    written = page.read_text()
    for found in _BLOCK.finditer(written):
        marks = {mark["name"]: mark["argument"] or "" for mark in _ONE_MARK.finditer(found["marks"])}
        line = written.count("\n", 0, found.start("language")) + 1
        text = "".join(each.removeprefix(found["indent"]) for each in found["text"].splitlines(keepends=True))
        yield Block(f"{page.name}:{line}", found["language"], marks, text)


def read_page(name: str) -> str:
    """The text of a page in `docs/`."""
    return (DOCS / name).read_text()


def example(name: str) -> str:
    """The text of the only example with this name in the README and in `docs/`."""
    [text] = [block.text for page in PAGES for block in blocks(page) if block.marks.get("example") == name]
    return text
