"""Who may read what: bearer tokens."""

import hmac
import ipaddress
from collections.abc import Sequence
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from service.api.http.problems import DoorClosed, TokenRefused


class _Bearer(HTTPBearer):
    """The bearer token of a request; two are none, since a proxy before us may have looked at the other."""

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        shown = request.headers.getlist("authorization")
        return await super().__call__(request) if len(shown) == 1 else None


BEARER = "HTTPBearer"
"""The name of this security scheme in the OpenAPI document."""

_bearer = _Bearer(
    scheme_name=BEARER,
    auto_error=False,
    description="One of LOOPGAUGE_API_TOKENS__READ, __WRITE, __ADMIN; at /metrics, LOOPGAUGE_METRICS_TOKEN.",
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class Door:
    """A dependency that lets only those in who know one of its tokens.

    Args:
        tokens: the tokens that open it; those that are None are not configured.
        setting: the variable to set, for the answer where no token is configured.
        open_to_all: whether everybody may come in.
        open_to_this_machine: whether those may come in who call this machine by a name that only it has. A page from
            elsewhere, whose name was made to lead here, and a proxy that passes on what strangers ask, use another.
    """

    def __init__(
        self,
        tokens: Sequence[SecretStr | None],
        setting: str,
        *,
        open_to_all: bool = False,
        open_to_this_machine: bool = False,
    ) -> None:
        self._digests = [_digest(token.get_secret_value().encode()) for token in tokens if token is not None]
        self._setting = setting
        self._open = open_to_all
        self._open_here = open_to_this_machine

    def opens_for(self, credentials: HTTPAuthorizationCredentials | None) -> bool:
        """Whether these credentials are enough."""
        # Headers are bytes, and were decoded as Latin-1.
        shown = _digest(credentials.credentials.encode("latin-1")) if credentials else b""
        # All are compared, and digests have one length: how long it takes tells nothing of any.
        return sum(hmac.compare_digest(shown, digest) for digest in self._digests) > 0

    def __call__(self, request: Request, credentials: Credentials) -> None:
        """Let the request pass.

        Raises:
            DoorClosed: no token is configured.
            TokenRefused: the token is missing or wrong.
        """
        if self._open or (self._open_here and _names_this_machine(request.headers.get("host", ""))):
            return
        self.check(credentials)

    def check(self, credentials: HTTPAuthorizationCredentials | None) -> None:
        """See that the credentials are enough.

        Raises:
            DoorClosed: no token is configured.
            TokenRefused: the token is missing or wrong.
        """
        if self.opens_for(credentials):
            return
        if not self._digests:
            here = "; until then only requests to localhost are answered" if self._open_here else ""
            raise DoorClosed(f"this is closed until {self._setting} is set{here}")
        raise TokenRefused


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


def _names_this_machine(host: str) -> bool:
    """Whether a Host header names the loopback interface."""
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
