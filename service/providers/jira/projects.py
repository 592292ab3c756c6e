"""Projects that are created, changed, deleted, restored, archived, or taken out of the archive."""

from collections.abc import Mapping, Sequence

from service.deliveries.containers import Happened, happened_to
from service.deliveries.decoding import decode, from_unix
from service.deliveries.identities import identify
from service.deliveries.observation import Nothing, Observation
from service.lifecycle.references import Ref
from service.providers.jira.payloads import ProjectEvent
from service.providers.jira.references import is_project_key
from service.providers.jira.tickets import site_of_ticket

_HAPPENED: Mapping[str, Happened] = {
    "project_archived": "archived",
    # A project that is created anew under the key of a deleted one, without ids in the payloads, is another one.
    "project_created": "restored",
    "project_deleted": "deleted",
    "project_restored_archived": "unarchived",
    "project_restored_deleted": "restored",
    # The project is in the trash, from which it can be restored.
    "project_soft_deleted": "deleted",
}


EVENTS = frozenset({*_HAPPENED, "project_updated"})
"""The events of projects that loopgauge reads."""


def read_project_event(name: str, payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode(payload, ProjectEvent)
    key, happened = (event.project.key or "").upper(), _HAPPENED.get(name)
    if not is_project_key(key) or event.timestamp is None:
        return Nothing("the event of a project has no key of a project or no time")
    subject, at = Ref(f"jira:{key}"), from_unix(event.timestamp, "$.timestamp")
    known = identify(subject, site_of_ticket(event.project.address), event.project.id, at)
    if happened is None:
        return Nothing(f"Jira's `{name}` events say nothing about experiments", tuple(known))
    return [*happened_to("project", key, happened, at, subject), *known]
