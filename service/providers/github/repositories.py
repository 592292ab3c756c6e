"""Repositories that are renamed, transferred, deleted, archived, or taken out of the archive."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from service.deliveries.containers import Happened, happened_to
from service.deliveries.decoding import utc
from service.deliveries.observation import Nothing, Observation, Renamed
from service.lifecycle.aliases import Alias
from service.lifecycle.references import branches, project
from service.providers.github.identities import identified
from service.providers.github.payloads import ChangedRepository, RepositoryEvent
from service.providers.github.shapes import check_repository, decode_event

_HAPPENED: Mapping[str, Happened] = {
    "archived": "archived",
    # A repository that is created anew under the name of a deleted one, without ids in the payloads, is another one.
    "created": "restored",
    "deleted": "deleted",
    "unarchived": "unarchived",
}
_ENDS: frozenset[Happened] = frozenset({"deleted", "archived"})
# A rename without a time gets this time, so that every rename with a time takes precedence.
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


def read_repository(payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode_event("repository", payload, RepositoryEvent)
    before, now, changed_at = _old_full_name(event), event.repository.full_name, _changed_at(event.repository)
    known = identified(event.repository, changed_at) if changed_at else []
    if happened := _HAPPENED.get(event.action):
        if happened in _ENDS:
            check_repository(payload)
        if changed_at is None:
            return Nothing(f"the repository is {event.action}, and the payload names no time")
        gone = happened_to("project", now, happened, changed_at, project("github", now), branches(now))
        return [*gone, *known]
    if before is None:
        return Nothing(f"a repository that is {event.action} says nothing about experiments", tuple(known))
    at = changed_at or _UNDATED
    pairs = ((project("github", before), project("github", now)), (branches(before), branches(now)))
    return [*(Renamed(Alias(was, becomes, at)) for was, becomes in pairs), *known]


def _changed_at(repository: ChangedRepository) -> datetime | None:
    """The newest time in the payload. A push may be newer than the last update of a repository that is deleted."""
    times = (repository.created_at, repository.updated_at, repository.pushed_at)
    return max((utc(at) for at in times if isinstance(at, datetime)), default=None)


def _old_full_name(event: RepositoryEvent) -> str | None:
    """The previous name of a repository that was renamed or transferred."""
    owner, _, name = event.repository.full_name.partition("/")
    changes = event.changes
    if event.action == "renamed" and changes and changes.repository and changes.repository.name:
        return f"{owner}/{changes.repository.name.old}"
    if event.action == "transferred" and changes and changes.owner:
        account = changes.owner.old.organization or changes.owner.old.user
        return f"{account.login}/{name}" if account else None
    return None
