"""Read commands in comments, such as `/experiment conclude failed intelligent` at the start of a line."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.deliveries.observation import Commented
from service.lifecycle.acts import ACTS, COMMANDS, FIELD_COMMANDS, RISKS, ActName, Argument, events_of, propose
from service.lifecycle.events import LifecycleEvent, Result
from service.lifecycle.fields import FIELDS, FieldName
from service.lifecycle.nearest import suggest
from service.lifecycle.taxonomy import Outcome

# CommonMark, "Fenced code blocks": no backtick may follow an opening fence of backticks, and a closing fence is alone
# on its line.
_FENCE = re.compile(r" {0,3}(`{3,}+(?!.*`)|~{3,}+)(.*)")
# A no-break space comes with texts that are copied from web pages.
_COMMAND = re.compile(r"/experiment(?:[ \t\xa0]+(?P<words>.*)|(?P<wrong>s(?:[ \t:,].*)?|[:,].*)|)", re.IGNORECASE)
_QUOTABLE = re.compile(r"[\w-]{1,40}")
_LINE_END = re.compile(r"\r\n|\r|\n")
_RESULTS: Mapping[str, Result] = {"success": "success", "failure": "failure"}
_WORDS: Mapping[str, str] = {
    **{other: act.command for act in ACTS.values() if act.command for other in act.also},
    **{name: act.command for name, act in ACTS.items() if act.command},
    **{word: word for word in (*COMMANDS, *FIELD_COMMANDS, *RISKS)},
}
"""The command that each word stands for: commands, and other words for them."""
EXPECTED = f"expected one of {', '.join((*COMMANDS, *FIELD_COMMANDS, *RISKS))}"


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a comment that begins like a command: the events that it states, or the reason why it states none."""

    line: str
    events: tuple[LifecycleEvent, ...] = ()
    refusal: str = ""


class _Refusal(Exception):
    """The command cannot be understood; the message says why, without a word that may be a person's name."""


def parse_commands(comment: Commented) -> list[Command]:
    """The commands of a comment, in order. Lines in quotations and code blocks are no commands."""
    return [_read(comment, command) for command in _command_lines(comment.text)]


def contains_command(text: str) -> bool:
    """Whether any line of a comment, even in a code block, begins like a command."""
    return any(_COMMAND.fullmatch(line) for line in _LINE_END.split(text))


def _command_lines(text: str) -> Iterator[re.Match[str]]:
    """The lines outside code blocks that begin like a command."""
    fence = ""
    for line in _LINE_END.split(text):
        fenced = _FENCE.match(line)
        if fence:
            closes = fenced is not None and fenced[1].startswith(fence) and not fenced[2].strip()
            fence = "" if closes else fence
        elif fenced:
            fence = fenced[1]
        elif command := _COMMAND.fullmatch(line):
            yield command


def _read(comment: Commented, line: re.Match[str]) -> Command:
    try:
        return Command(line[0], tuple(_events_of(comment, line)))
    except _Refusal as refusal:
        return Command(line[0], refusal=str(refusal))


def _events_of(comment: Commented, line: re.Match[str]) -> Iterator[LifecycleEvent]:
    if line["wrong"] is not None:
        raise _Refusal("a command begins with /experiment and a space")
    verb, *values = (line["words"] or "").split() or [""]
    verb = verb.lower()
    if verb in COMMANDS:
        return _act(comment, COMMANDS[verb], values)
    if verb in FIELD_COMMANDS:
        return _describe(comment, verb, FIELD_COMMANDS[verb], values)
    if verb in RISKS:
        _refuse_more(verb, values, 0)
        return _describe(comment, verb, "risk", [verb])
    raise _Refusal(_describe_unknown(verb))


def _describe_unknown(verb: str) -> str:
    if not verb:
        return f"a command is missing after /experiment; {EXPECTED}"
    nearest = suggest(verb, _WORDS)
    question = f"; did you mean {_WORDS[nearest]}?" if nearest else ""
    return f"unknown command{_quote(verb, nearest)}; {EXPECTED}{question}"


def _quote(word: str, nearest: str) -> str:
    """Quote a refused word only if it is near a word of the vocabulary. Any other word may be a person's name."""
    return f" `{word.lower()}`" if nearest and _QUOTABLE.fullmatch(word) else ""


def _act(comment: Commented, act: ActName, values: Sequence[str]) -> Iterator[LifecycleEvent]:
    spoken = ACTS[act]
    given: dict[str, str] = {}
    for argument, word in zip(spoken.arguments, values, strict=False):
        _check_category(given, argument)
        given[argument.name] = _accept(spoken.command, argument, word)
    _refuse_more(spoken.usage, values, len(spoken.arguments))
    if missing := spoken.missing("comment", given):
        raise _Refusal(f"{spoken.command} needs {_name(missing)}: {missing.refusal('')}")
    fields = {one.field: given[one.name] for one in spoken.arguments if one.field and one.name in given}
    return _state(comment, act, fields, _RESULTS[given.get("result", "success")])


def _state(
    comment: Commented, act: ActName, fields: Mapping[FieldName, str], result: Result = "success"
) -> Iterator[LifecycleEvent]:
    if act == "proposed":
        yield from propose(comment.subject, comment.at, "comment")
    yield from events_of(act, comment.subject, comment.at, fields, channel="comment", result=result)


def _describe(comment: Commented, name: str, field: FieldName, values: Sequence[str]) -> Iterator[LifecycleEvent]:
    if not values:
        raise _Refusal(f"{name} needs a value: {FIELDS[field].refusal('')}")
    argument = Argument(name=name, field=field)
    value = _accept(name, argument, values[0])
    _refuse_more(f"{name} <{name}>", values, 1)
    return _state(comment, "described", {field: value})


def _accept(command: str, argument: Argument, word: str) -> str:
    """The stored form of a value."""
    if argument.field is None:
        value = word.lower() if word.lower() in argument.choices else None
    else:
        # A shared result is a link here, although other channels may state it in other words.
        field: FieldName = "url" if argument.field == "shared" else argument.field
        value = FIELDS[field].normalise(word)
    if value is not None:
        return value
    if argument.field == "outcome" and (category := FIELDS["failure_category"].normalise(word)):
        raise _Refusal(f"{category} is a failure category; did you mean {command} {Outcome.FAILED} {category}?")
    quoted = _quote(word, suggest(word, argument.choices))
    named = command if command == argument.name else f"{command}: {_name(argument)}"
    raise _Refusal(f"{named}{quoted}: {argument.refusal(word)}")


def _name(argument: Argument) -> str:
    return argument.name.replace("_", " ")


def _check_category(given: Mapping[str, str], argument: Argument) -> None:
    outcome = given.get("outcome", Outcome.FAILED)
    if argument.field == "failure_category" and outcome != Outcome.FAILED:
        raise _Refusal(f"nothing may follow {outcome}, because only a failed experiment has a failure category")


def _refuse_more(usage: str, values: Sequence[str], most: int) -> None:
    if len(values) > most:
        raise _Refusal(f"too many words after the command; expected /experiment {usage}")
