"""Who may read what: bearer tokens."""

import hmac
from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import SecretStr

from service.api.errors import DoorClosed, TokenRefused

_bearer = HTTPBearer(auto_error=False, description="One of LOOPGAUGE_API_TOKENS__READ, __WRITE, __ADMIN.")
Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


class Door:
    """A dependency that lets only those in who know one of its tokens.

    Args:
        tokens: the tokens that open it; those that are None are not configured.
        setting: the variable to set, for the answer where no token is configured.
        open_to_all: whether everybody may come in.
    """

    def __init__(self, tokens: Sequence[SecretStr | None], setting: str, *, open_to_all: bool = False) -> None:
        self._tokens = [token.get_secret_value().encode() for token in tokens if token is not None]
        self._setting = setting
        self._open = open_to_all

    def opens_for(self, credentials: HTTPAuthorizationCredentials | None) -> bool:
        """Whether these credentials are enough."""
        shown = credentials.credentials.encode() if credentials else b""
        return self._open or any(hmac.compare_digest(shown, token) for token in self._tokens)

    def __call__(self, credentials: Credentials) -> None:
        """Let the request pass.

        Raises:
            DoorClosed: no token is configured.
            TokenRefused: the token is missing or wrong.
        """
        if self.opens_for(credentials):
            return
        if not self._tokens:
            raise DoorClosed(f"this is closed until {self._setting} is set")
        raise TokenRefused
