"""The ways to mark an item are those of the rules in force."""

import pytest

from service.providers import PROVIDERS
from service.rules.document import RulesFile
from service.rules.matching import describe_marks
from service.rules.reader import read_rules


@pytest.mark.parametrize(
    ("when", "way"),
    [
        ("{label: bet}", "add the label bet"),
        ("{label: [bet, 'bet::*', spike]}", "add the label bet or spike"),
        ("{item_type: Spike}", "set its type to Spike"),
        ("{item_type: [Spike, Bet, Try]}", "set its type to Spike, Bet or Try"),
        ("{provider: jira, label: bet}", ""),
        ("{label: 'bet-*'}", ""),
        ("{branch: 'exp/*'}", ""),
        ("{label: bet, project: acme/app}", ""),
    ],
)
def test_the_labels_and_types_that_mark_an_item_are_named(when: str, way: str) -> None:
    own = f"extends: none\nrules: [{{when: {when}, then: {{declare: {{experiment: true}}}}}}]"
    assert describe_marks(read_rules(RulesFile("rules.yaml", own), [], PROVIDERS), "github") == way
