"""The observations that tests expect: of an item, its change and the branch of this change, in the project acme/app."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service.deliveries.observation import (
    Identified,
    Kind,
    Linked,
    Looked,
    Mentioned,
    Nothing,
    Observation,
    Observed,
    Trait,
)
from service.lifecycle.references import Ref


def traits(**known: Any) -> dict[Trait, tuple[str, ...]]:
    """Traits by name. A single value needs no tuple."""
    named: dict[Any, tuple[str, ...]] = {
        trait: value if isinstance(value, tuple) else (value,) for trait, value in known.items()
    }
    return named


def without_ids(observed: Sequence[Observation] | Nothing) -> Sequence[Observation] | Nothing:
    """Observations without the ids and the state that the payload tells.

    `tests/unit/providers/test_identities.py` tests the ids, and `tests/unit/providers/test_states.py` the states.
    """
    if isinstance(observed, Nothing):
        return Nothing(observed.reason)
    return [one for one in observed if not isinstance(one, Identified | Looked)]


def ids_in(observed: Sequence[Observation] | Nothing) -> list[Identified]:
    """The ids that a payload tells."""
    told: Iterable[Observation] = observed.identities if isinstance(observed, Nothing) else observed
    return [one for one in told if isinstance(one, Identified)]


@dataclass(frozen=True, slots=True)
class Forge:
    """The subjects of a forge, which are item 45, change 7 and the branch `cache-answers` of the change."""

    name: str

    @property
    def item(self) -> Ref:
        return Ref(f"{self.name}:acme/app#45")

    @property
    def change(self) -> Ref:
        return Ref(f"{self.name}:acme/app!7")

    def of_item(self, kind: Kind, when: datetime, **known: Any) -> Observed:
        return Observed(kind, self.item, when, traits(what="item", project="acme/app", **known))

    def of_change(self, kind: Kind, when: datetime, **known: Any) -> Observed:
        place = traits(what="change", project="acme/app", branch="cache-answers", **known)
        return Observed(kind, self.change, when, place)

    def linked(self, evidence: Ref, channel: str, when: datetime, *targets: Ref) -> Linked:
        """A link that a payload of the change states."""
        return Linked(evidence, channel, self.change, frozenset(targets), when)

    def texts(self, when: datetime) -> list[Observation]:
        """The observations of the change's body, branch and title."""
        return [
            self.linked(self.change, "body", when, self.item),
            Mentioned(self.change, "branch", "cache-answers", when),
            Mentioned(self.change, "title", "Cache answers", when),
        ]
