"""Bearer tokens, and the guard that checks them before an endpoint runs."""

import hmac
import ipaddress
import re
from collections.abc import Mapping
from hashlib import sha256
from types import MappingProxyType
from typing import Annotated, Literal

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr
from starlette.requests import HTTPConnection

from service.api.http.problems import TokenNotConfigured, TokenRefused
from service.api.http.sign_in_cookie import SignInCookie


class BearerScheme(HTTPBearer):
    """Reads the bearer token of a request.

    A request with two Authorization headers counts as a request without a token, because a proxy may have checked only
    one of the headers.
    """

    async def __call__(self, request: HTTPConnection) -> HTTPAuthorizationCredentials | None:
        headers = request.headers.getlist("authorization")
        return await super().__call__(request) if len(headers) == 1 else None


BEARER = "HTTPBearer"
"""The name that the OpenAPI document gives to the security scheme for bearer tokens."""

# nginx adds none of these headers by default, but speaks HTTP/1.0 to the service.
_FORWARDED = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "x-cluster-client-ip", "x-original-host"}
    | {"x-envoy-external-address", "cf-connecting-ip", "cf-ray", "true-client-ip", "fastly-client-ip"}
    | {"fly-client-ip", "x-azure-clientip"}
)
_FORWARDED_PREFIXES = ("x-forwarded", "x-original-forwarded")
# A name, an IPv4 address, or an IPv6 address in brackets; and perhaps a port.
_HOST = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9.-]+))(?::[0-9]*)?", re.IGNORECASE)

_bearer = BearerScheme(
    scheme_name=BEARER,
    auto_error=False,
    description=(
        "Send a token from LOOPGAUGE_API_TOKENS__READ, __WRITE or __ADMIN. To /metrics, send LOOPGAUGE_METRICS_TOKEN."
    ),
)
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class TokenGuard:
    """A FastAPI dependency that refuses requests without one of the accepted tokens.

    Args:
        tokens: the accepted tokens by the variable that configures each, with None for a token that is not configured.
        setting: the environment variable that configures a token; named in the answer if no token is configured.
        public: whether to let every request pass.
        allow_loopback: whether to let requests pass if their Host header names the loopback interface. Requests of a
            DNS rebinding attack do not pass, because their Host header names the attacker's domain. Requests that show
            that a reverse proxy forwarded them do not pass either.
        cookie: the cookie that allows requests that read; None if no cookie does.
        remedy: how else to get access, for the answer to a request without a token.
        others: the tokens of this service that allow other requests, by variable, so that a refusal can tell a caller
            who sends one of them from a caller who sends a wrong token.
    """

    def __init__(
        self,
        tokens: Mapping[str, SecretStr | None],
        setting: str,
        *,
        public: bool = False,
        allow_loopback: bool = False,
        cookie: SignInCookie | None = None,
        remedy: str = "",
        others: Mapping[str, SecretStr | None] = MappingProxyType({}),
    ) -> None:
        self._digests = _digests(tokens)
        self._others = _digests(others)
        self.setting = setting
        self._public = public
        self._allow_loopback = allow_loopback
        self._cookie = cookie
        self._remedy = remedy

    def accepts(self, credentials: HTTPAuthorizationCredentials | None) -> bool:
        """Whether the credentials contain one of the tokens."""
        return bool(_matching(credentials, self._digests))

    def __call__(self, request: Request, credentials: Credentials) -> None:
        """Let the request pass, or refuse it.

        Raises:
            TokenNotConfigured: no token is configured.
            TokenRefused: the token is missing or wrong.
        """
        if not self._needs_no_token(request):
            self.check(credentials)

    def access(self, request: HTTPConnection) -> Literal["open", "token", "closed"]:
        """Whether requests like this one pass without a token, with a token, or not at all."""
        if self._needs_no_token(request):
            return "open"
        return "token" if self._digests else "closed"

    def _needs_no_token(self, request: HTTPConnection) -> bool:
        if self._public or (self._allow_loopback and _is_local(request)):
            return True
        return self._cookie is not None and self._cookie.accepts(request)

    def check(self, credentials: HTTPAuthorizationCredentials | None) -> None:
        """Refuse credentials that contain none of the tokens.

        Raises:
            TokenNotConfigured: no token is configured.
            TokenRefused: the token is missing or wrong.
        """
        if self.accepts(credentials):
            return
        if not self._digests:
            exception = "; until then only direct requests to localhost are answered" if self._allow_loopback else ""
            raise TokenNotConfigured(f"set {self.setting} to allow this request{exception}")
        raise TokenRefused(
            f"{self._refusal(credentials)}; send the token in {' or '.join(self._digests)}{self._remedy}"
        )

    def _refusal(self, credentials: HTTPAuthorizationCredentials | None) -> str:
        if credentials is None:
            return "the request has no bearer token"
        if other := _matching(credentials, self._others):
            return f"the token in {other[0]} does not allow this request"
        return "the service does not have this bearer token"


def _digests(tokens: Mapping[str, SecretStr | None]) -> Mapping[str, bytes]:
    return {name: _digest(token.get_secret_value().encode()) for name, token in tokens.items() if token is not None}


def _matching(credentials: HTTPAuthorizationCredentials | None, digests: Mapping[str, bytes]) -> list[str]:
    """The variables of the tokens that the credentials contain."""
    # Starlette decodes headers as Latin-1; encode the token back into the bytes that were sent.
    digest = _digest(credentials.credentials.encode("latin-1")) if credentials else b""
    # Compare with every digest, in constant time, so that timing reveals nothing about the tokens.
    return [name for name, accepted in digests.items() if hmac.compare_digest(digest, accepted)]


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()


def _is_local(request: HTTPConnection) -> bool:
    """Whether a request names the loopback interface, and nothing in it shows that a proxy forwarded it.

    A proxy on this machine may replace the Host header, add no header of its own, and speak HTTP/1.1. The service
    cannot tell the requests of such a proxy from those of local clients.
    """
    if request.scope.get("http_version") == "1.0" or any(map(_shows_proxy, request.headers)):
        return False
    return _names_loopback(request.headers.get("host", ""))


def _shows_proxy(header: str) -> bool:
    """Whether proxies add a header, by its name in lower case."""
    return header in _FORWARDED or header.startswith(_FORWARDED_PREFIXES)


def _names_loopback(host: str) -> bool:
    """Whether a Host header names the loopback interface."""
    named = _HOST.fullmatch(host)
    if named is None:
        return False
    name = named[1] or named[2]
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
