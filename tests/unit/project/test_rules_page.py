"""The reference of rules names exactly the keys, conditions, kinds, traits, actions and fields that the code has."""

import re
from typing import get_args

import pytest
from pydantic import BaseModel

from service.deliveries.observation import TRAITS, Kind, Trait
from service.lifecycle.durations import format_duration
from service.lifecycle.events import Result
from service.lifecycle.fields import FIELDS
from service.lifecycle.taxonomy import Outcome
from service.providers import PROVIDERS
from service.rules.actions import WITHOUT_INSTANTS
from service.rules.conditions import When
from service.rules.consequences import Then
from service.rules.document import RulesFile
from service.rules.faults import InvalidRules
from service.rules.model import InstantName
from service.rules.patterns import Pattern
from service.rules.reader import read_rules, warn_about
from service.rules.schema import Entry, RulesDocument
from service.settings import packaged_rules
from tests.support.builders import terms
from tests.support.documents import blocks, read_page
from tests.support.paths import DOCS

_PAGE = read_page("rules.md")


def _rows(heading: str) -> dict[str, list[str]]:
    """The cells of each row of the table below a heading, by the name in the first cell."""
    section = _PAGE.partition(f"\n### {heading}\n")[2].partition("\n### ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in row] for row in rows[1:]]
    assert len({first for first, *_ in cells}) == len(cells) > 0, f"a row of {heading} is a duplicate"
    return {first.strip("`"): rest for first, *rest in cells}


def _quoted(cell: str) -> list[str]:
    return re.findall("`([^`]+)`", cell)


def _fields(model: type[BaseModel]) -> set[str]:
    return set(model.model_fields)


@pytest.mark.parametrize(
    ("heading", "exist"),
    [
        ("Keys of a rules file", _fields(RulesDocument)),
        ("Keys of a rule", _fields(Entry)),
        ("Kinds", set(get_args(Kind))),
        ("Traits", set(get_args(Trait))),
        ("Actions", _fields(Then)),
        ("Fields", set(FIELDS)),
    ],
)
def test_the_table_has_a_row_for_everything_that_exists_and_no_other_row(heading: str, exist: set[str]) -> None:
    assert set(_rows(heading)) == exist


def test_the_conditions_are_providers_kinds_and_traits() -> None:
    rows = _rows("Conditions")
    assert {*rows} - {"a trait"} | set(get_args(Trait)) == _fields(When)
    assert set(_quoted(rows["provider"][0])) == set(PROVIDERS)


def test_each_kind_has_the_traits_that_its_observations_can_have() -> None:
    assert {kind: set(_quoted(cells[1])) for kind, cells in _rows("Kinds").items()} == TRAITS


def test_the_kinds_for_which_instants_have_no_effect_are_named() -> None:
    (sentence,) = re.findall(r"^((?:\*\w+\*(?:, | and )?)+) describe a state", _PAGE, re.MULTILINE)
    assert {name.lower() for name in re.findall(r"\*(\w+)\*", sentence)} == WITHOUT_INSTANTS


def test_each_field_with_a_closed_vocabulary_has_all_of_its_values() -> None:
    closed = {name: field.data.choices for name, field in FIELDS.items() if field.data and field.data.choices}
    rows = _rows("Fields")
    assert len(closed) == 3
    assert {name: tuple(_quoted(rows[name][0])) for name in closed} == closed


def test_each_action_with_a_closed_vocabulary_has_all_of_its_values() -> None:
    rows = _rows("Actions")
    assert tuple(_quoted(rows["signalled"][0])) == get_args(Result)
    assert _quoted(rows["concluded"][0]) == [outcome for outcome in Outcome if outcome is not Outcome.UNDECLARED]
    category = FIELDS["failure_category"].data
    assert category is not None
    assert tuple(_quoted(rows["classified"][0])) == category.choices


def test_the_actions_that_record_an_instant_come_first() -> None:
    instants = get_args(InstantName)
    assert tuple(_rows("Actions"))[: len(instants)] == instants


def _read(text: str) -> None:
    read_rules(RulesFile("rules.yaml", text), packaged_rules(), PROVIDERS)


@pytest.mark.parametrize("action", Then.model_fields)
def test_each_action_is_written_as_its_row_says_and_not_otherwise(action: str) -> None:
    value, _ = _rows("Actions")[action]
    alone = value.startswith("none")
    values = ["{team: search}"] if value == "a mapping of fields to values" else _quoted(value)
    for then in [*([action] if alone else []), *(f"{{{action}: {each}}}" for each in values)]:
        _read(_closing(then))
    for then in [*([] if alone else [action]), *([f"{{{action}: x}}"] if value == "none" else [])]:
        with pytest.raises(InvalidRules):
            _read(_closing(then))


def _closing(then: str) -> str:
    return f"rules: [{{when: {{kind: closed}}, then: {then}}}]"


def test_the_defaults_of_the_file_are_those_of_the_code() -> None:
    rows = _rows("Keys of a rules file")
    assert rows["extends"][1] == f"`{RulesDocument().extends}`"
    assert rows["thresholds"][1] == f"`{format_duration(terms('7d').thresholds['default'])}` for all teams"


_EXAMPLES = [(block.place, block.text) for block in blocks(DOCS / "rules.md") if block.language == "yaml"]


@pytest.mark.parametrize(("place", "text"), _EXAMPLES)
def test_each_example_is_a_valid_rules_file_without_warnings(place: str, text: str) -> None:
    _read(text)
    assert warn_about(RulesFile(place, text), PROVIDERS) == []


def test_the_examples_have_a_pattern_an_insertion_and_a_path() -> None:
    whole = "".join(text for _, text in _EXAMPLES)
    assert [part for part in ("*", "{name}", "${", "where:", "ignore") if part not in whole] == []


def _default_patterns(trait: Trait) -> set[str]:
    """The patterns with which the packaged rules test a trait."""
    rules = read_rules(None, packaged_rules(), PROVIDERS)
    conditions = (condition for of_kind in rules.by_kind.values() for rule in of_kind for condition in rule.conditions)
    return {pattern.text for condition in conditions if condition.trait == trait for pattern in condition.patterns}


def _told_by_default() -> str:
    return _PAGE.partition("\n## The default rules\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("trait", ["label", "branch", "environment", "item_type", "resolution", "reason"])
def test_the_table_of_default_rules_names_every_value_that_they_test(trait: Trait) -> None:
    told = _told_by_default().lower()
    # The table shows patterns with the words of people: `exp/…`, `team:<name>`, and *not planned* for `not_planned`.
    # It names each accepted value of a capture, such as each outcome. It has no words of its own for *completed* and
    # *moved*.
    captured = {
        "outcome": Outcome.__members__.keys() - {"UNDECLARED"},
        "category": {"intelligent", "basic", "complex"},
        "risk": {"bold", "safe"},
        "team": {"<name>"},
    }
    for pattern in _default_patterns(trait) - {"completed", "moved"}:
        name = re.search(r"\{(\w+)\}", pattern)
        for value in captured[name[1]] if name else [""]:
            shown = re.sub(r"\{\w+\}", value, pattern).replace("*", "…").replace("_", " ")
            assert shown.lower() in told


def test_the_default_rules_test_every_label_branch_and_environment_of_the_table() -> None:
    shown = {value for value in _quoted(_told_by_default()) if re.fullmatch(r"[\w/]+(:[\w<>]+)?|\w+/…", value)}
    patterns = [Pattern.of(text) for trait in ("label", "branch", "environment") for text in _default_patterns(trait)]
    values = {value.replace("…", "x").replace("<name>", "x") for value in shown} - {"trust_comments"}
    assert len(values) > 10
    assert {value for value in values if all(pattern.match(value) is None for pattern in patterns)} == set()


def test_the_default_rules_read_the_results_of_runs_as_the_table_says() -> None:
    table = _PAGE.partition("\n## Results of runs\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|", 1) for line in table.splitlines() if line.startswith("| ")][1:]
    read = {
        (rule.name, pattern.text)
        for rule in read_rules(None, packaged_rules(), PROVIDERS).by_kind["finished"]
        for condition in rule.conditions
        if condition.trait == "conclusion"
        for pattern in condition.patterns
    }
    signals = {"success": "signalled by a run that succeeded", "failure": "signalled by a run that failed"}
    told = {
        (signals[result.strip()], word.lower())
        for result, words in rows
        if result.strip() in signals
        for word in _quoted(words)
        if word != "manual"
    }
    assert told == {(rule, word) for rule, word in read if word in {shown for _, shown in told}}
    assert {word for _, word in read} == {word for _, word in told}
    silent = {word.lower() for result, words in rows if "none" in result for word in _quoted(words)} - {"manual"}
    assert len(silent) > 8
    assert silent.isdisjoint({word for _, word in told})
