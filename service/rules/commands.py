"""Read commands in comments, such as `/experiment conclude failed intelligent` at the start of a line."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from service.deliveries.observation import Commented
from service.lifecycle.acts import ACTS, COMMANDS, FIELD_COMMANDS, RISKS, ActName, Argument, events_of, propose
from service.lifecycle.events import Declared, LifecycleEvent, Result
from service.lifecycle.fields import DATA_PROPERTIES, FIELDS, FieldName
from service.lifecycle.nearest import did_you_mean
from service.lifecycle.taxonomy import Outcome
from service.lifecycle.teams import names_account
from service.rules.command_lines import CommandLine, find_command_lines
from service.rules.command_words import EXPECTED, VERBS, propose_command, quote, without_punctuation

_NO_ACCOUNT = "team: expected the name of a team without @, because a mention may name a person"
_CONCLUDE = ACTS["concluded"].command
_RESULTS: Mapping[str, Result] = {"success": "success", "failure": "failure"}
# Each command that cannot be understood is compared with every word.
_MOST_COMMANDS = 100
_TOO_MANY = f"a comment gives at most {_MOST_COMMANDS} commands; write the rest in another comment"
_DESCRIBE = ("describe", "described")
"""The words for the one act without a command of its own."""
_HELP = ("help", "?", "-h", "--help")


@dataclass(frozen=True, slots=True)
class Command:
    """One line of a comment that begins like a command: the events that it states, or the reason why it states none."""

    line: str
    events: tuple[LifecycleEvent, ...] = ()
    refusal: str = ""


class _Refusal(Exception):
    """The command cannot be understood; the message says why. It quotes no word that may be a name."""


def parse_commands(comment: Commented) -> list[Command]:
    """The commands of a comment, in order, and the lines that are meant as commands.

    All commands of a comment have the same time. If two of them give a field different values, the first one counts.
    """
    commands: list[Command] = []
    given: dict[FieldName, str] = {}
    for line in find_command_lines(comment.text):
        if len(commands) == _MOST_COMMANDS:
            return [*commands, Command(line.line, refusal=_TOO_MANY)]
        command = _read(comment, line)
        values = {event.field: event.value for event in command.events if isinstance(event, Declared)}
        if again := next((field for field, value in values.items() if given.get(field, value) != value), None):
            other = DATA_PROPERTIES[again].name.replace("_", " ")
            command = Command(line.line, refusal=f"an earlier line of the comment gives another {other}")
        else:
            given.update(values)
        commands.append(command)
    return commands


def _read(comment: Commented, line: CommandLine) -> Command:
    try:
        return Command(line.line, tuple(_events_of(comment, line)))
    except _Refusal as refusal:
        return Command(line.line, refusal=str(refusal))


def _events_of(comment: Commented, line: CommandLine) -> Iterator[LifecycleEvent]:
    if line.fault:
        raise _Refusal(line.fault)
    verb, *values = line.words.split() or [""]
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
    question = propose_command(verb)
    if verb in _DESCRIBE:
        question = f"a comment describes {' and '.join(FIELD_COMMANDS)}: write /experiment team <team>, for example"
    if verb in _HELP:
        question = "the documentation of loopgauge lists the commands"
    unknown = "; ".join(filter(None, (f"unknown command{quote(verb)}; {EXPECTED}", question)))
    return without_punctuation(verb, VERBS) or unknown


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
    if field == "team" and names_account(values[0]):
        raise _Refusal(_NO_ACCOUNT)
    argument = Argument(name=name, field=field, required_by=frozenset({"comment"}))
    value = _accept(name, argument, values[0])
    _refuse_more(f"{name} <{name}>", values, 1)
    return _state(comment, "described", {field: value})


def _accept(command: str, argument: Argument, word: str) -> str:
    """The stored form of a value."""
    if argument.field is None:
        value = word.lower() if word.lower() in argument.choices else None
    else:
        # In a command, the value of `shared` is a URL, although the field itself accepts any text.
        field: FieldName = "url" if argument.field == "shared" else argument.field
        value = FIELDS[field].normalise(word)
    if value is not None:
        return value
    if argument.field == "outcome" and (category := FIELDS["failure_category"].normalise(word)):
        raise _Refusal(f"{category} is a failure category; did you mean {command} {Outcome.FAILED} {category}?")
    if argument.field == "failure_category" and command != _CONCLUDE and (outcome := FIELDS["outcome"].normalise(word)):
        raise _Refusal(f"{outcome} is an outcome; did you mean {_CONCLUDE} {outcome}?")
    named = command if command == argument.name else f"{command}: {_name(argument)}"
    raise _Refusal(f"{named}: {without_punctuation(word, argument.choices) or _refuse_value(argument, word)}")


def _refuse_value(argument: Argument, word: str) -> str:
    quoted = quote(word).strip() if argument.choices else ""
    question = did_you_mean(word, argument.choices, argument.also)
    if not quoted:
        # After a command that is complete, other words are probably an explanation.
        is_extra = argument.choices and not question and "comment" not in argument.required_by
        return f"{argument.refusal(word)}{'; write other words on another line' if is_extra else ''}"
    return "; ".join(filter(None, (f"{quoted} is none of {', '.join(argument.choices)}", question)))


def _name(argument: Argument) -> str:
    return argument.name.replace("_", " ")


def _check_category(given: Mapping[str, str], argument: Argument) -> None:
    outcome = given.get("outcome", Outcome.FAILED)
    if argument.field == "failure_category" and outcome != Outcome.FAILED:
        raise _Refusal(f"nothing may follow {outcome}, because only a failed experiment has a failure category")


def _refuse_more(usage: str, values: Sequence[str], most: int) -> None:
    if len(values) > most:
        raise _Refusal(
            f"too many words after the command; expected /experiment {usage}; write the rest on another line"
        )
