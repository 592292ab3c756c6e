"""The schema of `when`: the conditions of a rule."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, ClassVar, get_args

from pydantic import BeforeValidator

from service.deliveries.observation import PLACE, TRAITS, Kind, Trait
from service.rules.model import Condition
from service.rules.patterns import Pattern
from service.rules.places import Path
from service.rules.validation import Found, Strict
from service.rules.values import Provider, as_list, read_pattern

KINDS: tuple[Kind, ...] = get_args(Kind)
RULE_KEYS = ("name", "when", "where", "then")
"""The keys of a rule, in their usual order."""
_OTHER_WORDS: Mapping[str, str] = {
    "action": "kind",
    "event": "kind",
    "source": "provider",
    "repository": "project",
    "repo": "project",
    "type": "item_type",
    "issue_type": "item_type",
    "status": "status_to",
    "state": "status_to",
    "column": "status_to",
    "result": "conclusion",
    "pipeline": "workflow",
}
"""The condition that people probably mean by each of these words of vendors."""


_Patterns = Annotated[tuple[Annotated[Pattern, BeforeValidator(read_pattern)], ...], BeforeValidator(as_list)]


class When(Strict):
    """The observations that a rule matches."""

    word: ClassVar[str] = "a condition"

    provider: Annotated[tuple[Provider, ...], BeforeValidator(as_list)] = ()
    kind: Annotated[tuple[Kind, ...], BeforeValidator(as_list)] = ()
    what: _Patterns = ()
    project: _Patterns = ()
    title: _Patterns = ()
    url: _Patterns = ()
    label: _Patterns = ()
    item_type: _Patterns = ()
    component: _Patterns = ()
    branch: _Patterns = ()
    reason: _Patterns = ()
    ending: _Patterns = ()
    status_from: _Patterns = ()
    status_to: _Patterns = ()
    category_to: _Patterns = ()
    resolution_from: _Patterns = ()
    resolution: _Patterns = ()
    workflow: _Patterns = ()
    trigger: _Patterns = ()
    conclusion: _Patterns = ()
    environment: _Patterns = ()

    def conditions(self) -> Iterator[Condition]:
        """The conditions on traits."""
        for trait in get_args(Trait):
            if patterns := getattr(self, trait):
                yield Condition(trait, patterns)

    def kinds(self) -> frozenset[Kind]:
        """The kinds of observations that the rule can match: those that it names, or all kinds if it names none.

        A kind is left out if its observations cannot have all traits of the rule's conditions. A rule that names no
        kind and tests only traits in `PLACE` would match observations of nearly every kind, so it applies to the kinds
        *seen* and *superseded* alone.
        """
        traits = {condition.trait for condition in self.conditions()}
        meant = self.kind or [kind for kind in KINDS if kind in ("seen", "superseded") or traits - PLACE]
        return frozenset(kind for kind in meant if traits <= TRAITS[kind])

    def check(self, wrong: Collection[Path]) -> Iterator[Found]:
        """Find traits that the named kinds lack, and traits that no kind has together."""
        traits = [condition.trait for condition in self.conditions()]
        if not wrong and not self.kind and not traits:
            yield (), "expected a kind, such as kind: closed, or a trait, such as label: bet"
        if self.kinds() or (not self.kind and not traits):
            return
        lacking = [trait for trait in traits if not any(trait in TRAITS[kind] for kind in self.kind or KINDS)]
        for trait in lacking:
            having = ", ".join(kind for kind in KINDS if trait in TRAITS[kind])
            yield (
                (trait,),
                f"no observation of kind {' or '.join(self.kind)} has a {trait}; these kinds have one: {having}",
            )
        if not lacking:
            yield (), f"no observation has all of these: {', '.join(traits)}"

    @classmethod
    def meant(cls, key: str) -> str:
        return "" if key in RULE_KEYS else _OTHER_WORDS.get(key.lower()) or super().meant(key)

    @classmethod
    def explain_unknown(cls, key: str) -> str:
        if key in RULE_KEYS:
            return f"{key} is not a condition; write it beside when, with the same indentation"
        return super().explain_unknown(key)
