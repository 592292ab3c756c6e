"""The schema of a rules file: its keys and values, with error messages that name the expected value."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, model_validator

from service.deliveries.observation import PLACE, TRAITS, Kind, Trait
from service.lifecycle.durations import parse_duration
from service.lifecycle.events import Result
from service.lifecycle.fields import FIELDS, FieldName
from service.lifecycle.taxonomy import Outcome
from service.lifecycle.teams import normalise_team
from service.rules.actions import WITHOUT_INSTANTS
from service.rules.model import Action, Condition, DeclareAction, IgnoreAction, InstantAction, WithdrawAction
from service.rules.patterns import Pattern, Template, compile_path

_KINDS: tuple[Kind, ...] = get_args(Kind)


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("expected a text")  # noqa: TRY004 - pydantic reports ValueErrors, not TypeErrors
    return value


def _duration(value: object) -> object:
    return parse_duration(value if isinstance(value, str) else "")


def _team(value: object) -> str:
    team = normalise_team(_text(value))
    if team is None:
        raise ValueError(f"expected {FIELDS['team'].expects}")
    return team


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
        raise ValueError("expected an action, such as started")
    return {value: None} if isinstance(value, str) else value


_Patterns: TypeAlias = Annotated[list[Annotated[Pattern, BeforeValidator(_pattern)]], BeforeValidator(_as_list)]
Values: TypeAlias = dict[FieldName, Annotated[Template, BeforeValidator(_template)]]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)


class When(_Strict):
    """The observations that a rule matches."""

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
        """The conditions on traits."""
        for trait in get_args(Trait):
            if patterns := getattr(self, trait):
                yield Condition(trait, tuple(patterns))

    def kinds(self) -> frozenset[Kind]:
        """The kinds of observations that the rule can match: those that it names, or all kinds if it names none.

        A kind is left out if its observations cannot have all traits of the rule's conditions. A rule that names no
        kind and tests only traits in `PLACE` would match observations of nearly every kind, so it applies to the kinds
        *seen* and *superseded* alone.
        """
        traits = {condition.trait for condition in self.conditions()}
        meant = self.kind or [kind for kind in _KINDS if kind in ("seen", "superseded") or traits - PLACE]
        return frozenset(kind for kind in meant if traits <= TRAITS[kind])

    @model_validator(mode="after")
    def _check_kinds(self) -> "When":
        conditions = list(self.conditions())
        if not self.kind and not conditions:
            raise ValueError(f"expected a kind ({', '.join(_KINDS)}) or a trait ({', '.join(get_args(Trait))})")
        if not self.kinds():
            traits = ", ".join(condition.trait for condition in conditions)
            kinds = f" of kind {' or '.join(self.kind)}" if self.kind else ""
            raise ValueError(f"no observation{kinds} has all of: {traits}")
        return self


class Then(_Strict):
    """The actions of a rule."""

    proposed: None = None
    started: None = None
    signalled: Result | None = None
    concluded: Outcome | None = None
    reopened: None = None
    shipped: None = None
    active: None = None
    ignore: None = None
    declare: Values = {}
    derive: Values = {}
    withdraw: Values = {}

    def actions(self) -> Iterator[Action]:
        """The actions that this mapping names, in a fixed order."""
        for name in ("proposed", "started", "reopened", "shipped", "active"):
            if name in self.model_fields_set:
                yield InstantAction(name)
        if "ignore" in self.model_fields_set:
            yield IgnoreAction()
        if self.signalled is not None:
            yield InstantAction("signalled", result=self.signalled)
        if "concluded" in self.model_fields_set:
            yield InstantAction("concluded", outcome=self.concluded)
        for derived, values in ((False, self.declare), (True, self.derive)):
            for field, value in values.items():
                yield DeclareAction(field, value, derived)
        for field, value in self.withdraw.items():
            yield WithdrawAction(field, value)

    @model_validator(mode="after")
    def _check_actions(self) -> "Then":
        if "signalled" in self.model_fields_set and self.signalled is None:
            raise ValueError("expected {signalled: success} or {signalled: failure}")
        actions = list(self.actions())
        if not actions:
            raise ValueError("expected an action, such as started")
        values = [action for action in actions if isinstance(action, DeclareAction | WithdrawAction)]
        if any(action.field == "excluded" and action.value.varies for action in values):
            raise ValueError("expected a fixed reason for excluded, because metrics show the reason as a label")
        if self.concluded is Outcome.UNDECLARED:
            raise ValueError("expected concluded without an outcome; the outcome is then undeclared")
        return self


class Entry(_Strict):
    """One rule."""

    name: str = ""
    when: When
    where: Annotated[str | None, BeforeValidator(_path)] = None
    then: Annotated[list[Annotated[Then, BeforeValidator(_action)]], BeforeValidator(_as_list)]

    def actions(self) -> tuple[Action, ...]:
        """All actions of the rule: the items of `then` in their order, and the actions of one item in a fixed order."""
        return tuple(action for then in self.then for action in then.actions())

    @model_validator(mode="after")
    def _check_actions(self) -> "Entry":
        actions = self.actions()
        if not actions:
            raise ValueError("expected an action, such as `then: started`")
        instants = [action.name for action in actions if isinstance(action, InstantAction)]
        if instants and self.when.kinds() <= WITHOUT_INSTANTS:
            raise ValueError(
                f"{instants[0]} has no effect for kind seen, superseded, unlabelled or untyped: name another kind"
            )
        patterns = [pattern for condition in self.when.conditions() for pattern in condition.patterns]
        known = {name for pattern in patterns for name in pattern.names}
        known |= {trait for kind in self.when.kinds() for trait in TRAITS[kind]}
        for action in actions:
            if isinstance(action, DeclareAction | WithdrawAction) and (unknown := action.value.names - known):
                raise ValueError(f"{{{min(unknown)}}} is neither a trait nor captured by a pattern")
        return self


class RulesDocument(_Strict):
    """A rules file."""

    extends: Literal["defaults", "none"] = "defaults"
    teams: dict[str, str] = {}
    keys: list[Annotated[str, BeforeValidator(_text)]] = []
    thresholds: dict[Annotated[str, BeforeValidator(_team)], Annotated[timedelta, BeforeValidator(_duration)]] = {}
    trust_comments: list[str] = []
    rules: list[Entry] = []

    def extend(self, defaults: "RulesDocument") -> "RulesDocument":
        """A copy of this document, with the rules and trusted providers of `defaults` after this document's own.

        The copy takes `keys` (projects of tickets) from `defaults` only if this document names none.
        """
        return self.model_copy(
            update={
                "keys": self.keys or defaults.keys,
                "trust_comments": [*self.trust_comments, *defaults.trust_comments],
                "rules": [*self.rules, *defaults.rules],
            }
        )
