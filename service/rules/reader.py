"""Read rules from YAML files. Each error names file, line and path."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import TypeAlias, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from service.deliveries.delivery import Provider
from service.deliveries.observation import Kind, Trait
from service.lifecycle.fields import FIELDS
from service.lifecycle.references import ReferenceGrammar
from service.lifecycle.teams import normalise_team
from service.rules.document import InvalidRules, RulesFile, compose, read_values, show_problem
from service.rules.model import Condition, DeclareAction, Rule, Rules
from service.rules.patterns import Pattern, Template, compile_path
from service.rules.references import KeyFinder
from service.rules.schema import Entry, RulesDocument, Values

_GENERAL: frozenset[Trait] = frozenset({"project", "title", "url"})
_Problem: TypeAlias = tuple[tuple[int | str, ...], str]
"""The path to a value in a rules file, and the problem with this value."""


def read_rules(own: RulesFile | None, packaged: Sequence[RulesFile], providers: Mapping[str, Provider]) -> Rules:
    """Read the rules of a file, followed by the packaged rules if the file extends them.

    Without a file, read the packaged rules alone.

    Args:
        packaged: the packaged rules files, in the order in which their rules are tried.
        providers: all providers, by name. The `references` of each provider describes the keys of its tickets. A rule
            that names any other provider is an error.

    Raises:
        InvalidRules: a file is malformed.
    """
    files = [own] if own else []
    document = _read_document(own, providers) if own else RulesDocument()
    if document.extends == "defaults":
        for file in packaged:
            files.append(file)
            document = document.extend(_read_document(file, providers))
    rules = [*_team_rules(document.teams), *map(_rule, document.rules)]
    return Rules(
        by_kind={kind: tuple(rule for rule in rules if kind in rule.kinds) for kind in get_args(Kind)},
        keys=KeyFinder.of(document.keys, _grammars(providers)),
        trust_comments=frozenset(provider.lower() for provider in document.trust_comments),
        thresholds=document.thresholds,
        digest=sha256("\0".join(file.text for file in files).encode()).hexdigest()[:16],
    )


def _grammars(providers: Mapping[str, Provider]) -> dict[str, ReferenceGrammar]:
    return {name: provider.references for name, provider in providers.items() if provider.references}


def _team_rules(teams: Mapping[str, str]) -> Iterator[Rule]:
    """Turn the mapping of teams into rules. These rules come before every other rule that derives a team."""
    traits: tuple[Trait, ...] = ("project", "component")
    for pattern, team in teams.items():
        for trait in traits:
            yield Rule(
                name=f"team of {pattern}",
                providers=frozenset(),
                kinds=frozenset({"seen"}),
                conditions=(Condition(trait, (Pattern.of(pattern),)),),
                where=None,
                actions=(DeclareAction("team", Template.of(team), derived=True),),
            )


def _rule(entry: Entry) -> Rule:
    conditions = tuple(entry.when.conditions())
    name = ", ".join(
        f"{condition.trait} {' or '.join(pattern.text for pattern in condition.patterns)}" for condition in conditions
    )
    rule = Rule(
        name=entry.name or name,
        providers=frozenset(provider.lower() for provider in entry.when.provider),
        kinds=entry.when.kinds(),
        conditions=conditions,
        where=compile_path(entry.where) if entry.where else None,
        actions=entry.actions(),
    )
    if rule.marks and {condition.trait for condition in conditions} <= _GENERAL:
        # A rule that marks everything in a project is meant for its items and changes, not for each of its branches.
        items = Condition("what", (Pattern.of("item"), Pattern.of("change")))
        return replace(rule, conditions=(*conditions, items))
    return rule


def _read_document(file: RulesFile, providers: Mapping[str, Provider]) -> RulesDocument:
    node = compose(file)
    values = read_values(file, node)
    try:
        # A file that contains only `---` is an empty text in YAML.
        document = RulesDocument.model_validate({} if values == "" else values)
    except ValidationError as error:
        problems = [(details["loc"], _in_words(details)) for details in error.errors(include_url=False)]
    else:
        problems = [*_check_teams(document), *_check_values(document)]
        problems += [*_check_keys(document, providers), *_check_providers(document, providers)]
        if not problems:
            return document
    raise InvalidRules("\n".join(dict.fromkeys(show_problem(file, node, *problem) for problem in problems)))


def _check_teams(document: RulesDocument) -> Iterator[_Problem]:
    for pattern, team in document.teams.items():
        try:
            template = Template.of(team)
            unknown = template.names - Pattern.of(pattern).names
        except ValueError as error:
            yield ("teams", pattern), str(error)
        else:
            if unknown:
                yield ("teams", pattern), f"{{{min(unknown)}}} is not captured by the pattern"
            elif not template.varies and normalise_team(team) is None:
                yield ("teams", pattern), f"expected {FIELDS['team'].expects}"


def _check_values(document: RulesDocument) -> Iterator[_Problem]:
    """Find the fixed values that are invalid for their field."""
    for rule_index, entry in enumerate(document.rules):
        for action_index, then in enumerate(entry.then):
            for name in ("declare", "derive", "withdraw"):
                values: Values = getattr(then, name)
                for field, value in values.items():
                    if not value.varies and FIELDS[field].normalise(value.text) is None:
                        path = ("rules", rule_index, "then", action_index, name, field)
                        yield path, f"expected {FIELDS[field].expects}, got {value.text!r}"


def _check_keys(document: RulesDocument, providers: Mapping[str, Provider]) -> Iterator[_Problem]:
    grammars = [grammar.key for grammar in _grammars(providers).values() if grammar.key]
    for index, project in enumerate(document.keys):
        if not any(grammar.project.fullmatch(project) for grammar in grammars):
            yield ("keys", index), f"expected {' or '.join(grammar.expects for grammar in grammars)}"


def _check_providers(document: RulesDocument, providers: Mapping[str, Provider]) -> Iterator[_Problem]:
    named: list[_Problem] = [(("trust_comments",), provider) for provider in document.trust_comments]
    for index, entry in enumerate(document.rules):
        named += [(("rules", index, "when", "provider"), provider) for provider in entry.when.provider]
    for path, name in named:
        if name.lower() not in providers:
            yield path, f"expected one of {', '.join(sorted(providers))}, got {name!r}"


def _in_words(error: ErrorDetails) -> str:
    match error["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "is not supported"
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
