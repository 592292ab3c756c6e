"""Find the lines of a comment that are commands, and the lines that are meant as commands but are written wrongly."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches

from service.lifecycle.acts import COMMANDS, FIELD_COMMANDS, RISKS

_NAME = "experiment"
_VERBS = "|".join((*COMMANDS, *FIELD_COMMANDS, *RISKS))
# No-break spaces and wider spaces come with texts that are copied from web pages.
_SPACE = r"[ \t\xa0\u1680\u2000-\u200a\u202f\u205f\u3000]"
# Chats and editors add characters without a width, such as a byte order mark or a zero width space.
_INVISIBLE = re.compile("[\xad\u200b-\u200f\u2060\ufeff]")
_LINE_END = re.compile(r"\r\n|\r|\n")
# CommonMark, "Fenced code blocks": no backtick may follow an opening fence of backticks, and a closing fence is alone
# on its line.
_FENCE = re.compile(r" {0,3}(`{3,}+(?!.*`)|~{3,}+)(.*)")
# CommonMark, "HTML blocks": a comment that begins a line hides all lines up to its end.
_HIDDEN, _SHOWN = re.compile(r" {0,3}<!--"), "-->"
_COMMAND = re.compile(
    rf"/{_NAME}(?:{_SPACE}+(?P<words>.*)|(?P<wrong>s(?:[ \t:,].*)?|[:,].*|[-_=\\]*(?:{_VERBS})(?:{_SPACE}.*)?)|)",
    re.IGNORECASE,
)
# Bullets, numbers, boxes, headings, emphasis, code spans, tags, escapes and mentions, as they begin a line of Markdown.
_BEFORE = r"(?:[\s*_~`#+\\-]|[0-9]{1,3}[.)]|\[[ x]\]|</?[a-z]{1,10}>|@[\w./-]{1,80}[:,]?)"
_FORMATTED = re.compile(rf"{_BEFORE}++/{_NAME}{_SPACE}+(?:{_VERBS})(?![a-z0-9-]).*", re.IGNORECASE)
_MISSPELT = re.compile(rf"[/\uff0f\\](?P<name>[a-z]{{3,14}}){_SPACE}+(?:{_VERBS})(?![a-z0-9-]).*", re.IGNORECASE)
_MENTIONED = re.compile(rf"(?<!\S)/{_NAME}{_SPACE}+(?:{_VERBS})(?![a-z0-9-])", re.IGNORECASE)
# People also write `/loopgauge` in place of the command.
_OTHER_NAMES = frozenset({"loopgauge"})

_PREFIX = f"a command begins with /{_NAME} and a space"
_PLACE = "a command stands at the beginning of its line, without formatting"
_UNCLOSED = "the command is in a code block without an end"


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
    """Find the commands in a comment, in order. Lines in quotations, code blocks and HTML comments are no commands."""
    fence, hidden = "", False
    inside: list[str] = []
    for line in _LINE_END.split(text):
        fenced = None if hidden else _FENCE.match(line)
        if fence:
            closes = fenced is not None and fenced[1].startswith(fence) and not fenced[2].strip()
            fence = "" if closes else fence
            inside.append(line)
        elif hidden or _HIDDEN.match(line):
            hidden = _SHOWN not in line
        elif fenced:
            fence, inside = fenced[1], []
        elif command := _read(line):
            yield command
    if fence:
        yield from (CommandLine(line, fault=_UNCLOSED) for line in inside if _COMMAND.fullmatch(_visible(line)))


def contains_command(text: str) -> bool:
    """Whether any line of a comment, even in a code block, begins like a command."""
    return any(_COMMAND.fullmatch(_visible(line)) for line in _LINE_END.split(text))


def mentions_command(text: str) -> bool:
    """Whether a comment has a command inside a line, after other words."""
    return any(_MENTIONED.search(_visible(line)) for line in _LINE_END.split(text))


def _read(line: str) -> CommandLine | None:
    shown = _visible(line)
    if command := _COMMAND.fullmatch(shown):
        wrong = command["wrong"] is not None
        return CommandLine(line, command["words"] or "", _PREFIX if wrong else "")
    if _FORMATTED.fullmatch(shown):
        return CommandLine(line, fault=_PLACE)
    misspelt = _MISSPELT.fullmatch(shown)
    return CommandLine(line, fault=_PREFIX) if misspelt and _resembles(misspelt["name"].lower()) else None


def _visible(line: str) -> str:
    return _INVISIBLE.sub("", line)


def _resembles(name: str) -> bool:
    """Whether a word abbreviates or misspells the command. A longer word, as in `/experimental`, does not."""
    if name != _NAME and name.startswith(_NAME):
        return False
    return name in _OTHER_NAMES or _NAME.startswith(name) or bool(get_close_matches(name, [_NAME], cutoff=0.85))
