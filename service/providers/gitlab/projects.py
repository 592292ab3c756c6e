"""Projects: what they are called, and those that are renamed or transferred."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

from service.deliveries.decoding import decode, read_time
from service.deliveries.delivery import UnreadableDelivery
from service.deliveries.observation import Observation, Renamed
from service.lifecycle.aliases import Alias
from service.lifecycle.references import branches, project
from service.providers.gitlab.payloads import Project, RenameEvent

_ADDRESS = re.compile(r"https?://[^/\s]+/([^\s?#]+)")
_PAGE = re.compile(r"([^\s?#]+?)/(?:-/)?(?:issues|work_items|merge_requests)/[0-9]{1,18}")
# A rename whose time is not told yields to any that is dated.
_UNDATED = datetime(1970, 1, 1, tzinfo=UTC)


def renamed(payload: bytes) -> Sequence[Observation]:
    event = decode(payload, RenameEvent)
    before, now = event.old_path_with_namespace, event.path_with_namespace
    at = read_time(event.updated_at, "$.updated_at") if event.updated_at else _UNDATED
    pairs = ((project("gitlab", before), project("gitlab", now)), (branches(before), branches(now)))
    return [Renamed(Alias(was, becomes, at)) for was, becomes in pairs]


def path(*said: Project | None) -> str:
    """The path of a project with its groups, as in `acme/tools/app`, by the first that tells it.

    Raises:
        UnreadableDelivery: none tells it.
    """
    found = known_path(*said)
    if found is None:
        missing = "Object missing required field `path_with_namespace` - at `$.project`"
        raise UnreadableDelivery(f"a field is missing or malformed: {missing}")
    return found


def known_path(*said: Project | None) -> str | None:
    """The path of a project by the first that tells it, if one does; the address that old payloads give is as good."""
    known = [one for one in said if one is not None]
    paths = [one.path_with_namespace for one in known] + [_path_of(one.web_url or one.homepage) for one in known]
    return next((path for path in paths if path), None)


def root(said: Project | None) -> str:
    """What the addresses of an instance's projects begin with, as in `https://gitlab.acme.example/`, or nothing."""
    address = (said.web_url or said.homepage or "").rstrip("/") if said else ""
    own = said.path_with_namespace or _path_of(address) if said else None
    return address[: -len(own)] if own and address.lower().endswith(f"/{own.lower()}") else ""


def of_page(address: str, root: str) -> str | None:
    """The path of the project to which the page of an issue or merge request belongs, if it is of this instance."""
    if not root or not address.lower().startswith(root.lower()):
        return None
    found = _PAGE.match(address, len(root))
    return found[1] if found else None


def _path_of(address: str | None) -> str | None:
    found = _ADDRESS.match(address or "")
    return found[1].rstrip("/") if found else None
