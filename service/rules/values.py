"""Read the values of a rules file. Each function raises ValueError with the expected value."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, TypeAlias, cast, get_args

from pydantic import BeforeValidator, ValidationInfo

from service.lifecycle.acts import ACTS, ActName
from service.lifecycle.durations import parse_duration
from service.lifecycle.events import Result
from service.lifecycle.fields import FIELDS, FieldName
from service.lifecycle.nearest import suggest
from service.lifecycle.references import KeyGrammar
from service.lifecycle.taxonomy import Outcome
from service.lifecycle.teams import normalise_team
from service.rules.patterns import Pattern, Template, compile_path
from service.rules.validation import WrongKey, expect, expect_one_of, explain_unknown, read_each

_OUTCOMES = tuple(outcome.value for outcome in Outcome if outcome is not Outcome.UNDECLARED)


@dataclass(frozen=True, slots=True)
class Vendors:
    """The vendors that rules may name: their names, and the grammars of the keys of their projects."""

    providers: Collection[str]
    keys: Collection[KeyGrammar]


def as_list(value: object) -> object:
    """The value if it is a list, otherwise a list that contains only the value."""
    return value if isinstance(value, list) else [value]


def read_text(value: object) -> str:
    """A text.

    Raises:
        ValueError: the value is not a text. YAML reads an unquoted `{team}` as a mapping.
    """
    match value:
        case str():
            return value
        case dict() if len(value) == 1 and "" in value.values():
            raise expect("a text", value, f"quote it: '{{{next(iter(value))}}}'")
        case _:
            raise expect("a text", value)


def _provider(value: object, info: ValidationInfo) -> str:
    vendors = cast("Vendors", info.context)
    if (name := read_text(value).lower()) not in vendors.providers:
        raise expect_one_of(sorted(vendors.providers), value)
    return name


def read_pattern(value: object) -> Pattern:
    if value == "":
        raise expect("a text to compare with", value)
    return Pattern.of(read_text(value))


def _duration(value: object) -> object:
    return parse_duration(read_text(value))


def _team(written: str) -> str:
    team = normalise_team(written)
    if team is None:
        raise expect(FIELDS["team"].expects, written)
    return team


def read_thresholds(value: object) -> object:
    def read(team: str, length: object) -> tuple[str, object]:
        try:
            name = _team(team)
        except ValueError as error:
            raise WrongKey(str(error)) from error
        return name, _duration(length)

    return dict(read_each(value, read))


def read_teams(value: object) -> object:
    def read(pattern: str, written: object) -> tuple[str, str]:
        try:
            captured = Pattern.of(pattern).names
        except ValueError as error:
            raise WrongKey(str(error)) from error
        template = Template.of(read_text(written))
        if unknown := template.names - captured:
            raise ValueError(f"the pattern does not capture {{{min(unknown)}}}")
        if not template.varies:
            _team(template.text)
        return pattern, template.text

    return dict(read_each(value, read))


def read_projects(value: object) -> object:
    """Read `trust_projects`: for each pattern of projects, the patterns of the projects to whose experiments the
    commands in the former apply.
    """

    def read(pattern: str, others: object) -> tuple[str, tuple[str, ...]]:
        try:
            read_pattern(pattern)
        except ValueError as error:
            raise WrongKey(str(error)) from error
        named = [read_pattern(other) for other in cast("list[object]", as_list(others))]
        if captured := {name for each in named for name in each.names}:
            raise ValueError(f"expected a project, such as acme/app, or a pattern with *; {{{min(captured)}}} captures")
        return pattern, tuple(each.text for each in named)

    return dict(read_each(value, read))


def read_stated(act: ActName, value: object) -> Template:
    """The value of an action that declares a field, such as `{classified: intelligent}`.

    If the action is written without a value, this is the act's default.
    """
    stated = ACTS[act]
    if stated.field is None:
        raise ValueError("expected no value")
    if value is None and not stated.default:
        raise expect_one_of(stated.arguments[0].choices, "")
    return _read_value(stated.field, Template.of(stated.default if value is None else read_text(value)))


def read_values(value: object) -> object:
    def read(field: str, written: object) -> tuple[str, Template]:
        if field not in FIELDS:
            raise WrongKey(explain_unknown(field, "a field", FIELDS, suggest(field, FIELDS)))
        return field, _read_value(cast("FieldName", field), Template.of(read_text(written)))

    return dict(read_each(value, read))


def _read_value(field: FieldName, template: Template) -> Template:
    if template.varies and field == "excluded":
        raise ValueError("expected a fixed reason for excluded, because metrics show the reason as a label")
    if not template.varies and FIELDS[field].normalise(template.text) is None:
        data = FIELDS[field].data
        if data and data.choices:
            raise expect_one_of(data.choices, template.text)
        raise expect(FIELDS[field].expects, template.text)
    return template


def read_key(value: object, info: ValidationInfo) -> str:
    vendors = cast("Vendors", info.context)
    if not any(grammar.project.fullmatch(key := read_text(value)) for grammar in vendors.keys):
        raise expect(" or ".join(grammar.expects for grammar in vendors.keys), value)
    return key


def read_path(value: object) -> str:
    compile_path(text := read_text(value))
    return text


def read_result(value: object) -> object:
    if value not in get_args(Result):
        raise expect_one_of(get_args(Result), value)
    return value


def read_outcome(value: object) -> object:
    if value == Outcome.UNDECLARED:
        raise ValueError("expected concluded without an outcome; the outcome is then undeclared")
    if value is not None and value not in _OUTCOMES:
        raise expect_one_of(_OUTCOMES, value)
    return value


Provider: TypeAlias = Annotated[str, BeforeValidator(_provider)]
