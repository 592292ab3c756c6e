"""The schema of a rules file: its keys and values, with error messages that name the expected value."""

from collections.abc import Collection, Iterator, Sequence
from datetime import timedelta
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from service.deliveries.observation import TRAITS
from service.lifecycle.nearest import did_you_mean
from service.rules.actions import WITHOUT_INSTANTS
from service.rules.conditions import RULE_KEYS, When
from service.rules.consequences import Then, read_action
from service.rules.model import Action, InstantAction
from service.rules.places import KEY, Path
from service.rules.validation import (
    MISSING,
    Found,
    Strict,
    expect,
)
from service.rules.values import (
    Provider,
    as_list,
    read_key,
    read_path,
    read_projects,
    read_teams,
    read_thresholds,
)


def _read_actions(value: object) -> object:
    """The items of `then`. Refuse an empty list here: a check of the whole rule would need a valid `when`."""
    if value == []:
        raise ValueError("expected an action, such as started")
    return as_list(value)


class Entry(Strict):
    """One rule."""

    word: ClassVar[str] = "a key of a rule"

    name: str = ""
    when: When
    where: Annotated[str | None, BeforeValidator(read_path)] = None
    then: Annotated[tuple[Annotated[Then, BeforeValidator(read_action)], ...], BeforeValidator(_read_actions)]

    def actions(self) -> tuple[Action, ...]:
        """All actions of the rule: the items of `then` in their order, and the actions of one item in a fixed order."""
        return tuple(action for then in self.then for action in then.actions())

    def check(self, wrong: Collection[Path]) -> Iterator[Found]:
        """Find actions that have no effect, and insertions that have no value."""
        of_when = {path[1:2] for path in wrong if path[:1] == ("when",)}
        if ("kind",) not in of_when and (self.when.kind or not of_when):
            yield from self._find_ineffective()
        if not of_when:
            yield from self._find_unfilled()

    def _find_ineffective(self) -> Iterator[Found]:
        instants = [action.name for action in self.actions() if isinstance(action, InstantAction)]
        if instants and self.when.kinds() <= WITHOUT_INSTANTS:
            kinds = ", ".join(sorted(self.when.kinds()))
            yield (
                ("then",),
                f"{instants[0]} has no effect for the kinds that this rule matches ({kinds}); name another kind",
            )

    def _find_unfilled(self) -> Iterator[Found]:
        patterns = [pattern for condition in self.when.conditions() for pattern in condition.patterns]
        known = {name for pattern in patterns for name in pattern.names}
        known |= {trait for kind in self.when.kinds() for trait in TRAITS[kind]}
        for index, then in enumerate(self.then):
            for path, value in then.templates():
                for unknown in sorted(value.names - known):
                    near = did_you_mean(unknown, known)
                    problem = f"{{{unknown}}} is neither a trait of these observations nor captured by a pattern"
                    yield ("then", index, *path), "; ".join(filter(None, (problem, near)))

    @classmethod
    def merge(cls, value: dict[str, Any], found: Sequence[Found]) -> Sequence[Found]:
        """Leave out that `when` or `then` is missing or empty, if this key or a key of it is at a wrong level."""
        when, then = value.get("when", ""), value.get("then", "")
        elsewhere = {
            "when": when == "" and (_CONDITIONS & value.keys() or _has(then, "when")),
            "then": then == "" and (_ACTIONS & value.keys() or _has(when, "then")),
        }
        return [one for one in found if not elsewhere.get(str(one[0][0]))]

    @classmethod
    def meant(cls, key: str) -> str:
        elsewhere = {*_CONDITIONS, *_ACTIONS, *RulesDocument.model_fields}
        return "" if key in elsewhere else super().meant(key)

    @classmethod
    def explain_unknown(cls, key: str) -> str:
        if key in _CONDITIONS:
            return f"{key} is a condition; indent it under when"
        if key in _ACTIONS:
            return f"{key} is an action; indent it under then"
        if key in RulesDocument.model_fields:
            return f"{key} does not belong to a rule; write it without indentation"
        return super().explain_unknown(key)


_CONDITIONS = When.model_fields.keys()
_ACTIONS = Then.model_fields.keys()


def _has(value: object, key: str) -> bool:
    return any(isinstance(each, dict) and key in each for each in (value if isinstance(value, list) else [value]))


class RulesDocument(Strict):
    """A rules file."""

    word: ClassVar[str] = "a key of a rules file"

    extends: Literal["defaults", "none"] = "defaults"
    teams: Annotated[dict[str, str], BeforeValidator(read_teams)] = Field(default_factory=dict)
    keys: Annotated[tuple[Annotated[str, BeforeValidator(read_key)], ...], BeforeValidator(as_list)] = ()
    thresholds: Annotated[dict[str, timedelta], BeforeValidator(read_thresholds)] = Field(default_factory=dict)
    trust_comments: Annotated[tuple[Provider, ...], BeforeValidator(as_list)] = ()
    trust_forks: Annotated[tuple[Provider, ...], BeforeValidator(as_list)] = ()
    trust_projects: Annotated[dict[str, tuple[str, ...]], BeforeValidator(read_projects)] = Field(default_factory=dict)
    rules: tuple[Entry, ...] = ()

    def extend(self, defaults: "RulesDocument") -> "RulesDocument":
        """A copy of this document, with the rules and trusted providers of `defaults` after this document's own.

        The copy takes `keys` (projects of tickets) from `defaults` only if this document names none.
        """
        return self.model_copy(
            update={
                "keys": self.keys or defaults.keys,
                "trust_comments": (*self.trust_comments, *defaults.trust_comments),
                "trust_forks": (*self.trust_forks, *defaults.trust_forks),
                "rules": (*self.rules, *defaults.rules),
            }
        )

    @classmethod
    def merge(cls, value: dict[str, Any], found: Sequence[Found]) -> Sequence[Found]:
        """Combine the faults of a rule whose keys are at the wrong level, or in two items of the list."""
        outside = [key for key in RULE_KEYS if key in value]
        rules = value.get("rules")
        last = len(rules) - 1 if isinstance(rules, list) else 0
        caused = {("rules", last, key) for key in outside}
        kept = [one for one in found if one[0][0] not in outside and not (one[1] == MISSING and one[0] in caused)]
        if outside:
            problem = f"{' and '.join(outside)} must be in a rule; indent as far as the text after the dash of the rule"
            kept.append(((next(key for key in value if key in outside), KEY), problem))
        return list(_join_halves(kept))

    @classmethod
    def meant(cls, key: str) -> str:
        return "" if key in RULE_KEYS else super().meant(key)

    @classmethod
    def explain_other(cls, value: Any) -> str:
        hint = "write rules: above the list, and indent the list" if isinstance(value, list) else ""
        return str(expect("a mapping with keys such as rules", value, hint))


def _join_halves(found: Sequence[Found]) -> Iterator[Found]:
    """Replace two faults by one, if a rule without `then` precedes a rule without `when`: these are one rule."""
    missing = {path for path, problem in found if problem == MISSING}
    for path, problem in found:
        match path:
            case ("rules", int() as index, "then") if path in missing and ("rules", index + 1, "when") in missing:
                yield (
                    ("rules", index + 1),
                    f"this is the second half of rule {index + 1}; write a space instead of its dash",
                )
            case ("rules", int() as index, "when") if ("rules", index - 1, "then") in missing:
                pass
            case _:
                yield path, problem
