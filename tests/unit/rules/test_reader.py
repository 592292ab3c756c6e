"""The reader reads rules files, and reports their errors."""

import re
import subprocess
import sys
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.observation import Commented, Kind, Mentioned, Observed
from service.lifecycle.acts import ACTS
from service.lifecycle.events import Concluded, Declared, LifecycleEvent, Reopened
from service.lifecycle.fields import FieldName
from service.lifecycle.references import Ref
from service.providers import PROVIDERS
from service.rules.apply import apply_rules
from service.rules.consequences import Then
from service.rules.document import RulesFile
from service.rules.faults import InvalidRules
from service.rules.model import Rules
from service.rules.reader import read_rules
from service.settings import packaged_rules
from tests.support.builders import NO_PAYLOAD, at, raw_payload, without_label
from tests.support.paths import REPOSITORY

TICKET = Ref("jira:ML-12")
CHANGE = Ref("github:acme/app!7")
DEFAULTS = packaged_rules()

EXAMPLE = """\
extends: defaults                 # or none
teams: {"acme/search-*": search, ML: ml-platform}
thresholds: {search: 7d}
trust_comments: [github]
rules:                            # before the defaults; the first match per event and field wins
  - when: {provider: jira, item_type: Bet}
    then: {declare: {experiment: true}}
  - when: {provider: jira, status_to: Learned}
    where: "issue.fields.customfield_10071 != null"      # JMESPath on the raw payload
    then: [concluded, {declare: {outcome: "${issue.fields.customfield_10071.value}"}}]
"""


def read(text: str) -> Rules:
    return read_rules(RulesFile("own.yaml", text), DEFAULTS, PROVIDERS)


def complaints(text: str) -> list[str]:
    """The lines of the error about an invalid file."""
    with pytest.raises(InvalidRules) as refused:
        read(text)
    return str(refused.value).splitlines()


def rule(when: str = "{kind: closed}", then: str = "active", more: str = "") -> str:
    """A file with one rule. `when` is on the second line, `then` on the third and `more` on the fourth."""
    return f"rules:\n  - when: {when}\n    then: {then}\n    {more}\n"


def said(
    rules: Rules,
    kind: Kind,
    payload: Mapping[str, Any] | None = None,
    provider: str = "jira",
    **known: str,
) -> set[LifecycleEvent]:
    traits: dict[Any, tuple[str, ...]] = {trait: (value,) for trait, value in known.items()}
    found = apply_rules(rules, provider, [Observed(kind, TICKET, at(3), traits)], raw_payload(payload))
    return {without_label(event) for event in found.events}


def names(rules: Rules) -> set[str]:
    return {one.name for group in rules.by_kind.values() for one in group}


def team(value: str) -> Declared:
    return Declared(TICKET, at(3), "team", value, "derived")


def test_only_the_default_rules_apply_if_there_is_no_file() -> None:
    rules = read_rules(None, DEFAULTS, PROVIDERS)
    assert {"experiment by label", "proposed by creation", "team by project"} <= names(rules)
    assert not rules.thresholds
    assert not rules.trust_comments


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n", "---\n", "{}", "extends: defaults\n"])
def test_an_empty_file_leaves_the_default_rules_unchanged(text: str) -> None:
    assert read(text).by_kind == read_rules(None, DEFAULTS, PROVIDERS).by_kind


def test_a_file_that_extends_nothing_has_only_its_own_rules() -> None:
    assert names(read("extends: none\n" + rule(more="name: mine"))) == {"mine"}


def test_the_rules_of_a_file_come_before_the_default_rules_unless_the_file_extends_nothing() -> None:
    closing = [one.name for one in read(rule(more="name: mine")).by_kind["closed"]]
    assert closing[0] == "mine"
    assert "concluded by closing" in closing[1:]


@pytest.mark.parametrize("own", [None, RulesFile("own.yaml", "extends: defaults")])
def test_the_rules_of_packaged_files_are_tried_in_the_order_of_the_files(own: RulesFile | None) -> None:
    packaged = [RulesFile(f"{name}.yaml", rule(more=f"name: {name}")) for name in ("first", "second")]
    assert [one.name for one in read_rules(own, packaged, PROVIDERS).by_kind["closed"]] == ["first", "second"]


def test_a_rule_without_a_name_is_named_after_its_conditions() -> None:
    rules = read("extends: none\n" + rule("{label: [bet, 'bet:*'], branch: main}", "{declare: {experiment: true}}"))
    assert names(rules) == {"label bet or bet:*, branch main"}


def test_a_rule_is_tried_on_the_kinds_of_observation_that_have_all_its_traits() -> None:
    rules = read("extends: none\n" + rule("{label: bet}", "{declare: {experiment: true}}"))
    assert {kind for kind, tried in rules.by_kind.items() if tried} == {"seen", "labelled", "unlabelled"}


@pytest.mark.parametrize(
    "when", ["{project: ml}", "{title: '*bet*'}", "{url: 'https://*'}", "{project: ml, title: a bet}"]
)
def test_a_rule_that_marks_a_whole_project_does_not_mark_its_branches(when: str) -> None:
    rules = read("extends: none\n" + rule(when, "{declare: {experiment: true}}"))
    marked = {
        what: bool(said(rules, "seen", what=what, project="ML", title="A bet", url="https://acme.example"))
        for what in ("item", "change", "branch")
    }
    assert marked == {"item": True, "change": True, "branch": False}


@pytest.mark.parametrize("when", ["{project: ml, what: branch}", "{project: ml, branch: 'exp/*'}"])
def test_a_rule_with_a_condition_on_branches_marks_branches(when: str) -> None:
    rules = read("extends: none\n" + rule(when, "{declare: {experiment: true}}"))
    assert said(rules, "seen", project="ML", what="branch", branch="exp/cache")


def test_a_rule_that_does_not_mark_experiments_applies_to_branches_too() -> None:
    rules = read("extends: none\n" + rule("{project: ml}", "{declare: {team: search}}"))
    assert said(rules, "seen", project="ML", what="branch") == {Declared(TICKET, at(3), "team", "search", "item")}


def test_a_rule_that_marks_branches_is_tried_on_superseded_branches() -> None:
    rules = read("extends: none\n" + rule("{what: branch, branch: 'exp/*'}", "{declare: {experiment: true}}"))
    assert {kind for kind, tried in rules.by_kind.items() if tried} == {"seen", "superseded"}


@pytest.mark.parametrize("then", ["proposed", "concluded", "reopened", "shipped", "active", "{signalled: success}"])
@pytest.mark.parametrize("kind", ["seen", "unlabelled", "untyped", "superseded"])
def test_a_rule_cannot_record_an_instant_for_a_kind_that_describes_a_state_or_its_end(kind: str, then: str) -> None:
    (complaint,) = complaints(rule(f"{{kind: {kind}}}", then))
    assert f"has no effect for the kinds that this rule matches ({kind})" in complaint


def test_a_rule_may_have_a_condition_on_the_removed_resolution_but_not_on_the_former_category() -> None:
    assert said(
        read("extends: none\n" + rule("{resolution_from: done}", "reopened")), "moved", resolution_from="Done"
    ) == {Reopened(TICKET, at(3))}
    (complaint,) = complaints(rule("{category_from: done}", "reopened"))
    assert "rule 1, when.category_from: category_from is not a condition; did you mean category_to?" in complaint


def test_booleans_and_numbers_of_yaml_may_be_patterns_and_values() -> None:
    rules = read("extends: none\n" + rule("{label: [yes, 12, 1.5]}", "{declare: {experiment: true, title: 2026}}"))
    for label in ("yes", "12", "1.5"):
        assert said(rules, "labelled", label=label) == {
            Declared(TICKET, at(3), "experiment", "true", "label"),
            Declared(TICKET, at(3), "title", "2026", "label"),
        }


def test_the_mapping_of_teams_applies_in_the_order_of_the_file_and_before_other_derived_teams() -> None:
    rules = read('teams: {"acme/search-*": search, "acme/*": rest, ML: ml-platform}')
    assert team("search") in said(rules, "seen", project="Acme/Search-Index", component="ML")
    assert team("rest") in said(rules, "seen", project="acme/app")
    assert team("ml-platform") in said(rules, "seen", project="OPS", component="ml")
    assert team("index") in said(rules, "seen", project="OPS", component="Index")


def test_the_name_of_a_team_may_be_a_capture_of_its_pattern() -> None:
    assert team("search") in said(read('teams: {"acme/{team}-*": "{team}"}'), "seen", project="acme/search-index")


def test_only_tickets_of_the_listed_projects_are_found_if_the_file_lists_keys() -> None:
    mentioned = [Mentioned(CHANGE, "title", "ml-12, UTF-8", at(3))]
    (link,) = apply_rules(read("keys: [ML]"), "github", mentioned, NO_PAYLOAD).links
    assert link.targets == {TICKET}


def test_tickets_of_every_project_are_found_if_the_file_lists_no_keys() -> None:
    mentioned = [Mentioned(CHANGE, "title", "ml-12, OPS-8", at(3))]
    (link,) = apply_rules(read("extends: defaults"), "github", mentioned, NO_PAYLOAD).links
    assert link.targets == {Ref("jira:OPS-8"), Ref("jira:ml-12")}


def test_thresholds_are_durations_by_team_name_in_lower_case() -> None:
    assert read("thresholds: {default: 2 weeks, Search: 6h, ml: 15m, ops: 90s}").thresholds == {
        "default": timedelta(days=14),
        "search": timedelta(hours=6),
        "ml": timedelta(minutes=15),
        "ops": timedelta(seconds=90),
    }


def test_the_key_trust_comments_names_the_providers_whose_commands_are_accepted() -> None:
    comment = [Commented(TICKET, at(3), "/experiment start", insider=None)]
    assert apply_rules(read("trust_comments: [jira]"), "jira", comment, NO_PAYLOAD).verdict == "counted"
    assert apply_rules(read("trust_comments: [gitlab]"), "jira", comment, NO_PAYLOAD).verdict == "ignored"


def test_the_digest_of_the_rules_depends_only_on_the_rules_files() -> None:
    assert read(EXAMPLE).digest == read(EXAMPLE).digest
    assert len({read(EXAMPLE).digest, read("").digest, read("extends: none").digest}) == 3
    assert read_rules(None, DEFAULTS, PROVIDERS).digest != read_rules(None, DEFAULTS[:1], PROVIDERS).digest


def test_the_example_of_the_manual_marks_a_bet() -> None:
    rules = read(EXAMPLE)
    assert Declared(TICKET, at(3), "experiment", "true", "type") in said(rules, "seen", item_type="bet", project="ML")
    assert said(rules, "seen", provider="github", item_type="bet", project="OPS") == {team("ops")}


def test_the_example_of_the_manual_has_teams_thresholds_and_trusted_providers() -> None:
    rules = read(EXAMPLE)
    assert team("ml-platform") in said(rules, "seen", item_type="Bug", project="ml")
    assert team("search") in said(rules, "seen", item_type="Bug", project="acme/search-index")
    assert rules.thresholds == {"search": timedelta(days=7)}
    assert rules.trust_comments == {"github"}


def test_the_example_of_the_manual_concludes_a_ticket_with_the_outcome_in_its_field() -> None:
    payload = {"issue": {"fields": {"customfield_10071": {"value": "Failed"}}}}
    assert said(read(EXAMPLE), "moved", payload, status_to="learned") == {
        Concluded(TICKET, at(3), status="learned"),
        Declared(TICKET, at(3), "outcome", "failed", "item"),
    }


@pytest.mark.parametrize("payload", [None, {}, {"issue": {"fields": {"customfield_10071": None}}}])
def test_the_example_of_the_manual_does_not_conclude_a_ticket_whose_field_is_empty(
    payload: dict[str, Any] | None,
) -> None:
    assert said(read(EXAMPLE), "moved", payload, status_to="Learned") == set()


@pytest.mark.parametrize("text", ["- when: {kind: closed}\n", "rules\n", "12\n", "true\n", "!!set {a}\n"])
def test_a_file_that_is_not_a_mapping_is_refused(text: str) -> None:
    assert complaints(text)[0].startswith("own.yaml:1:")


@pytest.mark.parametrize("provider", ["githib", "[github, githib]"])
def test_an_unknown_provider_is_refused(provider: str) -> None:
    own = RulesFile("own.yaml", "extends: none\n" + rule(f"{{provider: {provider}, kind: closed}}"))
    with pytest.raises(
        InvalidRules,
        match=r"^own\.yaml:3:.*provider.*: expected one of github, jira, got 'githib'; did you mean github\?$",
    ):
        read_rules(own, DEFAULTS, {name: PROVIDERS[name] for name in ("jira", "github")})


def test_a_provider_may_be_named_in_any_case() -> None:
    own = RulesFile("own.yaml", "extends: none\n" + rule("{provider: GitHub, kind: closed}"))
    assert read_rules(own, DEFAULTS, PROVIDERS).by_kind["closed"]


def test_the_error_for_a_packaged_rules_file_names_the_packaged_file() -> None:
    packaged = [RulesFile("defaults.yaml", ""), RulesFile("jira.yaml", "colour: red")]
    with pytest.raises(InvalidRules, match=r"^jira\.yaml:1:1: colour: "):
        read_rules(RulesFile("own.yaml", "extends: defaults"), packaged, PROVIDERS)


LEVELS = "abcdefghij"
BOMBS = {
    "lists": "\n".join(
        [f"{LEVELS[0]}: &{LEVELS[0]} [lol]"]
        + [f"{one}: &{one} [{', '.join([f'*{below}'] * 10)}]" for below, one in pairwise(LEVELS)]
        + ["rules: *j"]
    ),
    "merged mappings": "\n".join(
        [f"{LEVELS[0]}: &{LEVELS[0]} {{lol: lol}}"]
        + [f"{one}: &{one} {{<<: [{', '.join([f'*{below}'] * 10)}]}}" for below, one in pairwise(LEVELS)]
        + ["teams: *j"]
    ),
    "patterns": "\n".join(
        ["rules:", "- when: {label: &labels [" + ", ".join(f"l{n}*" for n in range(5000)) + "]}", "  then: active"]
        + ["- {when: {label: *labels}, then: active}"] * 5000
    ),
}
READ_A_BOMB = """
import resource, sys
resource.setrlimit(resource.RLIMIT_CPU, (10, 10))
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from service.rules.document import RulesFile, InvalidRules
from service.rules.reader import read_rules
try:
    read_rules(RulesFile("bomb.yaml", sys.stdin.read()), [], {})
except InvalidRules as error:
    print(error)
"""


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_small_file_that_expands_to_a_huge_structure_is_refused_within_seconds(bomb: str) -> None:
    limited = subprocess.run(
        [sys.executable, "-c", READ_A_BOMB],
        input=BOMBS[bomb],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert limited.returncode == 0, limited.stderr[-500:]
    assert limited.stdout.startswith("bomb.yaml:")


@given(st.text() | st.text(alphabet="rules:whentlab-[]{}&*!|>'\"#\n \t?<,%@1", max_size=60))
def test_any_text_is_read_as_a_rules_file_or_refused_with_an_error_that_names_the_line(text: str) -> None:
    try:
        read(text)
    except InvalidRules as error:
        said_of = str(error)
    else:
        said_of = "own.yaml:1: nothing"
    assert all(line.startswith("own.yaml:") for line in said_of.split("\n"))


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("{classified: intelligent}", "failure_category", "intelligent"),
        ("{classified: '{category}'}", "failure_category", "basic"),
        ("shared", "shared", "true"),
        ("{shared: 'https://wiki.example.com'}", "shared", "https://wiki.example.com"),
        ("excluded", "excluded", "stated"),
        ("{excluded: duplicate}", "excluded", "duplicate"),
    ],
)
def test_an_act_that_states_a_value_declares_its_field(words: str, field: FieldName, value: str) -> None:
    own = f"extends: none\nrules: [{{when: {{kind: labelled, label: 'why:{{category}}'}}, then: {words}}}]"
    labelled = Observed("labelled", Ref("github:acme/app#45"), at(3), {"label": ("why:basic",)})
    applied = apply_rules(read_rules(RulesFile("rules.yaml", own), [], PROVIDERS), "github", [labelled], NO_PAYLOAD)
    [event] = applied.events
    assert event == Declared(labelled.subject, at(3), field, value, "label", label="why:basic")


def test_every_act_but_a_description_is_an_action_of_rules() -> None:
    assert set(ACTS) - {"described"} == set(Then.model_fields) & set(ACTS)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ("classified", "expected one of intelligent, basic, complex"),
        ("{classified: inteligent}", "did you mean intelligent?"),
        ("{excluded: '{reason}'}", "expected a fixed reason"),
        ("{shared: '{page}'}", "{page} is neither a trait"),
    ],
)
def test_an_act_without_a_valid_value_is_a_fault(words: str, why: str) -> None:
    own = f"extends: none\nrules: [{{when: {{kind: closed}}, then: {words}}}]"
    with pytest.raises(InvalidRules, match=re.escape(why)):
        read_rules(RulesFile("rules.yaml", own), [], PROVIDERS)


def test_a_single_value_stands_for_a_list_of_one_value() -> None:
    rules = read_rules(RulesFile("rules.yaml", "extends: none\nkeys: ML\ntrust_comments: GitLab\n"), [], PROVIDERS)
    assert rules.trust_comments == {"gitlab"}
    assert rules.keys.find("ML-12 and UX-1") == {"jira:ML-12"}
