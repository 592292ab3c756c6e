"""Find the lines of a comment that are commands, and the lines that are meant as commands but are written wrongly."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from service.deliveries.prose import Cover, read_prose
from service.lifecycle.nearest import distance
from service.rules.command_words import WORDS, are_words, is_meant

_NAME = "experiment"
_VERBS = "|".join(sorted(WORDS, key=len, reverse=True))
# No-break spaces and wider spaces come with texts that are copied from web pages.
_SPACE = r"[ \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]"
# Chats and editors add characters without a width, such as a byte order mark or a zero width space.
_INVISIBLE = re.compile("[\xad\u200b-\u200f\u2060\ufeff]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTED = re.compile(r"[ \t]*>[> \t]*")
_COMMAND = re.compile(
    rf"/{_NAME}(?:{_SPACE}+(?P<words>.*)|(?P<wrong>s(?:[ \t:,].*)?|[:,].*|[-_=\\/.>|]*(?:{_VERBS})(?:{_SPACE}.*)?)|)",
    re.IGNORECASE,
)
# Bullets, numbers, boxes, headings, emphasis, code spans, tags, escapes and mentions, as they begin a line of Markdown.
_BEFORE = r"(?:[\s*_~`#+\\-]|[0-9]{1,3}[.)]|\[[ x]\]|</?[a-z]{1,10}>|@[\w./-]{1,80}[:,]?)"
_AFTER = r"(?:[*_~`]|</[a-z]{1,10}>)"
_FORMATTED = re.compile(rf"{_BEFORE}++/{_NAME}{_AFTER}*{_SPACE}+(?P<verb>[^\s<>]+).*", re.IGNORECASE)
_MISSPELT = re.compile(
    rf"[/\uff0f\\!.]{{1,2}}{_SPACE}?(?P<name>[a-z]{{3,14}})[:,]?{_SPACE}+(?:{_VERBS})(?![a-z0-9-]).*", re.IGNORECASE
)
# Most comments have none of these, and need no comparison of their lines.
_POSSIBLE = re.compile(r"[/\uff0f\\!]|^\.|(?i:exp|@loopgauge)", re.MULTILINE)
# Without its slash, with another name, or without any name: `experiment start`, `@loopgauge start`, `/conclude failed`.
_BARE = re.compile(
    rf"(?:#?{_NAME}[:,]?{_SPACE}+|@loopgauge[:,]?{_SPACE}+|/(?=(?:conclude|classify){_SPACE}))(?P<words>.*)",
    re.IGNORECASE,
)
_MENTIONED = re.compile(rf"(?<![\w/.:-])/{_NAME}{_SPACE}+(?:{_VERBS})(?![a-z0-9-])", re.IGNORECASE)
# People also write `/loopgauge` in place of the command.
_OTHER_NAMES = frozenset({"loopgauge"})
_MOST_EDITS = 2

_PREFIX = f"a command begins with /{_NAME} and a space"
_PLACE = "a command stands at the beginning of its line, without formatting or other words before it"
_UNCLOSED = "the command is in a code block without an end"
_COVERED: Mapping[Cover, str] = {
    "code": "a command in a code block has no effect; write it outside of the block",
    "quotation": "a command in a quotation has no effect; write it on a line of its own",
    "comment": "a command in an HTML comment has no effect; write it outside of the HTML comment",
}


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A line that is meant as a command.

    Attributes:
        words: the words after `/experiment`.
        fault: the reason why the line is not a command; empty if it is one.
    """

    line: str
    words: str = ""
    fault: str = ""


def find_command_lines(text: str) -> Iterator[CommandLine]:
    """Find the commands in a comment, in order.

    A line that looks like a command in a quotation, a code block or an HTML comment is found with its fault.
    """
    if not _POSSIBLE.search(text):
        return
    lines = _LINE_END.split(text)
    if not any(_read(_without_mark(line)) for line in lines):
        return
    prose = read_prose(text)
    for number, line in enumerate(lines[: len(prose.lines)]):
        if number in prose.unclosed:
            yield from [CommandLine(line, fault=_UNCLOSED)] if _COMMAND.fullmatch(_visible(line)) else []
        elif cover := prose.hidden.get(number):
            yield from _find_inside(_without_mark(line), _COVERED[cover])
        elif command := _read(line):
            yield command


def _without_mark(line: str) -> str:
    """A line without the marks of a quotation."""
    quoted = _QUOTED.match(line)
    return line[quoted.end() :] if quoted else line


def _find_inside(line: str, fault: str) -> Iterator[CommandLine]:
    """Find a line that would be a command, or mentions one, if it were not quoted, hidden or code."""
    shown = _visible(line)
    command = _COMMAND.fullmatch(shown)
    verb = next(iter((command["words"] or "").split()), "") if command else ""
    if (command and (not verb or is_meant(verb))) or _is_formatted(shown):
        yield CommandLine(line, fault=fault)


def _read(line: str) -> CommandLine | None:
    shown = _visible(line)
    if command := _COMMAND.fullmatch(shown):
        wrong = command["wrong"] is not None
        return CommandLine(line, command["words"] or "", _PREFIX if wrong else "")
    if _is_formatted(shown):
        return CommandLine(line, fault=_PLACE)
    return CommandLine(line, fault=_PREFIX) if _is_misspelt(shown) else None


def _is_formatted(shown: str) -> bool:
    """Whether a line has a command after Markdown or other words."""
    formatted = _FORMATTED.fullmatch(shown)
    return (formatted is not None and is_meant(formatted["verb"])) or _MENTIONED.search(shown) is not None


def _is_misspelt(shown: str) -> bool:
    """Whether a line has a command whose beginning is misspelt or lacks its slash."""
    misspelt = _MISSPELT.fullmatch(shown)
    if misspelt and _resembles(misspelt["name"].lower()):
        return True
    bare = _BARE.fullmatch(shown)
    return bare is not None and are_words(bare["words"])


def _visible(line: str) -> str:
    return _INVISIBLE.sub("", line)


def _resembles(name: str) -> bool:
    """Whether a word abbreviates or misspells the command. A longer word, as in `/experimental`, does not."""
    if name != _NAME and name.startswith(_NAME):
        return False
    return name in _OTHER_NAMES or _NAME.startswith(name) or distance(name, _NAME, _MOST_EDITS) <= _MOST_EDITS
