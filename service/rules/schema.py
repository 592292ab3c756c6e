"""Reading a rules file: YAML in, rules out, with file, line and path in each error."""

import re
from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Annotated, Literal, TypeAlias, TypeGuard, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator
from pydantic_core import ErrorDetails

from service.deliveries.observation import PLACE, TRAITS, Kind, Trait
from service.lifecycle.durations import parse_duration
from service.lifecycle.events import Result
from service.lifecycle.fields import FIELDS, FieldName
from service.lifecycle.taxonomy import Outcome
from service.lifecycle.teams import is_team_name, normalise_team
from service.rules.document import RulesFile, WrongRules, complaint, compose, content
from service.rules.interpret import WITHOUT_INSTANTS
from service.rules.model import Action, Condition, Declares, Happens, Ignores, Rule, Rules, Withdraws
from service.rules.patterns import Pattern, Template, compile_path
from service.rules.references import KeyFinder

_KINDS: tuple[Kind, ...] = get_args(Kind)
_OF_EVERYTHING: frozenset[Trait] = frozenset({"project", "title", "url"})
_PROJECT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,29}", re.ASCII)


def read_rules(own: RulesFile | None, defaults: RulesFile, providers: Collection[str] = ()) -> Rules:
    """The rules of a file, before the default ones where it extends them; without a file the default ones.

    Args:
        providers: the names of all providers, so that a misspelt one is found; where none are given any name passes.

    Raises:
        WrongRules: a file is malformed.
    """
    entries = _read(own or defaults, providers)
    files = [own or defaults]
    if own is not None and entries.extends == "defaults":
        files.append(defaults)
        entries = _before(entries, _read(defaults, providers))
    rules = [*_team_rules(entries.teams), *(_rule(entry) for entry in entries.rules)]
    return Rules(
        by_kind={kind: tuple(rule for rule in rules if kind in rule.kinds) for kind in _KINDS},
        keys=KeyFinder.of(entries.keys),
        trust_comments=frozenset(provider.lower() for provider in entries.trust_comments),
        thresholds=entries.thresholds,
        digest=sha256("\0".join(file.text for file in files).encode()).hexdigest()[:16],
    )


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _duration(value: object) -> object:
    return parse_duration(_text(value))


def _team(value: object) -> str:
    team = _text(value).strip().lower()
    if not is_team_name(team):
        raise ValueError(f"expected {FIELDS['team'].expects}")
    return team


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")  # noqa: TRY004 - pydantic collects value errors
    return value


def _pattern(value: object) -> Pattern:
    if value == "":
        raise ValueError("expected a text to compare with")
    return Pattern.of(_text(value))


def _template(value: object) -> Template:
    return Template.of(_text(value))


def _path(value: object) -> str:
    compile_path(_text(value))
    return _text(value)


def _action(value: object) -> object:
    if value == "":
        raise ValueError("expected what it means, such as started")
    return {value: None} if isinstance(value, str) else value


def _project(value: object) -> str:
    if not _PROJECT.fullmatch(_text(value)):
        raise ValueError("expected the key of a Jira project, such as ML")
    return _text(value)


_Patterns: TypeAlias = Annotated[list[Annotated[Pattern, BeforeValidator(_pattern)]], BeforeValidator(_as_list)]
_Values: TypeAlias = dict[FieldName, Annotated[Template, BeforeValidator(_template)]]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class _When(_Strict):
    provider: Annotated[list[str], BeforeValidator(_as_list)] = []
    kind: Annotated[list[Kind], BeforeValidator(_as_list)] = []
    what: _Patterns = []
    project: _Patterns = []
    title: _Patterns = []
    url: _Patterns = []
    label: _Patterns = []
    item_type: _Patterns = []
    component: _Patterns = []
    branch: _Patterns = []
    reason: _Patterns = []
    status_from: _Patterns = []
    status_to: _Patterns = []
    category_to: _Patterns = []
    resolution_from: _Patterns = []
    resolution: _Patterns = []
    workflow: _Patterns = []
    conclusion: _Patterns = []
    environment: _Patterns = []

    def conditions(self) -> Iterator[Condition]:
        """The traits that it looks at."""
        for trait in get_args(Trait):
            if patterns := getattr(self, trait):
                yield Condition(trait, tuple(patterns))

    def kinds(self) -> frozenset[Kind]:
        """The kinds that it names, or all that the traits that it looks at are about.

        Where an item belongs is known of all that happens to it: who looks at nothing else means how it is seen.
        """
        wanted = {condition.trait for condition in self.conditions()}
        meant = self.kind or [kind for kind in _KINDS if kind in ("seen", "superseded") or wanted - PLACE]
        return frozenset(kind for kind in meant if wanted <= TRAITS[kind])

    @model_validator(mode="after")
    def _says_when(self) -> "_When":
        conditions = list(self.conditions())
        if not self.kind and not conditions:
            raise ValueError(f"expected a kind ({', '.join(_KINDS)}) or a trait ({', '.join(get_args(Trait))})")
        if not self.kinds():
            named = ", ".join(condition.trait for condition in conditions)
            raise ValueError(f"nothing that is {' or '.join(self.kind) or 'observed'} has all of: {named}")
        return self


class _Then(_Strict):
    proposed: None = None
    started: None = None
    signalled: Result | None = None
    concluded: Outcome | None = None
    reopened: None = None
    shipped: None = None
    active: None = None
    ignore: None = None
    declare: _Values = {}
    derive: _Values = {}
    withdraw: _Values = {}

    def actions(self) -> Iterator[Action]:
        """What it says, in order."""
        for name in ("proposed", "started", "reopened", "shipped", "active"):
            if name in self.model_fields_set:
                yield Happens(name)
        if "ignore" in self.model_fields_set:
            yield Ignores()
        if self.signalled is not None:
            yield Happens("signalled", result=self.signalled)
        if "concluded" in self.model_fields_set:
            yield Happens("concluded", outcome=self.concluded)
        for derived, values in ((False, self.declare), (True, self.derive)):
            for field, value in values.items():
                yield Declares(field, value, derived)
        for field, value in self.withdraw.items():
            yield Withdraws(field, value)

    @model_validator(mode="after")
    def _says_how(self) -> "_Then":
        if "signalled" in self.model_fields_set and self.signalled is None:
            raise ValueError("expected {signalled: success} or {signalled: failure}")
        if not any(True for _ in self.actions()):
            raise ValueError("expected what it means, such as started")
        if any(action.value.varies for action in self.actions() if _is_reason(action)):
            raise ValueError("expected a fixed reason for excluded: it is shown in figures, where no text may turn up")
        if self.concluded is Outcome.UNDECLARED:
            raise ValueError("expected concluded without an outcome: undeclared is what it is then")
        return self


def _is_reason(action: Action) -> TypeGuard[Declares | Withdraws]:
    return isinstance(action, Declares | Withdraws) and action.field == "excluded"


class _Entry(_Strict):
    name: str = ""
    when: _When
    where: Annotated[str | None, BeforeValidator(_path)] = None
    then: Annotated[list[Annotated[_Then, BeforeValidator(_action)]], BeforeValidator(_as_list)]

    @model_validator(mode="after")
    def _fits_together(self) -> "_Entry":
        actions = [action for then in self.then for action in then.actions()]
        if not actions:
            raise ValueError("expected what it means, such as `then: started`")
        instants = [action.name for action in actions if isinstance(action, Happens)]
        if instants and self.when.kinds() <= WITHOUT_INSTANTS:
            raise ValueError(f"{instants[0]} needs a time, and what is only seen has none: name another kind")
        known = {
            name for condition in self.when.conditions() for pattern in condition.patterns for name in pattern.names
        }
        known |= {trait for kind in self.when.kinds() for trait in TRAITS[kind]}
        for action in actions:
            if isinstance(action, Declares | Withdraws) and (unknown := action.value.names - known):
                raise ValueError(f"{{{min(unknown)}}} is captured by no pattern and is no trait")
        return self


class _File(_Strict):
    extends: Literal["defaults", "none"] = "defaults"
    teams: dict[str, str] = {}
    keys: list[Annotated[str, BeforeValidator(_project)]] = []
    thresholds: dict[Annotated[str, BeforeValidator(_team)], Annotated[timedelta, BeforeValidator(_duration)]] = {}
    trust_comments: list[str] = []
    rules: list[_Entry] = []


def _before(own: _File, defaults: _File) -> _File:
    return own.model_copy(
        update={
            "keys": own.keys or defaults.keys,
            "trust_comments": [*own.trust_comments, *defaults.trust_comments],
            "rules": [*own.rules, *defaults.rules],
        }
    )


def _team_rules(teams: Mapping[str, str]) -> Iterator[Rule]:
    """The mapping of teams as rules: it goes before whatever else derives a team."""
    traits: tuple[Trait, ...] = ("project", "component")
    for pattern, team in teams.items():
        for trait in traits:
            yield Rule(
                name=f"team of {pattern}",
                providers=frozenset(),
                kinds=frozenset({"seen"}),
                conditions=(Condition(trait, (Pattern.of(pattern),)),),
                where=None,
                actions=(Declares("team", Template.of(team), derived=True),),
            )


def _rule(entry: _Entry) -> Rule:
    conditions = stated = tuple(entry.when.conditions())
    actions = tuple(action for then in entry.then for action in then.actions())
    marks = any(isinstance(action, Declares) and action.field == "experiment" for action in actions)
    if marks and {one.trait for one in conditions} <= _OF_EVERYTHING:
        # Whoever makes a project's items experiments does not mean each of its branches.
        conditions = (*conditions, Condition("what", (Pattern.of("item"), Pattern.of("change"))))
    return Rule(
        name=entry.name or ", ".join(f"{one.trait} {' or '.join(p.text for p in one.patterns)}" for one in stated),
        providers=frozenset(provider.lower() for provider in entry.when.provider),
        kinds=entry.when.kinds(),
        conditions=conditions,
        where=compile_path(entry.where) if entry.where else None,
        actions=actions,
    )


def _read(file: RulesFile, providers: Collection[str]) -> _File:
    node = compose(file)
    # A file in which nothing stands is a text of no length to YAML.
    said = content(file, node)
    try:
        read = _File.model_validate({} if said == "" else said)
    except ValidationError as error:
        wrong = [(one["loc"], _in_words(one)) for one in error.errors(include_url=False)]
    else:
        wrong = [*_wrong_teams(read), *_wrong_values(read), *_wrong_providers(read, providers)]
        if not wrong:
            return read
    raise WrongRules("\n".join(dict.fromkeys(complaint(file, node, *one) for one in wrong)))


def _wrong_teams(read: _File) -> Iterator[tuple[tuple[int | str, ...], str]]:
    for text, team in read.teams.items():
        try:
            unknown = Template.of(team).names - Pattern.of(text).names
        except ValueError as error:
            yield ("teams", text), str(error)
        else:
            if unknown:
                yield ("teams", text), f"{{{min(unknown)}}} is captured by no pattern"
            elif not Template.of(team).names and not Template.of(team).paths and normalise_team(team) is None:
                yield ("teams", text), f"expected {FIELDS['team'].expects}"


def _wrong_values(read: _File) -> Iterator[tuple[tuple[int | str, ...], str]]:
    """Values that stand as they are in the file, and that their field does not take."""
    for place, entry in enumerate(read.rules):
        for action_place, then in enumerate(entry.then):
            for name in ("declare", "derive", "withdraw"):
                values: _Values = getattr(then, name)
                for field, value in values.items():
                    fixed = not value.names and not value.paths
                    if fixed and FIELDS[field].normalise(value.text) is None:
                        path = ("rules", place, "then", action_place, name, field)
                        yield path, f"expected {FIELDS[field].expects}, got {value.text!r}"


def _wrong_providers(read: _File, providers: Collection[str]) -> Iterator[tuple[tuple[int | str, ...], str]]:
    named: list[tuple[tuple[int | str, ...], str]] = [(("trust_comments",), one) for one in read.trust_comments]
    for place, entry in enumerate(read.rules):
        named += [(("rules", place, "when", "provider"), one) for one in entry.when.provider]
    for path, name in named:
        if providers and name.lower() not in providers:
            yield path, f"expected one of {', '.join(sorted(providers))}, got {name!r}"


def _in_words(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not known here"
        case "dict_type" | "model_type" | "model_attributes_type":
            return "expected a mapping"
        case "list_type":
            return "expected a list"
        case "string_type":
            return "expected a text"
        case "none_required":
            return "expected no value"
        case _:
            message = error["msg"].removeprefix("Value error, ")
            return message.replace("Input should be", "expected")
