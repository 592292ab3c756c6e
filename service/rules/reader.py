"""Read rules from YAML files. An error has every fault of a file, each with its line, column and path."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import chain
from typing import get_args

from pydantic import ValidationError

from service.deliveries.delivery import Provider
from service.deliveries.observation import Kind, Trait
from service.lifecycle.references import ReferenceGrammar
from service.rules.document import Document, RulesFile
from service.rules.faults import Fault, InvalidRules
from service.rules.label_names import LabelNames, LabelPattern
from service.rules.model import Condition, DeclareAction, Rule, Rules
from service.rules.patterns import Pattern, Template, compile_path
from service.rules.references import KeyFinder
from service.rules.schema import Entry, RulesDocument
from service.rules.values import Vendors
from service.rules.warnings import find_warnings

_GENERAL: frozenset[Trait] = frozenset({"project", "title", "url"})


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
    document = _validate(Document.parse(own), providers) if own else RulesDocument()
    if document.extends == "defaults":
        for file in packaged:
            files.append(file)
            document = document.extend(_validate(Document.parse(file), providers))
    rules = [*_team_rules(document.teams), *map(_rule, document.rules)]
    return Rules(
        by_kind={kind: tuple(rule for rule in rules if kind in rule.kinds) for kind in get_args(Kind)},
        labels=LabelNames(tuple(chain.from_iterable(map(_label_patterns, rules)))),
        keys=KeyFinder.of(document.keys, _grammars(providers)),
        trust_comments=frozenset(document.trust_comments),
        thresholds=document.thresholds,
        trust_forks=frozenset(document.trust_forks),
        trust_projects=tuple((Pattern.of(text), others) for text, others in document.trust_projects.items()),
        digest=sha256("\0".join(file.text for file in files).encode()).hexdigest()[:16],
    )


def warn_about(own: RulesFile, providers: Mapping[str, Provider]) -> list[Fault]:
    """The warnings about a valid rules file: rules with the same name, and rules that never take effect.

    Raises:
        InvalidRules: the file is malformed.
    """
    document = Document.parse(own)
    entries = _validate(document, providers).rules
    for path, problem in find_warnings([*map(_rule, entries)], [entry.name for entry in entries]):
        document.report(path, problem)
    return document.faults


def _grammars(providers: Mapping[str, Provider]) -> dict[str, ReferenceGrammar]:
    return {name: provider.references for name, provider in providers.items() if provider.references}


def _label_patterns(rule: Rule) -> Iterator[LabelPattern]:
    values = {action.field: action.value for action in rule.actions if isinstance(action, DeclareAction)}
    for condition in rule.conditions:
        if condition.trait == "label":
            for pattern in condition.patterns:
                yield LabelPattern(pattern, rule.providers, rule.marks, values)


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
        providers=frozenset(entry.when.provider),
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


def _validate(document: Document, providers: Mapping[str, Provider]) -> RulesDocument:
    vendors = Vendors(providers.keys(), [grammar.key for grammar in _grammars(providers).values() if grammar.key])
    values = document.read_values()
    read = RulesDocument()
    try:
        # A file that contains only `---` is an empty text in YAML.
        read = RulesDocument.model_validate({} if values == "" else values, context=vendors)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            document.report(details["loc"], details["ctx"]["message"])
    if document.faults:
        raise InvalidRules(document.faults)
    return read
