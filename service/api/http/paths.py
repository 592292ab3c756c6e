"""The paths of requests, as people and proxies write them: with a prefix, and with slashes at the end or doubled."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from starlette.requests import HTTPConnection
from starlette.types import Scope

_SLASHES = re.compile("/{2,}")
_BELOW_EXPERIMENT = ("/explain", "/events")


def canonical(scope: Scope, root_path: str) -> Scope:
    """A request with the path that the routes know: without the prefix, and without trailing and doubled slashes.

    `raw_path` stays as the client wrote it.

    Args:
        root_path: the prefix under which a proxy serves this service; empty if there is none. Some proxies remove the
            prefix, and others keep it.
    """
    path: str = scope["path"]
    if "//" in path or (path.endswith("/") and path != "/"):
        # A slash that the client encoded belongs to a name, but the decoded path does not show which slashes these are.
        path = unquote(_without_slashes(_raw_path(scope)))
    if root_path and (path == root_path or path.startswith(f"{root_path}/")):
        path = path[len(root_path) :] or "/"
    return scope if path == scope["path"] else {**scope, "path": path}


def climb(request: HTTPConnection) -> str:
    """The relative address that leads from a page to its siblings, such as `../` if the client wrote `/docs/`."""
    raw = _raw_path(request.scope)
    return "../" * (len(raw) - len(raw.rstrip("/")))


def _raw_path(scope: Mapping[str, Any]) -> str:
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    return raw.decode("latin-1")


def _without_slashes(raw: str) -> str:
    prefix, experiments, rest = raw.partition("/experiments/")
    name = rest.strip("/")
    if not name:
        return _collapsed(raw)
    last = next((each for each in _BELOW_EXPERIMENT if name.endswith(each)), "")
    # The name of an experiment may be an address, whose doubled slash must stay.
    name = name.removesuffix(last).rstrip("/")
    return f"{_SLASHES.sub('/', prefix).rstrip('/')}{experiments}{name}{last}"


def _collapsed(raw: str) -> str:
    collapsed = _SLASHES.sub("/", raw)
    return collapsed.rstrip("/") or "/"
