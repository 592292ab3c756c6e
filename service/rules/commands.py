"""Read commands in comments, such as `/experiment conclude failed intelligent` at the start of a line."""

import re
from collections.abc import Iterator, Mapping, Sequence

from service.deliveries.observation import Commented
from service.lifecycle.events import Concluded, Declared, LifecycleEvent, Reopened, Started
from service.lifecycle.fields import FIELDS, FieldName
from service.lifecycle.taxonomy import Outcome

# CommonMark, "Fenced code blocks": no backtick may follow an opening fence of backticks, and a closing fence is alone
# on its line.
_FENCE = re.compile(r" {0,3}(`{3,}+(?!.*`)|~{3,}+)(.*)")
_COMMAND = re.compile(r"/experiment[ \t]+(.*)", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")
_FIELDS: Mapping[str, FieldName] = {name: name for name, field in FIELDS.items() if field.command}


def parse_commands(comment: Commented) -> list[LifecycleEvent]:
    """The events that a comment's commands state. Commands in quotations and code blocks are ignored."""
    return [event for words in _command_lines(comment.text) for event in _events_of(comment, words)]


def contains_command(text: str) -> bool:
    """Whether any line of a comment, even in a code block, begins like a command."""
    return any(_COMMAND.match(line) for line in _LINE_END.split(text))


def _command_lines(text: str) -> Iterator[Sequence[str]]:
    """The words of each command outside code blocks, without `/experiment`."""
    fence = ""
    for line in _LINE_END.split(text):
        fenced = _FENCE.match(line)
        if fence:
            closes = fenced is not None and fenced[1].startswith(fence) and not fenced[2].strip()
            fence = "" if closes else fence
        elif fenced:
            fence = fenced[1]
        elif command := _COMMAND.match(line):
            yield command[1].split()


def _events_of(comment: Commented, words: Sequence[str]) -> list[LifecycleEvent]:
    """The events that one command states; none if the command is malformed."""
    subject, at = comment.subject, comment.at

    def declare(field: FieldName, value: str) -> list[LifecycleEvent]:
        normalised = FIELDS[field].normalise(value)
        return [Declared(subject, at, field, normalised, "comment")] if normalised else []

    match [word.lower() for word in words]:
        case ["start"]:
            return [Started(subject, at, commanded=True)]
        case ["reopen"]:
            return [Reopened(subject, at, commanded=True)]
        case ["conclude", outcome] if declared := declare("outcome", outcome):
            return [Concluded(subject, at, Outcome(outcome), commanded=True), *declared]
        case ["conclude", Outcome.FAILED as outcome, category] if classified := declare("failure_category", category):
            concluded = Concluded(subject, at, Outcome.FAILED, commanded=True)
            return [concluded, *declare("outcome", outcome), *classified]
        case ["share"]:
            return declare("shared", "true")
        case ["share", _] if FIELDS["url"].normalise(words[1]):
            return declare("shared", words[1])
        case [name, value] if name in _FIELDS:
            return declare(_FIELDS[name], value)
        case [risk]:
            return declare("risk", risk)
        case _:
            return []
