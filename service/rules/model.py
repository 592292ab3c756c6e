"""What rules are made of, and what they make of a delivery."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from jmespath.parser import ParsedResult

from service.deliveries.observation import Kind, Trait
from service.lifecycle.aliases import Alias
from service.lifecycle.events import LifecycleEvent, Result
from service.lifecycle.evidence import LinkSet
from service.lifecycle.fields import FieldName
from service.lifecycle.taxonomy import Outcome
from service.rules.patterns import Pattern, Template
from service.rules.references import KeyFinder

Verdict = Literal["counted", "ignored", "failed"]
InstantName = Literal["proposed", "started", "signalled", "concluded", "reopened", "shipped", "active"]


@dataclass(frozen=True, slots=True)
class Happens:
    """An instant, at the time of the observation."""

    name: InstantName
    result: Result | None = None
    """Of *signalled*."""
    outcome: Outcome | None = None
    """Of *concluded*, where it says how it went."""


@dataclass(frozen=True, slots=True)
class Declares:
    """A value of a field; `derived` ones count only where nothing else states the field."""

    field: FieldName
    value: Template
    derived: bool = False


@dataclass(frozen=True, slots=True)
class Withdraws:
    """A value of a field that is taken back."""

    field: FieldName
    value: Template


@dataclass(frozen=True, slots=True)
class Ignores:
    """Nothing: rules that come after this one are not tried on the observation."""


Action: TypeAlias = Happens | Declares | Withdraws | Ignores


@dataclass(frozen=True, slots=True)
class Condition:
    """One trait, and the patterns of which one must match one of its values."""

    trait: Trait
    patterns: tuple[Pattern, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """Which observations it is about, and what they mean."""

    name: str
    providers: frozenset[str]
    """Empty: all."""
    kinds: frozenset[Kind]
    conditions: tuple[Condition, ...]
    where: ParsedResult | None
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, in the order in which they are tried.

    Attributes:
        by_kind: the rules that an observation of each kind can match.
        keys: finds tickets' keys in texts.
        trust_comments: providers of which commands are taken from anybody who can comment, since their payloads do
            not say who may.
        thresholds: idea-to-answer thresholds by team, `default` among them.
        digest: a hash of the files that they were read from.
    """

    by_kind: Mapping[Kind, tuple[Rule, ...]]
    keys: KeyFinder
    trust_comments: frozenset[str]
    thresholds: Mapping[str, timedelta]
    digest: str


@dataclass(frozen=True, slots=True)
class Statement:
    """A lifecycle event, and the rule that made it."""

    event: LifecycleEvent
    rule: str


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What one delivery says about experiments, and why.

    A delivery about an unmarked item is *ignored*, with the reason, and what it says is kept all the same: a mark
    or a link that comes later makes it count.
    """

    verdict: Verdict
    reason: str
    """Of a counted delivery the rules that matched, of another one why it does not count."""
    statements: tuple[Statement, ...] = ()
    links: tuple[LinkSet, ...] = ()
    aliases: tuple[Alias, ...] = ()

    @property
    def events(self) -> tuple[LifecycleEvent, ...]:
        """The lifecycle events alone."""
        return tuple(statement.event for statement in self.statements)
