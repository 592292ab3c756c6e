"""The guards of the endpoints, made from the settings."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from pydantic import SecretStr

from service.api.http.auth import TokenGuard
from service.api.http.sign_in_cookie import SignInCookie
from service.settings import Settings

_METRICS_TOKEN = "LOOPGAUGE_METRICS_TOKEN"  # noqa: S105 - the name of a variable
_SIGN_IN = "; in a browser, open the link that loopgauge sign-in prints"


@dataclass(frozen=True, slots=True)
class Guards:
    """The guard of each kind of request.

    Attributes:
        cookie: the cookie that also allows requests that read; None if no read token is configured.
    """

    metrics: TokenGuard
    read: TokenGuard
    manual_events: TokenGuard
    cloud_events: TokenGuard
    admin: TokenGuard
    cookie: SignInCookie | None


def make_guards(settings: Settings, clock: Callable[[], datetime]) -> Guards:
    """Make the guards that the settings describe. A token that is set is always required.

    Args:
        clock: returns the current time, UTC.
    """
    token = settings.api_tokens.read
    cookie = SignInCookie(token, settings.root_path, clock) if token is not None else None
    return Guards(
        metrics=_metrics_guard(settings),
        read=_read_guard(settings, cookie),
        manual_events=_write_guard(settings, "LOOPGAUGE_API_TOKENS__WRITE"),
        cloud_events=_write_guard(settings, "LOOPGAUGE_API_TOKENS__WRITE or LOOPGAUGE_SOURCES__CLOUDEVENTS__SECRET"),
        admin=TokenGuard(
            _api_tokens(settings, "admin"),
            "LOOPGAUGE_API_TOKENS__ADMIN",
            others={**_api_tokens(settings, "read", "write"), _METRICS_TOKEN: settings.metrics_token},
        ),
        cookie=cookie,
    )


def metrics_are_open(settings: Settings) -> bool:
    """Whether `/metrics` needs no token, at least for clients on this machine."""
    return settings.metrics_token is None and (settings.open_metrics or settings.listens_on_loopback)


def reads_are_open(settings: Settings) -> bool:
    """Whether reads need no token."""
    return settings.open_reads and settings.api_tokens.read is None


def _metrics_guard(settings: Settings) -> TokenGuard:
    return TokenGuard(
        {_METRICS_TOKEN: settings.metrics_token},
        _METRICS_TOKEN,
        public=settings.open_metrics and metrics_are_open(settings),
        allow_loopback=metrics_are_open(settings),
        others=_api_tokens(settings, "read", "write", "admin"),
    )


def _read_guard(settings: Settings, cookie: SignInCookie | None) -> TokenGuard:
    return TokenGuard(
        _api_tokens(settings, "read", "admin"),
        "LOOPGAUGE_API_TOKENS__READ",
        # On loopback, open reads are for this machine: a page of a DNS rebinding attack may not read.
        public=reads_are_open(settings) and not settings.listens_on_loopback,
        allow_loopback=reads_are_open(settings),
        cookie=cookie,
        remedy=_SIGN_IN if cookie else "",
        others={**_api_tokens(settings, "write"), _METRICS_TOKEN: settings.metrics_token},
    )


def _write_guard(settings: Settings, setting: str) -> TokenGuard:
    # No cookie: a page of another site could make a browser send it.
    return TokenGuard(
        _api_tokens(settings, "write", "admin"),
        setting,
        others={**_api_tokens(settings, "read"), _METRICS_TOKEN: settings.metrics_token},
    )


def _api_tokens(settings: Settings, *names: str) -> Mapping[str, SecretStr | None]:
    """Tokens for the API by the variable that configures each."""
    return {f"LOOPGAUGE_API_TOKENS__{name.upper()}": getattr(settings.api_tokens, name) for name in names}
