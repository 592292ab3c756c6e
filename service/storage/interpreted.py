"""The statements of one delivery, under the stored names of the projects that the delivery identifies."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from service.deliveries.observation import Identified
from service.lifecycle.aliases import Alias
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import LinkSet
from service.lifecycle.identities import Holding, item_holder, project_holder
from service.lifecycle.pushes import Push
from service.lifecycle.qualification import Qualifier
from service.lifecycle.references import Ref, join_project, split_project


@dataclass(frozen=True, slots=True)
class InterpretedDelivery:
    """The events, links, renames, pushes and ids that one delivery states.

    Attributes:
        events: each event with the name of the rule that made it.
    """

    delivery: UUID
    received_at: datetime
    events: Mapping[LifecycleEvent, str] = field(default_factory=dict)
    links: Sequence[LinkSet] = ()
    aliases: Sequence[Alias] = ()
    pushes: Sequence[Push] = ()
    identities: Sequence[Identified] = ()
    source: str = ""

    def qualified(self) -> "InterpretedDelivery":
        """The same statements, with the stored names of the projects that the delivery identifies."""
        qualifier = Qualifier(self._holders())
        return replace(
            self,
            events={qualifier.event(event): rule for event, rule in self.events.items()},
            links=[qualifier.link(link) for link in self.links],
            aliases=[qualifier.alias(alias) for alias in self.aliases],
            pushes=[replace(push, project=qualifier.subject(push.project)) for push in self.pushes],
        )

    def holdings(self) -> Iterator[Holding]:
        """The names of projects and items, as the delivery shows them. The name of an item is its stored name."""
        holders = self._holders()
        for one in self.identities:
            project, rest = split_project(one.name)
            holder = item_holder(*_key(one)) if rest else holders.get(one.name)
            if holder is not None:
                name = join_project(holders.get(Ref(project), project), rest) if rest else one.name
                yield Holding(holder, name, one.at, one.at.date(), frozenset({self.source}))

    def _holders(self) -> dict[Ref, Ref]:
        """The stored name of each project, by plain name. Tie-break: if a name has several ids, the last one counts."""
        identified = sorted(self.identities, key=lambda one: (one.at, one.site, one.id))
        holders = {one.name: project_holder(*_key(one)) for one in identified if not split_project(one.name)[1]}
        return {name: holder for name, holder in holders.items() if holder is not None}


def _key(identified: Identified) -> tuple[str, str, str]:
    return identified.name.partition(":")[0], identified.site, identified.id
