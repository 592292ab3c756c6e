"""The commands and labels that are advised for a field are accepted, and set that field."""

import pytest

from service.deliveries.observation import Commented, Observed
from service.lifecycle.acts import COMMANDS
from service.lifecycle.events import Declared
from service.lifecycle.references import Ref
from service.presentation.in_force import REMEDIES, Field
from service.rules.apply import apply_rules
from tests.support.builders import NO_PAYLOAD, at
from tests.support.road import RULES

ITEM = Ref("github:acme/app#45")


@pytest.mark.parametrize("field", REMEDIES)
def test_the_advised_label_and_the_advised_comment_declare_the_field(field: Field) -> None:
    advised = REMEDIES[field]
    labelled = Observed("labelled", ITEM, at(3), {"label": (advised.label,)})
    for observation in (labelled, Commented(ITEM, at(3), f"/experiment {advised.comment}", insider=True)):
        interpreted = apply_rules(RULES, "github", [observation], NO_PAYLOAD)
        events = [statement.event for statement in interpreted.statements]
        declared = {event.field for event in events if isinstance(event, Declared)}
        assert ("shared" if field == "learning_url" else field) in declared


@pytest.mark.parametrize("field", REMEDIES)
def test_a_comment_is_advised_only_if_the_tool_may_give_commands(field: Field) -> None:
    said = REMEDIES[field].advise("jira:ML-12", takes_comments=True)
    assert said.endswith(f", or comment /experiment {REMEDIES[field].comment}")
    said = REMEDIES[field].advise("jira:ML-12", takes_comments=False)
    assert "/experiment" not in said
    assert said.startswith(f"add the label {REMEDIES[field].label}")


def test_the_advised_command_names_the_experiment_and_is_a_command_of_the_command_line() -> None:
    said = {field: remedy.advise("jira:ML-12", takes_comments=False) for field, remedy in REMEDIES.items()}
    assert said["failure_category"] == (
        "add the label failure:intelligent, or run `loopgauge classify jira:ML-12 intelligent`"
    )
    assert said["learning_url"] == "add the label learning:shared, or run `loopgauge share jira:ML-12`"
    assert said["team"] == "add the label team:search"
    for remedy in filter(lambda one: one.command, REMEDIES.values()):
        assert remedy.command.split()[0] in COMMANDS
