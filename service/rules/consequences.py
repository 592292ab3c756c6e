"""The schema of `then`: the actions of a rule."""

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, ClassVar, TypeAlias, cast

from pydantic import BeforeValidator, Field, ValidationInfo

from service.lifecycle.acts import STATED_FIELDS, ActName
from service.lifecycle.events import Result
from service.lifecycle.fields import FIELDS, FieldName
from service.lifecycle.taxonomy import Outcome
from service.rules.conditions import RULE_KEYS
from service.rules.model import Action, DeclareAction, IgnoreAction, InstantAction, WithdrawAction
from service.rules.patterns import Template
from service.rules.places import Path
from service.rules.validation import Found, Strict, expect
from service.rules.values import read_outcome, read_result, read_stated, read_values


def read_action(value: object) -> object:
    match value:
        case "":
            raise expect("an action such as started", value)
        case str():
            return {value: None}
        case dict():
            return {name: None if each == "" else each for name, each in value.items()}
        case _:
            return value


_DESCRIBE = ("describe", "described")
"""The words for the act `described`, the only act that is no action: instead, a rule declares the described fields."""
_Values: TypeAlias = Annotated[dict[FieldName, Template], BeforeValidator(read_values)]


def _read_stated(value: object, info: ValidationInfo) -> object:
    return read_stated(cast("ActName", info.field_name), value)


_Stated: TypeAlias = Annotated[Template | None, BeforeValidator(_read_stated)]
"""The value that an act such as *classified* declares; None only if the rule does not name the act."""


class Then(Strict):
    """The actions of a rule."""

    word: ClassVar[str] = "an action"

    proposed: None = None
    started: None = None
    signalled: Annotated[Result | None, BeforeValidator(read_result)] = None
    concluded: Annotated[Outcome | None, BeforeValidator(read_outcome)] = None
    classified: _Stated = None
    shared: _Stated = None
    reopened: None = None
    shipped: None = None
    excluded: _Stated = None
    active: None = None
    ignore: None = None
    declare: _Values = Field(default_factory=dict)
    derive: _Values = Field(default_factory=dict)
    withdraw: _Values = Field(default_factory=dict)

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
        yield from self._declarations()

    def _declarations(self) -> Iterator[Action]:
        for act, field in STATED_FIELDS.items():
            stated: Template | None = getattr(self, act)
            if stated is not None:
                yield DeclareAction(field, stated)
        for derived, values in ((False, self.declare), (True, self.derive)):
            for field, value in values.items():
                yield DeclareAction(field, value, derived)
        for field, value in self.withdraw.items():
            yield WithdrawAction(field, value)

    def templates(self) -> Iterator[tuple[Path, Template]]:
        """Every value that may insert a trait, with its path."""
        for act in STATED_FIELDS:
            stated: Template | None = getattr(self, act)
            if stated is not None:
                yield (act,), stated
        for name in ("declare", "derive", "withdraw"):
            values: Mapping[str, Template] = getattr(self, name)
            for field, value in values.items():
                yield (name, field), value

    def check(self, wrong: Collection[Path]) -> Iterator[Found]:
        """Yield a fault if this mapping names no action, unless it has faults of its own."""
        if not wrong and not list(self.actions()):
            yield (), "expected an action, such as started"

    @classmethod
    def meant(cls, key: str) -> str:
        return "" if key in FIELDS or key in RULE_KEYS or key in _DESCRIBE else super().meant(key)

    @classmethod
    def explain_unknown(cls, key: str) -> str:
        if key in FIELDS:
            return f"{key} is a field, not an action; write declare: {{{key}: …}}"
        if key in _DESCRIBE:
            return f"{key} is not an action of rules; write declare: {{team: …}}, or another field"
        if key in RULE_KEYS:
            return f"{key} is a key of the rule, not an action; write it beside then, with the same indentation"
        return super().explain_unknown(key)
