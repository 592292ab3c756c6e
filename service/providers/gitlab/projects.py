"""Projects: their paths, URLs and ids, and their renames, transfers and deletions."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from service.deliveries.containers import Happened, What, happened_to
from service.deliveries.decoding import decode, read_time
from service.deliveries.delivery import UnreadableDelivery
from service.deliveries.identities import identify, site_of
from service.deliveries.observation import Identified, Nothing, Observation, Renamed
from service.lifecycle.aliases import Alias
from service.lifecycle.references import branches, project
from service.providers.gitlab.payloads import ContainerEvent, NamespaceRenameEvent, Project, RenameEvent

_ADDRESS = re.compile(r"https?://[^/\s]+/([^\s?#]+)")
_PAGE = re.compile(r"([^\s?#]+?)/(?:-/)?(?:issues|work_items|merge_requests)/[0-9]{1,18}")
# A rename without a time gets this time, so that every rename with a time takes precedence.
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


def read_rename(payload: bytes) -> Sequence[Observation]:
    event = decode(payload, RenameEvent)
    at = read_time(event.updated_at, "$.updated_at") if event.updated_at else _UNDATED
    return _renamed(event.old_path_with_namespace, event.path_with_namespace, at)


def read_namespace_rename(payload: bytes) -> Sequence[Observation] | Nothing:
    """Read the rename of a group, or of the owner of personal projects: all projects below it get new paths."""
    event = decode(payload, NamespaceRenameEvent)
    before, now = event.old_full_path or event.old_username, event.full_path or event.username
    if not before or not now or before == now:
        return Nothing("the group or owner got no new path")
    at = read_time(event.updated_at, "$.updated_at") if event.updated_at else _UNDATED
    return _renamed(before, now, at)


def _renamed(before: str, now: str, at: datetime) -> list[Observation]:
    pairs = ((project("gitlab", before), project("gitlab", now)), (branches(before), branches(now)))
    return [Renamed(Alias(was, becomes, at)) for was, becomes in pairs]


def read_project(payload: bytes, happened: Happened) -> Sequence[Observation] | Nothing:
    event = decode(payload, ContainerEvent)
    return _read_container("project", event, event.path_with_namespace, happened)


def read_group(payload: bytes, happened: Happened) -> Sequence[Observation] | Nothing:
    event = decode(payload, ContainerEvent)
    return _read_container("group", event, event.full_path or event.path, happened)


def _read_container(
    what: What, event: ContainerEvent, name: str | None, happened: Happened
) -> Sequence[Observation] | Nothing:
    written = (("$.created_at", event.created_at), ("$.updated_at", event.updated_at))
    at = max((read_time(text, where) for where, text in written if text), default=None)
    if not name or at is None:
        return Nothing(f"the {what} that was {happened} has no path or no time in the payload")
    return happened_to(what, name, happened, at, project("gitlab", name), branches(name))


def identified(project_: Project | None, at: datetime, other_id: object = None) -> list[Identified]:
    """The statement that a project's path has an id. The id stays when the project, or a group of it, is renamed.

    Args:
        at: the newest time in the payload: the project has the path at this time.
        other_id: the id as another field of the payload tells it.
    """
    name = known_path(project_)
    if project_ is None or name is None:
        return []
    site = site_of(project_.web_url or project_.homepage)
    return identify(project("gitlab", name), site, project_.id or other_id, at)


def path(*candidates: Project | None) -> str:
    """The path of a project with its groups, such as `acme/tools/app`, from the first candidate that contains a path.

    Raises:
        UnreadableDelivery: no candidate contains a path.
    """
    known = known_path(*candidates)
    if known is None:
        missing = "missing required field `path_with_namespace` - at `$.project`"
        raise UnreadableDelivery(f"a field is missing or malformed: {missing}")
    return known


def known_path(*candidates: Project | None) -> str | None:
    """The path of a project, from the first candidate that has one.

    Payloads of old GitLab versions contain only URLs, so if no candidate has a path, read it from a URL.
    """
    projects = [project for project in candidates if project is not None]
    paths = [project.path_with_namespace for project in projects]
    paths += [_path_of(project.web_url or project.homepage) for project in projects]
    return next((path for path in paths if path), None)


def root(project: Project | None) -> str:
    """The URL prefix of all projects on an instance, such as `https://gitlab.acme.example/`; empty if unknown."""
    address = (project.web_url or project.homepage or "").rstrip("/") if project else ""
    own = project.path_with_namespace or _path_of(address) if project else None
    return address[: -len(own)] if own and address.lower().endswith(f"/{own.lower()}") else ""


def project_of_page(address: str, root: str) -> str | None:
    """The path of the project in the URL of an issue or merge request, if the URL is on this instance."""
    if not root or not address.lower().startswith(root.lower()):
        return None
    found = _PAGE.match(address, len(root))
    return found[1] if found else None


def _path_of(address: str | None) -> str | None:
    found = _ADDRESS.match(address or "")
    return found[1].rstrip("/") if found else None
