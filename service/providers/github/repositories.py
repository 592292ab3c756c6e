"""Repositories that are renamed or transferred."""

from collections.abc import Sequence
from datetime import UTC, datetime

from service.deliveries.decoding import decode, utc
from service.deliveries.observation import Nothing, Observation, Renamed
from service.lifecycle.aliases import Alias
from service.lifecycle.references import branches, project
from service.providers.github.identities import identified
from service.providers.github.payloads import RepositoryEvent

# A rename without a time gets this time, so that every rename with a time takes precedence.
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


def read_repository(payload: bytes) -> Sequence[Observation] | Nothing:
    event = decode(payload, RepositoryEvent)
    before, now = _old_full_name(event), event.repository.full_name
    updated_at = event.repository.updated_at
    known = identified(event.repository, utc(updated_at)) if updated_at else []
    if before is None:
        return Nothing(f"a repository that is {event.action} says nothing about experiments", tuple(known))
    at = utc(updated_at) if updated_at else _UNDATED
    pairs = ((project("github", before), project("github", now)), (branches(before), branches(now)))
    return [*(Renamed(Alias(was, becomes, at)) for was, becomes in pairs), *known]


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
