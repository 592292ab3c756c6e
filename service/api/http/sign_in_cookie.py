"""The cookie with which a browser reads without sending the read token.

The cookie proves that the browser once had the token, and does not contain it: a browser sends the cookies of a host to
every port of this host, so another service on the same machine sees them.
"""

import hmac
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from pydantic import SecretStr
from starlette.requests import HTTPConnection
from starlette.responses import Response

_LIFETIME = timedelta(days=30)
_READING = ("GET", "HEAD")


class SignInCookie:
    """Issues cookies, and accepts them for requests that only read.

    A cookie is the time at which it expires, and an HMAC of this time under a key derived from the read token. Another
    token makes all cookies invalid.

    Args:
        token: the read token.
        path: the path of the service behind its proxy; browsers send the cookie to the paths below it only.
        clock: returns the current time, UTC.
    """

    def __init__(self, token: SecretStr, path: str, clock: Callable[[], datetime]) -> None:
        secret = token.get_secret_value().encode()
        self._token = secret
        self._key = hmac.digest(secret, b"loopgauge: the key of cookies", "sha256")
        # Services on several ports of one host share their cookies, so each service gives its cookie another name.
        self._name = f"loopgauge_{hmac.digest(secret, b'loopgauge: the name of cookies', 'sha256').hex()[:8]}"
        self._path = path or "/"
        self._clock = clock

    def admits(self, token: str) -> bool:
        """Whether a text is the read token."""
        return hmac.compare_digest(
            hmac.digest(self._key, token.encode("utf-8", "surrogateescape"), "sha256"),
            hmac.digest(self._key, self._token, "sha256"),
        )

    def issue(self, response: Response, *, secure: bool) -> None:
        """Add a cookie to a response.

        Args:
            secure: whether the browser may send the cookie over HTTPS only.
        """
        expires = str(int((self._clock() + _LIFETIME).timestamp()))
        response.set_cookie(
            self._name,
            f"{expires}.{self._proof(expires)}",
            max_age=int(_LIFETIME.total_seconds()),
            path=self._path,
            secure=secure,
            httponly=True,
            # `strict` would sign out a visitor who follows a link from another site. Reads change nothing, so a link
            # that another site makes the visitor follow does no harm.
            samesite="lax",
        )

    def accepts(self, request: HTTPConnection) -> bool:
        """Whether a request reads, and has a valid cookie."""
        if request.scope.get("method") not in _READING:
            return False
        return any(self._is_valid(value) for value in _values(request, self._name))

    def _is_valid(self, value: str) -> bool:
        expires, _, proof = value.partition(".")
        claimed = proof.encode("latin-1", "replace")
        if not hmac.compare_digest(self._proof(expires).encode(), claimed):
            return False
        return self._clock().timestamp() < int(expires)

    def _proof(self, expires: str) -> str:
        return hmac.digest(self._key, expires.encode("latin-1", "replace"), "sha256").hex()


def _values(request: HTTPConnection, name: str) -> Iterator[str]:
    """All values of a cookie in a request: another service on this host can set a cookie with the same name."""
    for header in request.headers.getlist("cookie"):
        for pair in header.split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                yield value
