"""Commands in comments: `/experiment conclude failed intelligent`, at the start of a line."""

import re
from collections.abc import Iterator, Mapping, Sequence

from service.deliveries.observation import Commented
from service.lifecycle.events import Concluded, Declared, LifecycleEvent, Reopened, Started
from service.lifecycle.fields import FIELDS, FieldName
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk

# CommonMark, "Fenced code blocks": after backticks no other backtick may stand, and what closes a block stands alone.
_FENCE = re.compile(r" {0,3}(`{3,}+(?!.*`)|~{3,}+)(.*)")
_COMMAND = re.compile(r"/experiment[ \t]+(.*)", re.IGNORECASE)
_LINE_END = re.compile(r"\r\n|\r|\n")


def commands(comment: Commented) -> list[LifecycleEvent]:
    """What a comment's commands say; what is no command, quoted, or in a code block says nothing."""
    return [event for words in _lines(comment.text) for event in _said(comment, words)]


def is_addressed(text: str) -> bool:
    """Whether a line of a comment, in code or not, begins as a command does."""
    return any(_COMMAND.match(line) for line in _LINE_END.split(text))


def _lines(text: str) -> Iterator[Sequence[str]]:
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


def _said(comment: Commented, words: Sequence[str]) -> list[LifecycleEvent]:
    subject, at = comment.subject, comment.at

    def declared(field: FieldName, value: str) -> list[LifecycleEvent]:
        normalised = FIELDS[field].normalise(value)
        return [Declared(subject, at, field, normalised, "comment")] if normalised else []

    match [word.lower() for word in words]:
        case ["start"]:
            return [Started(subject, at, commanded=True)]
        case ["reopen"]:
            return [Reopened(subject, at, commanded=True)]
        case ["conclude", outcome, *category] if outcome in set(Outcome) - {Outcome.UNDECLARED} and len(category) <= 1:
            if category and (outcome != Outcome.FAILED or category[0] not in _CATEGORIES):
                return []
            classified = [event for one in category for event in declared("failure_category", one)]
            return [
                Concluded(subject, at, Outcome(outcome), commanded=True),
                *declared("outcome", outcome),
                *classified,
            ]
        case ["share"]:
            return declared("shared", "true")
        case ["share", _]:
            return declared("shared", words[1]) if FIELDS["url"].normalise(words[1]) else []
        case [name, value] if (field := _FIELDS.get(name)) is not None:
            return declared(field, value)
        case [risk] if risk in set(Risk):
            return declared("risk", risk)
        case _:
            return []


_FIELDS: Mapping[str, FieldName] = {name: name for name, field in FIELDS.items() if field.command}
_CATEGORIES = frozenset(FailureCategory) - {FailureCategory.UNCLASSIFIED}
