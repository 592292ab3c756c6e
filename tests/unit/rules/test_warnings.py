"""A valid rules file can have warnings: about rules with the same name, and rules that never take effect."""

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from service.deliveries.observation import Observed
from service.lifecycle.references import Ref
from service.providers import PROVIDERS
from service.rules.apply import apply_rules
from service.rules.document import RulesFile
from service.rules.reader import read_rules, warn_about
from service.settings import packaged_rules
from tests.support.builders import NO_PAYLOAD, at


def warnings(*rules: str) -> list[str]:
    text = "rules:\n" + "".join(f"  - {{{rule}}}\n" for rule in rules)
    return [str(warning) for warning in warn_about(RulesFile("own.yaml", text), PROVIDERS)]


def test_the_packaged_rules_have_no_warnings() -> None:
    assert [warning for file in packaged_rules() for warning in warn_about(file, PROVIDERS)] == []


def test_a_name_that_two_rules_have_is_a_warning() -> None:
    (warning,) = warnings(
        "name: a bet, when: {label: bet}, then: active",
        "when: {label: wager}, then: active",
        "name: a bet, when: {label: gamble}, then: active",
    )
    assert warning.startswith("own.yaml:4:12: rule 3 'a bet', name: rule 1 has this name too; answers show rules by")


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("when: {kind: closed}, then: concluded", "when: {kind: closed, reason: done}, then: {concluded: abandoned}"),
        ("when: {kind: closed}, then: concluded", "when: {kind: closed}, where: 'a', then: {concluded: worked}"),
        ("when: {kind: [closed, merged]}, then: active", "when: {provider: jira, kind: closed}, then: active"),
        (
            "when: {provider: [jira, github], kind: closed}, then: active",
            "when: {provider: jira, kind: closed}, then: active",
        ),
        ("when: {label: [Bet, x]}, then: {declare: {team: a}}", "when: {label: bet}, then: {declare: {team: b}}"),
        ("when: {label: '*'}, then: {declare: {team: a}}", "when: {label: 'x:*'}, then: {declare: {team: b}}"),
        ("when: {kind: closed}, then: ignore", "when: {kind: closed}, then: [concluded, {declare: {team: a}}]"),
        ("when: {kind: closed}, then: [active, concluded]", "when: {kind: closed}, then: concluded"),
    ],
)
def test_a_rule_whose_decisions_an_earlier_rule_always_takes_is_a_warning(earlier: str, later: str) -> None:
    assert warnings(earlier, later) == [
        "own.yaml:3:5: rule 2: this rule never takes effect, because rule 1 matches the same observations first"
    ]
    assert warnings(later, earlier) == [] or earlier.split("then", maxsplit=1)[0] == later.split("then", maxsplit=1)[0]


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("when: {kind: closed}, where: 'a', then: concluded", "when: {kind: closed}, then: concluded"),
        ("when: {provider: jira, kind: closed}, then: active", "when: {kind: closed}, then: active"),
        ("when: {provider: jira, kind: closed}, then: active", "when: {provider: github, kind: closed}, then: active"),
        ("when: {kind: closed}, then: concluded", "when: {kind: [closed, merged]}, then: concluded"),
        ("when: {kind: closed}, then: concluded", "when: {kind: closed}, then: [concluded, active]"),
        ("when: {kind: closed}, then: {declare: {team: a}}", "when: {kind: closed}, then: {derive: {team: a}}"),
        ("when: {label: bet}, then: {declare: {team: a}}", "when: {label: 'b*'}, then: {declare: {team: b}}"),
        (
            "when: {label: bet, what: item}, then: {declare: {team: a}}",
            "when: {label: bet}, then: {declare: {team: b}}",
        ),
        # Each of these two rules decides: one for the label, the other for the observation.
        ("when: {kind: seen}, then: {declare: {team: a}}", "when: {kind: seen, label: x}, then: {declare: {team: b}}"),
        # A value that varies may be no valid outcome.
        (
            "when: {kind: closed}, then: {declare: {outcome: '{reason}'}}",
            "when: {kind: closed}, then: {declare: {outcome: failed}}",
        ),
        ("when: {kind: reopened}, then: {withdraw: {team: a}}", "when: {kind: reopened}, then: {withdraw: {team: b}}"),
    ],
)
def test_a_rule_that_may_take_effect_is_no_warning(earlier: str, later: str) -> None:
    assert warnings(earlier, later) == []


_PLACES = {
    "provider": st.sampled_from(["jira", "github", "[jira, github]"]),
    "what": st.sampled_from(["item", "[item, change]"]),
}
WHENS = st.fixed_dictionaries(
    {"kind": st.sampled_from(["closed", "[closed, labelled]"])}, optional=_PLACES
) | st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["labelled", "[labelled, seen]"]),
        "label": st.sampled_from(["bet", "Bet", "[bet, x]", "'*'", "'b*'"]),
    },
    optional=_PLACES,
)
THENS = st.lists(
    st.sampled_from(
        [
            "concluded",
            "active",
            "ignore",
            "{declare: {risk: bold}}",
            "{declare: {risk: safe}}",
            "{declare: {risk: '{what}'}}",
            "{derive: {risk: bold}}",
        ]
    ),
    min_size=1,
    max_size=2,
)
RULES = st.tuples(WHENS, THENS, st.booleans())
OBSERVED = st.builds(
    lambda kind, labels, what: Observed(kind, Ref("jira:ML-12"), at(3), {"label": tuple(labels), "what": (what,)}),
    st.sampled_from(["closed", "labelled", "seen"]),
    st.lists(st.sampled_from(["bet", "BET", "x", "bees"]), unique=True),
    st.sampled_from(["item", "change"]),
)


@given(st.lists(RULES, min_size=2, max_size=3), st.lists(OBSERVED, min_size=1, max_size=3))
def test_a_rule_with_a_warning_changes_nothing(
    drawn: list[tuple[dict[str, str], list[str], bool]], observed: list[Observed]
) -> None:
    written = []
    for when, then, where in drawn:
        conditions = ", ".join(f"{key}: {value}" for key, value in when.items())
        written.append(f"  - {{when: {{{conditions}}}, {'where: a, ' if where else ''}then: [{', '.join(then)}]}}")
    head = "extends: none\nrules:\n"
    whole = RulesFile("own.yaml", head + "\n".join(written))
    useless = {warning.line - 3 for warning in warn_about(whole, PROVIDERS)}
    event("warned" if useless else "no warning")
    rest = RulesFile("own.yaml", head + "\n".join(rule for index, rule in enumerate(written) if index not in useless))
    said = [apply_rules(read_rules(file, [], PROVIDERS), "jira", observed, NO_PAYLOAD).events for file in (whole, rest)]
    assert said[0] == said[1]
