"""A misspelt label name is answered with the label that is probably meant; other labels are left alone."""

import pytest

from service.providers import PROVIDERS
from service.rules.document import RulesFile
from service.rules.label_names import LabelNames
from service.rules.reader import read_rules
from service.settings import packaged_rules


def labels_of(own: str = "") -> LabelNames:
    file = RulesFile("rules.yaml", own) if own else None
    return read_rules(file, packaged_rules(), PROVIDERS).labels


LABELS = labels_of()


@pytest.mark.parametrize(
    ("label", "why"),
    [
        *((word, "did you mean experiment?") for word in ("expriment", "Experiments", "expirement", "experimnet")),
        ("outcme:failed", "did you mean outcome:failed?"),
        ("Outcomes:Failed", "did you mean outcome:failed?"),
        ("otucome:faild", "did you mean outcome:failed?"),
        ("faliure:basic", "did you mean failure:basic?"),
        ("learning:shard", "did you mean learning:shared?"),
        ("learing:shared", "did you mean learning:shared?"),
        ("experiment:stated", "did you mean experiment:started?"),
        ("experment:started", "did you mean experiment:started?"),
        ("rsik:bold", "did you mean risk:bold?"),
        ("taem:search", "did you mean team:search?"),
        ("team:", "a value is missing after the colon"),
        ("outcome:", "expected one of worked, failed, inconclusive, abandoned"),
        ("learning:", "expected shared"),
        ("taem:jane@example.com", "did you mean team:…?"),
        *(
            (label, "did you mean learning:shared?")
            for label in ("learning-shared", "Learning_Shared", "learning/share")
        ),
        *(
            (label, "did you mean outcome:failed?")
            for label in ("outcome/failed", "outcome failed", "outcome -> failed")
        ),
        *(
            (label, "did you mean outcome:failed?")
            for label in ("outcome=faild", "outcome.failed", "outcome\uff1afailed")
        ),
        ("failure intelligent", "did you mean failure:intelligent?"),
        ("failure - basic", "did you mean failure:basic?"),
        ("risk-bold", "did you mean risk:bold?"),
        ("experiment-running", "did you mean experiment:running?"),
        ("experiment/started", "did you mean experiment:started?"),
        ("team/search", "did you mean team:search?"),
        ("team=ml platform", "did you mean team:ml platform?"),
        ("team/@jane", "did you mean team:…?"),
    ],
)
def test_a_misspelt_name_is_answered_with_the_label_that_a_rule_reads(label: str, why: str) -> None:
    assert LABELS.explain("github", label) == why


@pytest.mark.parametrize(
    "label",
    [
        *("experiment", "outcome:failed", "team:search", "learning:shared", "outcome:faild"),
        *("experience", "experimental", "experts", "experiment-platform", "bug", "", ":", "::", "team", "teams"),
        *("experience:good", "experiment:pricing", "learning:python", "learning", "outcome", "failures"),
        *("risk", "disk:full", "risks:high", "risk-free", "term:search", "steam:deck", "teams:search", "theme:dark"),
        *("risk-low", "team-lead", "team search", "team_events", "learning-path", "failure-mode", "outcome-metrics"),
        *(
            "experiment/api",
            "experiment-plan",
            "failure rate",
            "riskbold",
            "learningshared",
            "outcomes",
            "team/",
            "risk/",
        ),
        *("priority:high", "area:metrics", "failure-mode:basic", "x" * 1_000, "teem:" + "x" * 1_000),
    ],
)
def test_a_label_that_a_rule_reads_or_that_has_a_meaning_of_its_own_is_left_alone(label: str) -> None:
    assert LABELS.explain("github", label) == ""


@pytest.mark.parametrize(
    ("rule", "label"),
    [
        ("{when: {label: expriment}, then: started}", "expriment"),
        ("{when: {label: 'outcme:{x}'}, then: {declare: {outcome: '{x}'}}}", "outcme:failed"),
        ("{when: {label: '*:failed'}, then: {concluded: failed}}", "outcme:failed"),
    ],
)
def test_a_label_that_a_rule_of_the_file_reads_is_not_misspelt(rule: str, label: str) -> None:
    assert LABELS.explain("github", label) != ""
    assert labels_of(f"rules: [{rule}]").explain("github", label) == ""


def test_only_labels_that_the_rules_read_are_proposed() -> None:
    own = "extends: none\nrules: [{when: {label: hypothesis}, then: {declare: {experiment: true}}}]"
    assert labels_of(own).explain("github", "hypotesis") == "did you mean hypothesis?"
    assert labels_of(own).explain("github", "expriment") == ""


def test_a_label_that_is_read_for_other_providers_only_is_not_proposed() -> None:
    assert LABELS.explain("jira", "experiment:stated") == ""
    assert LABELS.explain("gitlab", "experiment:stated") == "did you mean experiment:started?"
