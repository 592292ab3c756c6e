"""The prose of a Markdown text: the text that its readers see, without code, comments and quotations. Pure.

Closing words and commands count in prose only. The blocks are read by markdown-it-py, a parser of CommonMark. It reads
64 KiB of hostile nesting in less than half a second, and a text without any of the marks in `_MARKED`, as most texts
are, does not need it.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Literal

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.backticks import backtick
from markdown_it.rules_inline.html_inline import html_inline
from markdown_it.token import Token

LONGEST = 65_536
"""The number of characters that are read of a text: the longest body of an issue, change or comment on GitHub."""

# The marks of code, comments, quotations and definitions of links, which readers do not see either.
_MARKED = re.compile(r"[`<>]|~~~|^(?: {4}| {0,3}\t| {0,3}\[)", re.MULTILINE)
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r"(?:[ \t]|[-*+][ \t]|[0-9]{1,9}[.)][ \t])*+>")
_COMMENT = "<!--"
# Each alternative ends at the end of the text at the latest, so a search passes over a text once.
_IN_HTML = re.compile(
    rf"{_COMMENT}.*?(?:-->|\Z)|<(pre|code|script|style|textarea)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE
)
_CODE_ELEMENT = re.compile(r"<(pre|code)\b.*?(?:</\1\s*>|\Z)", re.DOTALL | re.IGNORECASE)
_CODE = "\ufffc"
"""The character that stands for each hidden character, except that a comment is replaced by spaces: the words before
and after a comment follow one another."""

Cover = Literal["code", "comment", "quotation"]
_Span = tuple[int, int]


@dataclass(slots=True)
class Prose:
    """The lines of a text.

    Attributes:
        lines: the prose of each line. Hidden characters are replaced, so the other characters keep their places.
        hidden: the numbers of the lines that begin outside of prose, and what hides them.
        unclosed: the numbers of the lines in a fenced code block that has no end.
    """

    lines: list[str]
    hidden: dict[int, Cover] = field(default_factory=dict)
    unclosed: range = range(0)

    @property
    def text(self) -> str:
        """The prose as one text."""
        return "\n".join(self.lines)


def read_prose(text: str) -> Prose:
    """Read the first `LONGEST` characters of a Markdown text."""
    lines = _LINE_END.split(text[:LONGEST])
    if not _MARKED.search(text, 0, LONGEST):
        return Prose(lines)
    # Whatever belongs to no block, such as the definition of a link, is used as a comment.
    prose = Prose([""] * len(lines), dict.fromkeys(range(len(lines)), "comment"))
    quotations = 0
    for token in _BLOCKS.parse("\n".join(lines)):
        quotations += token.nesting if token.type.startswith("blockquote") else 0
        if token.map is None:
            continue
        match token.type:
            case "inline":
                _show(prose, lines, token.map[0], token.content, _hidden_inline(token.content), quoted=quotations > 0)
            case "html_block" if not quotations:
                content = "\n".join(lines[token.map[0] : token.map[1]])
                _show(prose, lines, token.map[0], content, _hidden_html(content), quoted=False)
            case "fence" | "code_block":
                prose.hidden.update(dict.fromkeys(range(*token.map), "code"))
                if token.type == "fence" and token.map[1] == len(lines) and not _ends(token, lines):
                    prose.unclosed = range(token.map[0] + 1, len(lines))
            case _:
                pass
    return prose


def _ends(fence: Token, lines: Sequence[str]) -> bool:
    """Whether a fenced code block that extends to the last line has its own end there."""
    return fence.map != [len(lines) - 1, len(lines)] and set(lines[-1].strip()) == set(fence.markup)


def _show(prose: Prose, lines: Sequence[str], first: int, content: str, spans: list[_Span], *, quoted: bool) -> None:
    """Show the content of a block that begins on the line `first`, without the hidden spans of the content."""
    shown = _blank(content, spans)
    starts = [0, *accumulate(len(line) + 1 for line in content.split("\n"))]
    begins = [begin for begin, _ in spans]
    for number, (line, start) in enumerate(zip(shown.split("\n"), starts, strict=False), first):
        if quoted and _QUOTED.match(lines[number]):
            prose.hidden[number] = "quotation"
            continue
        place = lines[number].rfind(content[start : start + len(line)])
        prose.lines[number] = lines[number][:place] + line if place > 0 else line
        if cover := _cover(content, spans, begins, start):
            prose.hidden[number] = cover
        else:
            del prose.hidden[number]


def _cover(content: str, spans: Sequence[_Span], begins: Sequence[int], start: int) -> Cover | None:
    """What hides the beginning of a line: a comment, or code that began on an earlier line."""
    first = next((place for place in range(start, len(content)) if content[place] not in " \t"), start)
    within = bisect_right(begins, first) - 1
    if within < 0 or spans[within][1] <= first:
        return None
    begin = spans[within][0]
    if content.startswith(_COMMENT, begin):
        return "comment"
    return "code" if begin < start else None


def _blank(content: str, spans: Sequence[_Span]) -> str:
    parts, end = [], 0
    for begin, after in spans:
        parts += [content[end:begin], _replace(content[begin:after])]
        end = after
    return "".join([*parts, content[end:]])


def _replace(hidden: str) -> str:
    mark = " " if hidden.startswith(_COMMENT) else _CODE
    return "\n".join(mark * len(line) for line in hidden.split("\n"))


def _hidden_html(content: str) -> list[_Span]:
    return [found.span() for found in _IN_HTML.finditer(content)]


def _hidden_inline(content: str) -> list[_Span]:
    """The spans of code, comments and tags in a paragraph or heading, without overlaps."""
    spans: list[_Span] = []
    _BLOCKS.inline.parse(content, _BLOCKS, {_SPANS: spans}, [])
    tags = {begin for begin, _ in spans}
    elements = [found.span() for found in _CODE_ELEMENT.finditer(content) if found.start() in tags]
    return list(_join(sorted([*spans, *elements], key=lambda span: (span[0], -span[1]))))


def _join(spans: Sequence[_Span]) -> Iterator[_Span]:
    """Leave out the spans that begin in another span."""
    end = 0
    for begin, after in spans:
        if begin >= end:
            yield begin, after
            end = after


_SPANS = "spans"
_Rule = Callable[[StateInline, bool], bool]


def _recorded(rule: _Rule) -> _Rule:
    """A rule of the parser that also records the spans that it reads."""

    def read(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - the parser's own signature
        begin = state.pos
        found = rule(state, silent)
        if found and not silent:
            state.env[_SPANS].append((begin, state.pos))
        return found

    return read


def _reader() -> MarkdownIt:
    """A parser that finds blocks, and whose inline rules record code, comments and tags. It needs no other inline rules
    but those for escapes and addresses, which may contain such marks.
    """
    reader = MarkdownIt("commonmark").disable(["inline", "text_join", "emphasis", "link", "image", "entity"])
    reader.inline.ruler.at("backticks", _recorded(backtick))
    reader.inline.ruler.at("html_inline", _recorded(html_inline))
    return reader


_BLOCKS = _reader()
