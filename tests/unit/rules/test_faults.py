"""An invalid rules file is refused with every fault, each with its place, the expected value and the nearest name."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.providers import PROVIDERS
from service.rules.document import RulesFile
from service.rules.faults import Fault, InvalidRules
from service.rules.reader import read_rules
from service.settings import packaged_rules

DEFAULTS = packaged_rules()


def faults(text: str) -> list[Fault]:
    """The faults of an invalid file."""
    with pytest.raises(InvalidRules) as refused:
        read_rules(RulesFile("own.yaml", text), DEFAULTS, PROVIDERS)
    return refused.value.faults


def the_fault(text: str) -> Fault:
    (fault,) = faults(text)
    return fault


def rule(when: str = "{kind: closed}", then: str = "active", more: str = "name: a bet") -> str:
    """A file with one rule. `when` is on the second line, `then` on the third and `more` on the fourth."""
    return f"rules:\n  - when: {when}\n    then: {then}\n    {more}\n"


def test_a_fault_has_its_file_line_column_path_and_message() -> None:
    fault = Fault("own.yaml", 2, 12, "rule 1 'a bet', when.lable", "lable is not a condition; did you mean label?")
    assert faults(rule("{lable: bet}")) == [fault]
    assert str(fault) == "own.yaml:2:12: rule 1 'a bet', when.lable: lable is not a condition; did you mean label?"


def test_the_message_of_the_error_has_a_line_for_each_fault_in_the_order_of_the_file() -> None:
    with pytest.raises(InvalidRules) as refused:
        read_rules(RulesFile("own.yaml", rule("{lable: bet}", "begun") + "colour: red"), DEFAULTS, PROVIDERS)
    assert [line.split(":")[1] for line in str(refused.value).splitlines()] == ["2", "3", "5"]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("rules: [\n", 2, "the file ends before the end of the list or mapping"),
        ("rules:\n\t- when: {kind: closed}\n", 2, "a tab cannot indent a line; use spaces"),
        ("teams: {a: b\nrules: []\n", 2, "expected a comma or a } in the block that begins on line 1; quote a text"),
        ("keys: [a, b\nrules: []\n", 2, "expected a comma or a ] in the block that begins on line 1"),
        ("keys: [a, b\n", 2, "expected a ] in the block that begins on line 1"),
        ("teams: 'open\n\n\n", 1, "the quotation that begins here has no end"),
        ("extends: none\nkeys\nrules: []\n", 2, "expected a colon after the key"),
        (
            "rules:\n  - when: {kind: closed}\n   then: active\n",
            3,
            "the indentation does not fit the lines above in the",
        ),
        (
            "rules:\n  - when: {kind: closed}\n  then: active\n",
            3,
            "the indentation does not fit the lines above in the",
        ),
        ("teams: a: b\n", 1, "a colon is not expected here; indent equal keys equally, and quote a text that"),
        ("teams: {a: b}}\n", 1, "expected a new line; quote a text that contains a colon and a space, a comma, a"),
        ("teams: {a: @b}\n", 1, "a text cannot begin with @; quote the text"),
        ("keys: [*]\n", 1, "a text cannot begin with * or &; quote the text, such as '*'"),
        ("keys: }\n", 1, "expected a value, got }; quote a text that contains"),
        ('teams: {a: "\\d"}\n', 1, "a backslash begins an escape in double quotes; use single quotes"),
        ("rules: *nothing\n", 1, "anchors and aliases are not supported; quote a text that begins with & or *"),
        ("extends: none\n---\nextends: none\n", 2, "expected one document; remove the line ---"),
        ("extends: none\nkeys: [\x00]\n", 2, "special characters are not allowed"),
        ("x: " + "[" * 31 + "]" * 31, 1, "nested too deeply"),
    ],
)
def test_a_text_that_is_not_yaml_is_one_fault_that_says_what_to_write(text: str, line: int, message: str) -> None:
    fault = the_fault(text)
    assert (fault.line, fault.path) == (line, "")
    assert fault.message.startswith(message)


@pytest.mark.parametrize(
    ("text", "place", "path", "message"),
    [
        ("12", "1:1", "", "expected a mapping with keys such as rules, got '12'"),
        ("- when: {kind: closed}\n", "1:1", "", "got a list; write rules: above the list, and indent the list"),
        ("extends: everything", "1:10", "extends", "expected one of defaults, none, got 'everything'"),
        ("extends: no", "1:10", "extends", "expected one of defaults, none, got 'no'; did you mean none?"),
        (
            "extends: none\ncolour: red",
            "2:1",
            "colour",
            "colour is not a key of a rules file; expected one of extends,",
        ),
        ("rule: []", "1:1", "rule", "rule is not a key of a rules file; did you mean rules?"),
        ("rules:", "1:7", "rules", "expected a list, got nothing; write a dash before each item"),
        ("rules: {when: {kind: closed}}", "1:1", "rules", "expected a list, got a mapping; write a dash before each"),
        ("rules: [a]", "1:9", "rule 1", "expected a mapping, got 'a'"),
        ("teams: [search]", "1:1", "teams", "expected a mapping, got a list"),
        ("teams:\n  '{x}{x}': a", "2:3", "teams.{x}{x}", "expected a pattern, got '{x}{x}'; it captures x twice"),
        ("teams:\n  a: '${b..c}'", "2:6", "teams.a", "expected a JMESPath expression, got 'b..c'"),
        ("teams:\n  a: '{b}'", "2:6", "teams.a", "the pattern does not capture {b}"),
        ("teams:\n  a: {b}", "2:3", "teams.a", "expected a text, got a mapping; quote it: '{b}'"),
        ("teams:\n  a: _org", "2:6", "teams.a", "expected a team name of at most 100 characters that does not begin"),
        ("keys: 9X", "1:7", "keys", "expected the key of a Jira project, such as ML, got '9X'"),
        ("keys: [ML, 12]", "1:12", "keys, value 2", "expected the key of a Jira project, such as ML, got '12'"),
        ("keys: [ML, '']", "1:12", "keys, value 2", "expected the key of a Jira project, such as ML, got nothing"),
        ("keys: [[ML]]", "1:8", "keys, value 1", "expected a text, got a list"),
        ("trust_comments: githib", "1:17", "trust_comments", "got 'githib'; did you mean github?"),
        ("trust_comments:", "1:16", "trust_comments", "got nothing"),
        ("trust_comments: [githib]", "1:18", "trust_comments, value 1", "got 'githib'; did you mean github?"),
        ("thresholds: [7d]", "1:1", "thresholds", "expected a mapping, got a list"),
        ("thresholds:\n  search: 7", "2:11", "thresholds.search", "expected a duration such as 90s, 15m, 6h, 14d or"),
        ("thresholds:\n  search: 7 dayz", "2:11", "thresholds.search", "dayz is not a unit; did you mean day?"),
        ("thresholds:\n  search: 0d", "2:11", "thresholds.search", "expected a duration"),
        ("thresholds:\n  search: 9999d", "2:11", "thresholds.search", "at most ten years"),
        ("thresholds:\n  _org: 7d", "2:3", "thresholds._org", "expected a team name of at most 100 characters"),
        ("thresholds:\n  search: [7d]", "2:3", "thresholds.search", "expected a text, got a list"),
        ("extends: none\nextends: defaults", "2:1", "extends", "duplicate key; the key is on line 1 already"),
        ("teams:\n  a: b\n  a: c", "3:3", "teams.a", "duplicate key; the key is on line 2 already"),
        ("extends: none\n? [a]\n: b\n", "2:3", "", "expected a text as key"),
        ("keys: [!x ML]", "1:8", "keys, value 1", "tags such as !x are not supported; quote a text that begins"),
        ("keys: [!!int ML]", "1:8", "keys, value 1", "tags such as tag:yaml.org,2002:int are not supported"),
        ('teams: {a: "b\\0"}', "1:12", "teams.a", "a text cannot contain NUL"),
        ('teams: {"a\\ud800": b}', "1:9", "teams", "a key cannot contain NUL or half of a surrogate pair"),
        ('extends: none\n"a\\nb": 1', "2:1", "a\nb", "is not a key of a rules file"),
        # Rules
        ("rules:\n  - then: active", "2:5", "rule 1, when", "is missing"),
        ("rules:\n  - when: {kind: closed}", "2:5", "rule 1, then", "is missing"),
        (
            rule(more="colour: red"),
            "4:5",
            "rule 1, colour",
            "colour is not a key of a rule; expected one of name, when,",
        ),
        (rule(more="name: [a]"), "4:5", "rule 1, name", "expected a text, got a list"),
        (rule(more="where: 'a..b'"), "4:12", "rule 1, where", "expected a JMESPath expression, got 'a..b'"),
        (rule(more="where: ''"), "4:12", "rule 1, where", "expected a JMESPath expression, got ''"),
        (rule(more="where: '" + "(" * 50_000 + "'"), "4:12", "rule 1, where", "expected a JMESPath expression"),
        (rule(more="then: again"), "4:5", "rule 1, then", "duplicate key; the key is on line 3 already"),
        # Conditions
        (
            rule("{}"),
            "2:5",
            "rule 1 'a bet', when",
            "expected a kind, such as kind: closed, or a trait, such as label:",
        ),
        (rule("{provider: jira}"), "2:5", "rule 1 'a bet', when", "expected a kind, such as kind: closed, or a trait"),
        (rule("{label: []}"), "2:5", "rule 1 'a bet', when", "expected a kind, such as kind: closed, or a trait"),
        (
            rule("{kind: closed, colour: red}"),
            "2:26",
            "rule 1 'a bet', when.colour",
            "expected one of provider, kind, what,",
        ),
        (rule("{lable: bet}"), "2:12", "rule 1 'a bet', when.lable", "did you mean label?"),
        (rule("{status: Done}"), "2:12", "rule 1 'a bet', when.status", "did you mean status_to?"),
        (rule("{Type: Bet}"), "2:12", "rule 1 'a bet', when.Type", "did you mean item_type?"),
        (
            rule("{kind: exploded}"),
            "2:18",
            "rule 1 'a bet', when.kind",
            "expected one of seen, created, assigned, started, closed,",
        ),
        (rule("{kind: [closed, labeled]}"), "2:27", "rule 1 'a bet', when.kind, value 2", "did you mean labelled?"),
        (rule("{provider: githib, kind: closed}"), "2:22", "rule 1 'a bet', when.provider", "did you mean github?"),
        (
            rule("{kind: closed, label: bug}"),
            "2:33",
            "rule 1 'a bet', when.label",
            "no observation of kind closed has a",
        ),
        (rule("{label: bug, status_to: Done}"), "2:5", "rule 1 'a bet', when", "has all of these: label, status_to"),
        (rule("{label: '{a}{a}'}"), "2:19", "rule 1 'a bet', when.label", "it captures a twice"),
        (rule("{label: [bug, '{}']}"), "2:25", "rule 1 'a bet', when.label, value 2", "expected a name between braces"),
        (rule("{label: [bug, [bug]]}"), "2:25", "rule 1 'a bet', when.label, value 2", "expected a text, got a list"),
        (rule("{label: }"), "2:18", "rule 1 'a bet', when.label", "expected a text to compare with, got nothing"),
        (
            rule("{label: {text: bug, regex: bug}}"),
            "2:12",
            "rule 1 'a bet', when.label",
            "expected a text, got a mapping",
        ),
        # Actions
        (rule(then="paint"), "3:11", "rule 1 'a bet', then", "paint is not an action; expected one of proposed,"),
        (rule(then="start"), "3:11", "rule 1 'a bet', then", "start is not an action; did you mean started?"),
        (rule(then="{paint: now}"), "3:12", "rule 1 'a bet', then.paint", "paint is not an action"),
        (rule(then="[active, paint]"), "3:20", "rule 1 'a bet', then, action 2", "paint is not an action"),
        (rule(then="{active: true}"), "3:20", "rule 1 'a bet', then.active", "got 'true'; write active alone"),
        (rule(then="{outcome: failed}"), "3:12", "rule 1 'a bet', then.outcome", "write declare: {outcome: …}"),
        (rule(then=""), "3:10", "rule 1 'a bet', then", "expected an action such as started, got nothing"),
        (rule(then="{}"), "3:5", "rule 1 'a bet', then", "expected an action, such as started"),
        (rule(then="[]"), "3:5", "rule 1 'a bet', then", "expected an action, such as started"),
        (rule(then="[[active]]"), "3:12", "rule 1 'a bet', then, action 1", "expected a mapping, got a list"),
        (rule(then="{concluded: faild}"), "3:23", "rule 1 'a bet', then.concluded", "did you mean failed?"),
        (
            rule(then="{concluded: undeclared}"),
            "3:23",
            "rule 1 'a bet', then.concluded",
            "concluded without an outcome",
        ),
        (rule(then="signalled"), "3:11", "rule 1 'a bet', then", "expected one of success, failure, got nothing"),
        (rule(then="{signalled: sucess}"), "3:23", "rule 1 'a bet', then.signalled", "did you mean success?"),
        (rule(then="declare"), "3:11", "rule 1 'a bet', then", "expected a mapping, got nothing"),
        (rule(then="{declare: {teem: x}}"), "3:22", "rule 1 'a bet', then.declare.teem", "did you mean team?"),
        (
            rule(then="{derive: {colour: x}}"),
            "3:21",
            "rule 1 'a bet', then.derive.colour",
            "expected one of experiment,",
        ),
        (rule(then="{declare: {title: [a]}}"), "3:22", "rule 1 'a bet', then.declare.title", "expected a text, got a"),
        (rule(then="{declare: {team: {team}}}"), "3:22", "rule 1 'a bet', then.declare.team", "quote it: '{team}'"),
        (rule(then="{declare: {team: _x}}"), "3:28", "rule 1 'a bet', then.declare.team", "got '_x'"),
        (
            rule(then="{declare: {outcome: good}}"),
            "3:31",
            "rule 1 'a bet', then.declare.outcome",
            "expected one of worked,",
        ),
        (rule(then="{declare: {risk: blod}}"), "3:28", "rule 1 'a bet', then.declare.risk", "did you mean bold?"),
        (rule(then="{declare: {url: acme}}"), "3:27", "rule 1 'a bet', then.declare.url", "expected a URL that begins"),
        (
            rule(then="{declare: {failure_category: inteligent}}"),
            "3:40",
            "rule 1 'a bet', then.declare.failure_category",
            "expected one of intelligent, basic, complex, got 'inteligent'; did you mean intelligent?",
        ),
        (rule(then="{declare: {title: '${}'}}"), "3:29", "rule 1 'a bet', then.declare.title", "got ''"),
        (rule(then="{declare: {excluded: '${a}'}}"), "3:32", "rule 1 'a bet', then.declare.excluded", "a fixed reason"),
        (
            rule("{label: 'x:{team}'}", "{declare: {team: '{teem}'}}"),
            "3:28",
            "rule 1 'a bet', then.declare.team",
            "{teem} is neither a trait of these observations nor captured by a pattern; did you mean team?",
        ),
        (rule("{kind: seen}", "proposed"), "3:11", "rule 1 'a bet', then", "proposed has no effect for the kinds that"),
        (
            rule("{title: x}", "[concluded]"),
            "3:5",
            "rule 1 'a bet', then",
            "concluded has no effect for the kinds that",
        ),
        # Wrong levels
        (rule(more="label: bet"), "4:5", "rule 1, label", "label is a condition; indent it under when"),
        (rule(more="ignore:"), "4:5", "rule 1, ignore", "ignore is an action; indent it under then"),
        (rule(more="teams: {a: b}"), "4:5", "rule 1, teams", "teams does not belong to a rule; write it without"),
        ("rules:\n- when:\n  label: bet\n  then: active\n", "3:3", "rule 1, label", "indent it under when"),
        ("rules:\n- when: {label: bet}\n  then:\n  active:\n", "4:3", "rule 1, active", "indent it under then"),
        ("rules:\n- wen: {kind: closed}\n  then: active\n", "2:3", "rule 1, wen", "did you mean when?"),
        ("rules:\n  - label: bet\n    then: started\n", "2:5", "rule 1, label", "indent it under when"),
        ("rules:\n  - when: {label: bet}\n    shipped:\n", "3:5", "rule 1, shipped", "indent it under then"),
        ("rules:\n- when:\n    kind: closed\n    then: active\n", "4:5", "rule 1, when.then", "write it beside when"),
        ("rules:\n- then:\n    active:\n    when: {label: x}\n", "4:5", "rule 1, then.when", "write it beside then"),
        ("rules:\n- name: x\nwhen: {label: x}\nthen: active\n", "3:1", "when", "when and then must be in a rule"),
        (
            "rules:\n- when: {label: x}\nthen: active\n",
            "3:1",
            "then",
            "then must be in a rule; indent as far as the text",
        ),
        ("when: {label: x}\nthen: active\n", "1:1", "when", "when and then must be in a rule"),
        ("rules:\n- when: {label: x}\n- then: active\n", "3:3", "rule 2", "this is the second half of rule 1"),
    ],
)
def test_a_fault_is_reported_once_with_its_place_and_the_expected_value(
    text: str, place: str, path: str, message: str
) -> None:
    fault = the_fault(text)
    assert (f"{fault.line}:{fault.column}", fault.path) == (place, path)
    assert message in fault.message


def test_a_condition_without_a_value_concerns_every_kind_that_could_have_it() -> None:
    assert the_fault(rule("{kind: [closed, merged], label: bug}")).message == (
        "no observation of kind closed or merged has a label; these kinds have one: seen, labelled, unlabelled"
    )


def test_every_fault_of_one_rule_is_reported() -> None:
    text = rule("{kind: seen, lable: x}", "[proposed, paint, {declare: {outcome: good, colour: red}}]", "where: 'a..b'")
    assert [(fault.line, fault.path) for fault in faults(text)] == [
        (2, "rule 1, when.lable"),
        (3, "rule 1, then"),
        (3, "rule 1, then, action 2"),
        (3, "rule 1, then, action 3, declare.outcome"),
        (3, "rule 1, then, action 3, declare.colour"),
        (4, "rule 1, where"),
    ]


def test_a_rule_without_conditions_and_actions_has_two_faults() -> None:
    assert [(fault.path, fault.message) for fault in faults(rule("[]", "[]"))] == [
        ("rule 1 'a bet', when", "expected a mapping, got a list"),
        ("rule 1 'a bet', then", "expected an action, such as started"),
    ]


@pytest.mark.parametrize("word", ["describe", "described"])
def test_the_act_that_is_no_action_of_rules_is_explained(word: str) -> None:
    assert the_fault(rule("{kind: closed}", word)).message == (
        f"{word} is not an action of rules; write declare: {{team: …}}, or another field"
    )


def test_the_value_of_a_misspelt_key_is_checked_too() -> None:
    text = "threshold:\n  search: soon\n" + rule("{lable: '{}'}", "{declaer: {outcome: faild}}")
    assert [(fault.line, fault.path) for fault in faults(text)] == [
        (1, "threshold"),
        (2, "threshold.search"),
        (4, "rule 1 'a bet', when.lable"),
        (4, "rule 1 'a bet', when.lable"),
        (5, "rule 1 'a bet', then.declaer"),
        (5, "rule 1 'a bet', then.declaer.outcome"),
    ]


def test_a_misspelt_key_beside_the_right_key_is_one_fault() -> None:
    assert the_fault(rule("{label: bet, lable: '{}'}")).path == "rule 1 'a bet', when.lable"
    assert len(faults(rule("{lable: bet, labl: bet}"))) == 2


def test_a_fault_has_no_faults_as_its_consequences() -> None:
    # The condition that captures `team`, and the kind that has a label, are misspelt. The actions are right.
    assert the_fault(rule("{lable: 'x:{team}'}", "[concluded, {declare: {team: '{team}'}}]")).line == 2
    assert the_fault(rule("{kind: labeled, label: 'x:{team}'}", "{declare: {team: '{team}'}}")).line == 2
    assert the_fault(rule("{kind: clozed, what: item}", "concluded")).line == 2
    assert the_fault(rule("{status_too: Done, project: ML}", "concluded")).line == 2


ONE_FAULT = [
    "when: {lable: bet}, then: active",
    "when: {label: '{'}, then: active",
    "when: {kind: exploded}, then: active",
    "when: {kind: closed, label: bet}, then: active",
    "when: {provider: githib, kind: closed}, then: active",
    "when: {kind: closed}, then: paint",
    "when: {kind: closed}, then: {concluded: good}",
    "when: {kind: closed}, then: {declare: {colour: red}}",
    "when: {kind: closed}, then: {declare: {outcome: good}}",
    "when: {kind: closed}, then: {declare: {team: '{teem}'}}",
    "when: {kind: seen}, then: concluded",
    "when: {kind: closed}, then: active, where: 'a..b'",
    "when: {kind: closed}, then: active, name: [a]",
    "when: {kind: closed}, then: active, label: bet",
    "when: {kind: closed}, then: active, then: active",
    "when: {kind: closed, then: active}",
    "when: {kind: closed}, then: !x active",
    "then: active, name: no when",
]


@given(st.lists(st.sampled_from(ONE_FAULT), min_size=1))
def test_the_faults_of_rules_neither_hide_each_other_nor_multiply(rules: list[str]) -> None:
    text = "colour: red\nthresholds: {a: soon}\nrules:\n" + "".join(f"  - {{{each}}}\n" for each in rules)
    assert [fault.line for fault in faults(text)] == [1, 2, *range(4, 4 + len(rules))]


@pytest.mark.parametrize("nested", ["[", "{", "- ", "? ", "[" * 1000 + "]" * 1000 + "\n# "])
def test_a_file_that_is_nested_too_deeply_is_refused(nested: str) -> None:
    assert faults(nested * 20_000 if "\n" not in nested else nested)


@pytest.mark.parametrize("text", ["rules: &a [*a]\n", "teams: &a {b: *a}\n", "thresholds: &a {*a : 7d}\n"])
def test_a_file_with_an_alias_that_contains_itself_is_refused(text: str) -> None:
    assert the_fault(text).line == 1


@given(
    st.text()
    | st.text(alphabet="rules:whentlab-[]{}&*!|>'\"#\n \t?<,%@1", max_size=60)
    | st.lists(
        st.sampled_from(["rules:\n", "- ", "  ", "when: ", "then: ", "{", "}", "label: ", "x\n", "declare: "])
    ).map("".join)
)
def test_any_text_is_read_as_a_rules_file_or_refused_with_faults_that_have_a_place(text: str) -> None:
    try:
        read_rules(RulesFile("own.yaml", text), DEFAULTS, PROVIDERS)
    except InvalidRules as error:
        found = error.faults
    else:
        found = [Fault("own.yaml", 1, 1, "", "no fault")]
    assert found
    lines = re.split("\r\n|[\n\r\x85\u2028\u2029]", text)
    assert all(1 <= fault.line <= len(lines) and fault.column >= 1 for fault in found)


@given(
    st.recursive(
        st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["rules", "when", "then", "label", "kind", "declare", "team", "teams", "keys"]),
                inner,
                max_size=3,
            )
        ),
    )
)
def test_the_messages_show_no_internal_names_of_the_code(value: object) -> None:
    try:
        read_rules(RulesFile("own.yaml", json.dumps(value)), DEFAULTS, PROVIDERS)
    except InvalidRules as error:
        said = " ".join(fault.message for fault in error.faults if "got '" not in fault.message)
    else:
        said = ""
    assert not re.search("Entry|Then|When|RulesDocument|Pattern|Template|regex|instance|dictionary|tuple|validat", said)


def test_a_fault_is_one_line_that_does_not_control_the_terminal() -> None:
    fault = the_fault('"a\\nb\\e[31m": 1')
    assert str(fault).startswith(
        r"own.yaml:1:1: a\nb\x1b[31m: a\nb\x1b[31m is not a key of a rules file; expected one of"
    )
