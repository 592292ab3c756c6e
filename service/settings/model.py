"""The settings, their defaults, and the checks of each value."""

import ipaddress
import json
import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    WrapValidator,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

from service.lifecycle.durations import parse_duration
from service.lifecycle.teams import EXPECTED, names_account, normalise_team
from service.rules.validation import refusal
from service.settings.faults import NESTING, PREFIX
from service.settings.masking import mask_password, refuse, strip_secret
from service.settings.sources import SourceSettings, read_sources, shared_secrets
from service.storage.connection_url import InvalidUrl, read_url

Role = Literal["all", "api", "worker"]


_ROOT_PATH = re.compile("(/[A-Za-z0-9._~-]+)+")
# If a root path began with one of these names, the service could not tell the root path from a path of its own.
_OWN_PATHS = frozenset(
    {"deliveries", "docs", "events", "experiments", "livez", "metrics", "openapi.json", "readyz", "scorecard"}
    | {"sign-in", "sources", "webhooks"}
)


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _to_lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _reject_empty_path(value: object) -> object:
    # An empty path would mean the current directory.
    if isinstance(value, str) and not value.strip():
        raise refuse("a path that is not empty", value)
    return value


def _read_duration(value: object) -> object:
    # JSON may have a number, which pydantic would take as seconds.
    written = value if isinstance(value, str | timedelta) else json.dumps(value)
    return parse_duration(mask_password(written) if isinstance(written, str) else written)


Duration = Annotated[timedelta, BeforeValidator(_read_duration)]


def _reject_blank_token(token: SecretStr) -> SecretStr:
    if not token.get_secret_value().strip():
        raise ValueError("expected a token, such as the output of: openssl rand -hex 32")
    return token


def _check_root_path(path: str) -> str:
    """A path prefix without its trailing slash."""
    prefix = path.rstrip("/")
    if prefix and not _ROOT_PATH.fullmatch(prefix):
        raise refuse("a path such as /loopgauge", path)
    if prefix.split("/")[1:2] and prefix.split("/")[1] in _OWN_PATHS:
        raise refuse(f"a prefix that is not a path of the service itself, such as /loopgauge{prefix}", path)
    return prefix


_Token = Annotated[SecretStr, BeforeValidator(strip_secret), AfterValidator(_reject_blank_token)]


class ApiTokens(BaseModel):
    """Bearer tokens of the API."""

    model_config = ConfigDict(extra="forbid")

    read: _Token | None = None
    write: _Token | None = None
    admin: _Token | None = None


def default_data_dir(name: str = "loopgauge") -> Path:
    """The directory with this name in the platform's location for the data of a user, or in `/var/lib` for root."""
    # In root's home directory, the embedded server would open all parent directories to other users.
    return Path("/var/lib", name) if os.geteuid() == 0 else platformdirs.user_data_path(name)


class Settings(BaseSettings):
    """All settings. The variable of each setting is `LOOPGAUGE_` followed by the setting's name in upper case."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=NESTING,
        extra="ignore",
        hide_input_in_errors=True,
    )

    database_url: Annotated[SecretStr | None, BeforeValidator(strip_secret)] = None
    data_dir: Annotated[Path, BeforeValidator(_reject_empty_path)] = Field(default_factory=default_data_dir)
    sources: Annotated[dict[str, SourceSettings], WrapValidator(read_sources)] = {}
    rules: Annotated[Path | None, BeforeValidator(_reject_empty_path)] = None
    api_tokens: ApiTokens = ApiTokens()
    metrics_token: _Token | None = None
    allow_example_secrets: bool = False
    open_reads: bool = False
    open_metrics: bool = False
    max_body_bytes: Annotated[int, Field(ge=1)] = 26_214_400
    max_inflight_bytes: Annotated[int, Field(ge=1)] = 268_435_456
    windows: Annotated[tuple[Duration, ...], NoDecode, BeforeValidator(_split_commas), Field(min_length=1)] = (
        timedelta(days=7),
        timedelta(days=30),
        timedelta(days=90),
        timedelta(days=365),
    )
    spool: bool = True
    raw_retention: Duration = timedelta(days=90)
    evidence_retention: Duration = timedelta(days=90)
    thresholds: dict[str, Duration] = {}
    forgotten_after: Duration = timedelta(days=30)
    min_sample: Annotated[int, Field(ge=1)] = 5
    max_teams: Annotated[int, Field(ge=1)] = 200
    snapshot_interval: Duration = timedelta(seconds=5)
    role: Annotated[Role, BeforeValidator(_to_lower)] = "all"
    # With an empty host, the service would listen on every address.
    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    root_path: Annotated[str, AfterValidator(_check_root_path)] = ""
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_to_lower)] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - called by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - called by name
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - called by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - called by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the arguments only: `read_settings` reads the environment and the files, and records origins."""
        return (init_settings,)

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None:
            try:
                read_url(url.get_secret_value())
            except InvalidUrl as error:
                raise PydanticCustomError("fault", "{message}", {"message": str(error)}) from None
        return url

    @field_validator("windows")
    @classmethod
    def _drop_duplicates(cls, windows: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
        # `7d` and `1w` are one window, and one label.
        return tuple(dict.fromkeys(windows))

    @field_validator("thresholds")
    @classmethod
    def _check_teams(cls, thresholds: dict[str, timedelta]) -> dict[str, timedelta]:
        for team in thresholds:
            if normalise_team(team) is None:
                # The name may be a person's account.
                raise ValueError(f"expected {EXPECTED}") if names_account(team) else refuse(EXPECTED, team)
        by_team = {name: length for team, length in thresholds.items() if (name := normalise_team(team))}
        if len(by_team) < len(thresholds):
            raise refuse("each team once, in upper or lower case", ", ".join(thresholds))
        return by_team

    @model_validator(mode="after")
    def _refuse_weak_secrets(self) -> Self:
        """Refuse secrets that others know. On loopback they are accepted, and `check-config` warns about them."""
        if self.listens_on_loopback:
            return self
        found = list(shared_secrets(self.sources))
        if not self.allow_example_secrets:
            found += [((*path,), f"{_PUBLISHED}; {_REMEDY}") for path in example_secrets(self)]
        if found:
            raise refusal(found)
        return self

    @property
    def listens_on_loopback(self) -> bool:
        """Whether the service listens on a loopback address only."""
        return names_loopback(self.host)

    @property
    def makes_read_token(self) -> bool:
        """Whether the service uses the read token in its data directory, and makes this token at its first start."""
        return (
            self.role != "worker" and self.listens_on_loopback and self.api_tokens.read is None and not self.open_reads
        )


def names_loopback(host: str) -> bool:
    """Whether a host is a loopback address, or the name `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


_EXAMPLE = "change-me"
_PUBLISHED = "expected a secret of your own, because this one is published in the examples of the documentation"
_REMEDY = "set the output of: openssl rand -hex 32"


def example_secrets(settings: Settings) -> Iterator[tuple[str, ...]]:
    """The paths of the settings whose secret or token is an example of the documentation (`change-me…`)."""
    for name, source in sorted(settings.sources.items()):
        given = {"secret": source.secret, "previous_secret": source.previous_secret}
        yield from (("sources", name, key) for key, secret in given.items() if _is_example(secret))
    yield from (("api_tokens", name) for name, token in settings.api_tokens if _is_example(token))
    if _is_example(settings.metrics_token):
        yield ("metrics_token",)


def _is_example(secret: SecretStr | None) -> bool:
    return secret is not None and secret.get_secret_value().strip().lower().startswith(_EXAMPLE)


def given_alone(**given: Any) -> Settings:
    """Create settings from keyword arguments and defaults only."""
    return Settings(**given)
