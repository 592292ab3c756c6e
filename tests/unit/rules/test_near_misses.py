"""For a delivery that does not count, the nearest rules and their unmet conditions are found."""

from typing import Any

from service.deliveries.observation import Kind, Observed
from service.lifecycle.references import Ref
from service.providers import PROVIDERS
from service.rules.document import RulesFile
from service.rules.near_misses import NearMiss, UnmetCondition, find_near_misses
from service.rules.reader import read_rules
from tests.support.builders import at, raw_payload


def nearest(text: str, *observed: Observed, payload: object = b"{}", provider: str = "jira") -> list[NearMiss]:
    rules = read_rules(RulesFile("own.yaml", "extends: none\nrules:\n" + text), [], PROVIDERS)
    return find_near_misses(rules, provider, observed, raw_payload(payload))


def observed(kind: Kind, **traits: str | tuple[str, ...]) -> Observed:
    values: dict[Any, tuple[str, ...]] = {
        trait: value if isinstance(value, tuple) else (value,) for trait, value in traits.items()
    }
    return Observed(kind, Ref("jira:ML-12"), at(3), values)


MARK = "then: {declare: {experiment: true}}"


def test_the_unmet_condition_of_a_rule_that_nearly_marks_an_item_is_found() -> None:
    rules = f"  - {{name: a bet, when: {{provider: jira, label: [bet, 'bet:*']}}, {MARK}}}\n"
    assert nearest(rules, observed("seen", label=("bug", "urgent"))) == [
        NearMiss("a bet", (UnmetCondition("label", ("bet", "bet:*"), ("bug", "urgent")),))
    ]


def test_a_value_that_an_observation_lacks_is_shown_as_no_value() -> None:
    rules = f"  - {{name: a bet, when: {{item_type: Bet}}, {MARK}}}\n"
    assert nearest(rules, observed("seen"))[0].unmet == (UnmetCondition("item_type", ("Bet",), ()),)


def test_a_rule_that_needs_a_value_of_a_kind_that_the_delivery_lacks_is_less_near() -> None:
    rules = (
        f"  - {{name: typed, when: {{item_type: Bet}}, {MARK}}}\n  - {{name: labelled, when: {{label: bet}}, {MARK}}}\n"
    )
    assert [each.rule for each in nearest(rules, observed("seen", label="bug"))] == ["labelled"]
    assert [each.rule for each in nearest(rules, observed("seen", label="bug", item_type="Task"))] == [
        "typed",
        "labelled",
    ]
    assert [each.rule for each in nearest(rules, observed("seen"))] == ["typed", "labelled"]


def test_titles_and_branches_are_not_shown_because_they_may_contain_names_of_people() -> None:
    rules = f"  - {{name: a bet, when: {{what: item, title: 'bet *'}}, {MARK}}}\n"
    assert nearest(rules, observed("seen", what="item", title="by a person"))[0].unmet == (
        UnmetCondition("title", ("bet *",), None),
    )


def test_providers_and_kinds_are_conditions_too() -> None:
    rules = "  - {name: shipped, when: {provider: github, kind: deployed, environment: live}, then: shipped}\n"
    assert nearest(rules, observed("finished", environment="live"))[0].unmet == (
        UnmetCondition("provider", ("github",), ("jira",)),
        UnmetCondition("kind", ("deployed",), ("finished",)),
    )


def test_a_where_that_is_not_true_is_found_only_if_every_other_condition_is_met() -> None:
    rules = f"  - {{name: a bet, when: {{label: bet}}, where: issue.bold, {MARK}}}\n"
    assert nearest(rules, observed("seen", label="bet"))[0].unmet == (UnmetCondition("where"),)
    assert nearest(rules, observed("seen", label="bug"))[0].unmet == (UnmetCondition("label", ("bet",), ("bug",)),)
    assert nearest(rules, observed("seen", label="bet"), payload=b'{"issue": {"bold": true}}') == []


def test_the_observation_that_meets_most_conditions_decides() -> None:
    rules = f"  - {{name: a bet, when: {{what: item, label: bet}}, {MARK}}}\n"
    assert nearest(rules, observed("closed", what="item"), observed("seen", what="item", label="bug"))[0].unmet == (
        UnmetCondition("label", ("bet",), ("bug",)),
    )


def test_rules_that_would_make_the_delivery_count_come_before_others_with_as_many_unmet_conditions() -> None:
    learned = "  - {name: learned, when: {status_to: Learned}, then: concluded}\n"
    far = f"  - {{name: far, when: {{provider: github, label: bet}}, {MARK}}}\n"
    near = "  - {name: near, when: {resolution: Shipped}, then: shipped}\n"
    moved = observed("moved", status_to="Done", resolution="Fixed")
    assert [each.rule for each in nearest(learned + far, moved)] == ["learned"]
    assert [each.rule for each in nearest(learned + far + near, moved)] == ["near"]


def test_at_most_three_rules_are_shown() -> None:
    rules = "".join(f"  - {{name: bet {n}, when: {{label: 'bet {n}'}}, {MARK}}}\n" for n in range(5))
    assert [each.rule for each in nearest(rules, observed("seen", label="bug"))] == ["bet 0", "bet 1", "bet 2"]


def test_without_observations_no_rule_is_near() -> None:
    assert nearest(f"  - {{when: {{label: bet}}, {MARK}}}\n") == []
