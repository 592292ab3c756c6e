"""Warnings about a rules file: it is valid, but a rule has the name of another rule, or never takes effect."""

from collections.abc import Iterator, Sequence

from service.rules.actions import decision_of
from service.rules.model import Action, Condition, DeclareAction, IgnoreAction, InstantAction, Rule
from service.rules.places import Path


def find_warnings(rules: Sequence[Rule], names: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Find the rules of one file that have the same name, and rules that never take effect.

    Args:
        rules: the rules in the order in which they are tried.
        names: the name of each rule in the file; empty if the file gives the rule no name.
    """
    first: dict[str, int] = {}
    for index, (rule, name) in enumerate(zip(rules, names, strict=True)):
        if name and (earlier := first.setdefault(name, index)) != index:
            problem = f"rule {earlier + 1} has this name too; answers show rules by their names, so choose another one"
            yield ("rules", index, "name"), problem
        taken = next((number for number in range(index) if _takes_all(rules[number], rule)), None)
        if taken is not None:
            problem = f"this rule never takes effect, because rule {taken + 1} matches the same observations first"
            yield ("rules", index), problem


def _takes_all(earlier: Rule, later: Rule) -> bool:
    """Whether the earlier rule certainly decides everything that the later rule would decide."""
    if not _matches_all(earlier, later):
        return False
    if any(isinstance(action, IgnoreAction) for action in earlier.actions):
        return True
    # A rule with a condition on labels decides for each matching label. Any other rule decides for the observation as a
    # whole.
    if _tests_labels(earlier) != _tests_labels(later):
        return False
    decided = {decision_of(action) for action in earlier.actions if _always_decides(action)}
    return {decision_of(action) for action in later.actions} <= decided


def _matches_all(earlier: Rule, later: Rule) -> bool:
    """Whether the earlier rule certainly matches every observation that the later rule matches."""
    same_providers = not earlier.providers or (later.providers and later.providers <= earlier.providers)
    if earlier.where is not None or not same_providers or not later.kinds <= earlier.kinds:
        return False
    narrower = {condition.trait: _texts(condition) for condition in later.conditions}
    return all(
        condition.trait in narrower and ("*" in _texts(condition) or narrower[condition.trait] <= _texts(condition))
        for condition in earlier.conditions
    )


def _tests_labels(rule: Rule) -> bool:
    return any(condition.trait == "label" for condition in rule.conditions)


def _texts(condition: Condition) -> frozenset[str]:
    return frozenset(pattern.text.lower() for pattern in condition.patterns)


def _always_decides(action: Action) -> bool:
    """Whether an action decides something whenever its rule matches.

    If the value of an action varies, the value may be invalid. The action then decides nothing.
    """
    return isinstance(action, InstantAction) or (isinstance(action, DeclareAction) and not action.value.varies)
