"""Explain why a delivery does not count: the rules that nearly match it, and the conditions that it does not meet."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from service.deliveries.observation import Observed
from service.deliveries.payload import RawPayload
from service.rules.matching import SHOWN, distinct_texts, is_met, show
from service.rules.model import InstantAction, Rule, Rules
from service.rules.patterns import find

_MOST = 3


@dataclass(frozen=True, slots=True)
class UnmetCondition:
    """A condition of a rule that an observation does not meet.

    Attributes:
        condition: the key of the condition in the rules file, such as `label`.
        expected: the values and patterns that the rule accepts; empty for `where`.
        found: the values of the observation, if they cannot contain people's names; None if they can.
    """

    condition: str
    expected: tuple[str, ...] = ()
    found: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class NearMiss:
    """A rule that nearly matches a delivery."""

    rule: str
    unmet: tuple[UnmetCondition, ...]


def find_near_misses(
    rules: Rules, provider: str, observations: Sequence[Observed], payload: RawPayload
) -> list[NearMiss]:
    """Find the rules of which a delivery fails the fewest conditions. Rules that would make it count take precedence.

    A rule that would not make the delivery count is a candidate only if a single condition is not met. A rule is less
    near if it needs a value of a kind that the delivery lacks, such as the type of an issue without a type.
    """
    found: list[tuple[int, bool, bool, NearMiss]] = []
    for rule in _each_once(rules):
        ways = [tuple(_find_unmet(rule, provider, observation, payload)) for observation in observations]
        nearest = min(ways, key=len, default=())
        if len(nearest) == 1 or (nearest and _counts(rule)):
            lacks = any(unmet.found == () for unmet in nearest)
            found.append((len(nearest), not _counts(rule), lacks, NearMiss(rule.name, nearest)))
    best = min((each[:3] for each in found), default=None)
    return [each[3] for each in found if each[:3] == best][:_MOST]


def _each_once(rules: Rules) -> Iterable[Rule]:
    return {id(rule): rule for of_kind in rules.by_kind.values() for rule in of_kind}.values()


def _counts(rule: Rule) -> bool:
    """Whether a delivery that the rule matches counts."""
    instants = {action.name for action in rule.actions if isinstance(action, InstantAction)}
    return rule.marks or bool(instants & {"signalled", "shipped"})


def _find_unmet(rule: Rule, provider: str, observation: Observed, payload: RawPayload) -> Iterator[UnmetCondition]:
    met = True
    if rule.providers and provider not in rule.providers:
        met = False
        yield UnmetCondition("provider", tuple(sorted(rule.providers)), (provider,))
    if observation.kind not in rule.kinds:
        met = False
        yield UnmetCondition("kind", tuple(sorted(rule.kinds)), (observation.kind,))
    for condition in rule.conditions:
        if not is_met(condition, observation):
            met = False
            values = tuple(map(show, observation.traits.get(condition.trait, ())))
            patterns = tuple(distinct_texts(condition))
            yield UnmetCondition(condition.trait, patterns, values if condition.trait in SHOWN or not values else None)
    if met and rule.where is not None and not find(rule.where, payload):
        yield UnmetCondition("where")
