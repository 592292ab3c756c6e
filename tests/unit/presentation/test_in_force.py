"""The advice to declare a field is an accepted command and an accepted label, and moves that field."""

import re

import pytest

from service.deliveries.observation import Commented, Observed
from service.lifecycle.events import Declared
from service.lifecycle.references import Ref
from service.presentation.in_force import REMEDIES, Field
from service.rules.apply import apply_rules
from tests.support.builders import NO_PAYLOAD, at
from tests.support.road import RULES

ITEM = Ref("github:acme/app#45")


@pytest.mark.parametrize("field", REMEDIES)
def test_the_advised_label_and_the_advised_comment_declare_the_field(field: Field) -> None:
    said = re.fullmatch(r"add the label (\S+), or comment (/experiment .+)", REMEDIES[field])
    assert said
    labelled = Observed("labelled", ITEM, at(3), {"label": (said[1],)})
    for observation in (labelled, Commented(ITEM, at(3), said[2], insider=True)):
        interpreted = apply_rules(RULES, "github", [observation], NO_PAYLOAD)
        events = [statement.event for statement in interpreted.statements]
        declared = {event.field for event in events if isinstance(event, Declared)}
        assert ("shared" if field == "learning_url" else field) in declared
