"""Rules, and the interpretation that rules produce from a delivery."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal, TypeAlias

from jmespath.parser import ParsedResult

from service.deliveries.observation import Identified, Kind, Trait
from service.lifecycle.aliases import Alias
from service.lifecycle.events import LifecycleEvent, Result
from service.lifecycle.evidence import LinkSet
from service.lifecycle.fields import FieldName
from service.lifecycle.pushes import Push
from service.lifecycle.taxonomy import Outcome
from service.rules.label_names import LabelNames
from service.rules.patterns import Pattern, Template, fold, unify
from service.rules.references import KeyFinder

Verdict = Literal["counted", "ignored", "failed"]
# The providers whose payloads tell whether the author of a comment may change the project.
_TELLING = frozenset({"github"})
WORDS: frozenset[Trait] = frozenset({"reason", "ending", "status_from", "status_to", "resolution_from", "resolution"})
"""The traits whose values are words of a tracker. They are compared without case, apostrophes and extra white space."""
InstantName = Literal["proposed", "started", "signalled", "concluded", "reopened", "shipped", "active"]


@dataclass(frozen=True, slots=True)
class InstantAction:
    """Records an instant of an experiment, such as *started*, at the time of the observation.

    Attributes:
        result: the result that *signalled* records.
        outcome: the outcome that *concluded* records, if the rule names an outcome.
    """

    name: InstantName
    result: Result | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, slots=True)
class DeclareAction:
    """Declares a value of a field; a *derived* value counts only if no other channel declares the field."""

    field: FieldName
    value: Template
    derived: bool = False


@dataclass(frozen=True, slots=True)
class WithdrawAction:
    """Withdraws a value of a field."""

    field: FieldName
    value: Template


@dataclass(frozen=True, slots=True)
class IgnoreAction:
    """Ignores the observation: no later rule is tried on this observation."""


Action: TypeAlias = InstantAction | DeclareAction | WithdrawAction | IgnoreAction


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition: at least one value of the trait must match one of the patterns.

    Attributes:
        words: the folded words of the patterns without a wildcard, if the values of the trait are words of a tracker,
            such as statuses. Administrators spell these words differently.
        others: the other patterns. If the values of the trait are words, these patterns match the unified words.
    """

    trait: Trait
    patterns: tuple[Pattern, ...]
    words: frozenset[str] = field(init=False)
    others: tuple[Pattern, ...] = field(init=False)

    def __post_init__(self) -> None:
        words, others = frozenset[str](), self.patterns
        if self.trait in WORDS:
            words = frozenset(fold(pattern.text) for pattern in self.patterns if pattern.is_literal)
            others = tuple(Pattern.of(unify(pattern.text)) for pattern in self.patterns if not pattern.is_literal)
        object.__setattr__(self, "words", words)
        object.__setattr__(self, "others", others)


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: the conditions that an observation must meet, and the actions to take on such an observation.

    Attributes:
        providers: the providers whose deliveries the rule can match. If empty, the rule can match every delivery.
        marks: whether the rule marks experiments.
    """

    name: str
    providers: frozenset[str]
    kinds: frozenset[Kind]
    conditions: tuple[Condition, ...]
    where: ParsedResult | None
    actions: tuple[Action, ...]
    marks: bool = field(init=False)

    def __post_init__(self) -> None:
        marks = any(isinstance(action, DeclareAction) and action.field == "experiment" for action in self.actions)
        object.__setattr__(self, "marks", marks)


@dataclass(frozen=True, slots=True)
class Rules:
    """All rules, in the order in which they are tried.

    Attributes:
        by_kind: for each kind of observation, the rules that can match an observation of this kind.
        labels: the labels that rules read, to find misspelt ones.
        keys: finds the keys of tickets in texts.
        trust_comments: the providers whose comments may give commands even if the payload does not tell whether the
            comment's author may change the project.
        trust_forks: the providers whose forks belong to the organisation. The author of a change from
            such a fork is no outsider, unless the payload says so.
        trust_projects: for patterns of projects, the patterns of the further projects to whose experiments their
            commands apply.
        thresholds: the idea-to-answer thresholds by team, including `default`.
        digest: a hash of the rules files.
    """

    by_kind: Mapping[Kind, tuple[Rule, ...]]
    labels: LabelNames
    keys: KeyFinder
    trust_comments: frozenset[str]
    thresholds: Mapping[str, timedelta]
    digest: str
    trust_forks: frozenset[str] = frozenset()
    trust_projects: tuple[tuple[Pattern, tuple[str, ...]], ...] = ()
    _candidates: dict[tuple[str, Kind], tuple[Rule, ...]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def trusted_from(self, project: str) -> tuple[str, ...]:
        """The patterns of the further projects to whose experiments the commands of a project apply."""
        names = (project, project.partition(":")[2])
        named = (
            others for pattern, others in self.trust_projects if any(pattern.match(name) is not None for name in names)
        )
        return tuple(sorted({other for others in named for other in others}))

    @property
    def commanding(self) -> frozenset[str]:
        """The providers whose comments may give commands."""
        return self.trust_comments | _TELLING

    def candidates(self, provider: str, kind: Kind) -> tuple[Rule, ...]:
        """The rules that can match an observation of this kind from this provider. They are found once, since every
        observation of a delivery asks for them.
        """
        found = self._candidates.get((provider, kind))
        if found is None:
            rules = self.by_kind.get(kind, ())
            found = tuple(rule for rule in rules if not rule.providers or provider in rule.providers)
            self._candidates[provider, kind] = found
        return found


@dataclass(frozen=True, slots=True)
class Statement:
    """A lifecycle event, and the rule that produced it."""

    event: LifecycleEvent
    rule: str


@dataclass(frozen=True, slots=True)
class Interpretation:
    """The result of applying the rules to a delivery: its events and links, and its verdict with the reason.

    A delivery about an unmarked item is *ignored*, with the reason. The events of the delivery are still stored,
    because they count if the item is marked or linked later.

    Attributes:
        reason: for a counted delivery, the rules that matched; for any other delivery, why it does not count.
    """

    verdict: Verdict
    reason: str
    statements: tuple[Statement, ...] = ()
    links: tuple[LinkSet, ...] = ()
    aliases: tuple[Alias, ...] = ()
    identities: tuple[Identified, ...] = ()
    pushes: tuple[Push, ...] = ()

    @property
    def events(self) -> tuple[LifecycleEvent, ...]:
        """The lifecycle events without their rules."""
        return tuple(statement.event for statement in self.statements)
