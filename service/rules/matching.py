"""Match rules: find the ways in which a rule matches an observation, and explain why no rule marks an item."""

from collections.abc import Iterator, Mapping

from service.deliveries.decoding import shorten
from service.deliveries.observation import Observed, Trait
from service.lifecycle.teams import names_account
from service.rules.model import WORDS, Condition, Rule, Rules
from service.rules.patterns import LONGEST_WORDS, SCOPE, fold, unify

SHOWN: tuple[Trait, ...] = (
    "label",
    "item_type",
    "reason",
    "status_from",
    "status_to",
    "resolution",
    "workflow",
    "trigger",
    "conclusion",
    "environment",
)
"""The traits whose values a reason may show, such as labels and statuses.

The values of other traits, such as titles, may contain people's names.
"""
_MOST_SHOWN = 10
_MARKING: Mapping[Trait, str] = {"label": "add the label {}", "item_type": "set its type to {}"}
_NOTHING: Mapping[str, str] = {}


def known_values(observation: Observed) -> Mapping[str, str]:
    """The first value of each trait, for templates to insert."""
    return {trait: values[0] for trait, values in observation.traits.items() if values}


def find_matches(rule: Rule, observation: Observed, known: Mapping[str, str]) -> list[tuple[str, Mapping[str, str]]]:
    """Every way in which the rule's conditions match an observation.

    Returns:
        A pair for each way: the matching label (or an empty text), and the known values with the captured values added.
    """
    ways = [("", known)]
    for condition in rule.conditions:
        # Return early, because most rules do not match. Below, copy the known values only if the pattern has captured a
        # value, because few patterns do.
        if not (ways and (values := observation.traits.get(condition.trait))):
            return []
        ways = [
            (value if condition.trait == "label" else label, {**so_far, **captured} if captured else so_far)
            for label, so_far in ways
            for value in values
            if (captured := _capture(condition, value)) is not None
        ]
    return ways


def _capture(condition: Condition, value: str) -> Mapping[str, str] | None:
    # A loop takes half as long as a generator, and each delivery tries some fifty conditions.
    if condition.trait in WORDS:
        if len(value) <= LONGEST_WORDS and fold(value) in condition.words:
            return _NOTHING
        value = unify(value) if condition.others else value
    is_scoped = condition.trait == "label" and SCOPE in value
    for pattern in condition.others:
        match = pattern.match_label(value) if is_scoped else pattern.match(value)
        if match is not None:
            return match
    return None


def show(value: str) -> str:
    """The text that a reason shows for a value: `…` if the value may contain an account, as the label `@jane` does."""
    return "…" if names_account(value) else shorten(value)


def explain_no_match(observation: Observed) -> str:
    """The reason to show for an observation that no rule matches."""
    named = ((trait, observation.traits.get(trait, ())) for trait in SHOWN)
    shown = ", ".join(f"{trait} `{show(value)}`" for trait, values in named for value in values[:_MOST_SHOWN])
    return f"no rule matches {observation.kind}{': ' if shown else ''}{shown}"


def explain_unmarked(rules: Rules, provider: str, seen: Observed) -> Iterator[str]:
    """Yield a reason for each trait that could mark an item: the patterns that rules expect, and the item's values."""
    expected: dict[Trait, list[str]] = {}
    for rule in rules.candidates(provider, "seen"):
        if not rule.marks:
            continue
        if "branch" in seen.traits.get("what", ()) and any(condition.trait == "label" for condition in rule.conditions):
            continue
        failing = [condition for condition in rule.conditions if not is_met(condition, seen)]
        # A rule with two failing conditions is meant for other items, such as branches, so it explains nothing here.
        if len(failing) == 1 and (failing[0].trait == "label" or failing[0].trait in seen.traits):
            expected.setdefault(failing[0].trait, []).extend(distinct_texts(failing[0]))
    for trait, patterns in expected.items():
        yield from _explain_trait(trait, " or ".join(f"`{pattern}`" for pattern in patterns), seen)


def describe_marks(rules: Rules, provider: str) -> str:
    """Describe how people mark an item, such as `add the label experiment`; empty if no label or type marks it."""
    ways: dict[str, None] = {}
    for rule in rules.candidates(provider, "seen"):
        condition = rule.conditions[0] if rule.marks and rule.where is None and len(rule.conditions) == 1 else None
        if condition and (way := _MARKING.get(condition.trait)):
            texts = [text for text in distinct_texts(condition) if not set("*{") & set(text)]
            listed = " or ".join(filter(None, (", ".join(texts[:-1]), texts[-1] if texts else "")))
            ways |= {way.format(listed): None} if texts else {}
    return ", or ".join(ways)


def distinct_texts(condition: Condition) -> list[str]:
    """The texts of the patterns, without the scoped form of another pattern: `experiment`, but not `experiment::*`."""
    texts = [pattern.text for pattern in condition.patterns]
    return [text for text in texts if not (text.endswith("::*") and text.removesuffix("::*") in texts)]


def is_met(condition: Condition, observation: Observed) -> bool:
    """Whether an observation meets a condition."""
    return any(_capture(condition, value) is not None for value in observation.traits.get(condition.trait, ()))


def _explain_trait(trait: Trait, expected: str, seen: Observed) -> Iterator[str]:
    values = ", ".join(show(value) for value in seen.traits.get(trait, ())[:_MOST_SHOWN])
    if trait == "label":
        yield f"no label {expected}; " + (f"labels were {values}" if values else "the payload shows no labels")
    elif trait == "item_type":
        yield f"its type {values} is not {expected}"
    elif trait != "what":
        # Branches and titles may contain people's names, so the reason does not show them.
        yield f"its {trait} is not {expected}"
