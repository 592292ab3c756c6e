"""Settings from environment variables with the prefix `LOOPGAUGE_`, a `.env` file, and secret files."""

import difflib
import ipaddress
import os
import re
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from dotenv import dotenv_values
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)
from pydantic_core import ErrorDetails
from pydantic_settings import (
    BaseSettings,
    NestedSecretsSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

import service.providers
import service.rules
from service.deliveries.delivery import source_name
from service.lifecycle.durations import parse_duration
from service.lifecycle.nearest import did_you_mean
from service.lifecycle.teams import normalise_team
from service.providers import PROVIDERS
from service.rules.document import RulesFile
from service.rules.faults import Fault, InvalidRules
from service.rules.model import Rules
from service.rules.reader import read_rules, warn_about

PREFIX = "LOOPGAUGE_"
_NESTING = "__"
_DOTENV = ".env"
_SECRETS_DIR = f"{PREFIX}SECRETS_DIR"
# The address and the token of a remote service, which only commands use.
_OF_COMMANDS = ("URL", "TOKEN")
_SOURCE_NAME = re.compile(r"[a-z0-9][a-z0-9_]*")

Role = Literal["all", "api", "worker"]

_PROVIDERS_DIR = Path(service.providers.__file__).parent

DEFAULTS: Sequence[Path] = (
    Path(service.rules.__file__).with_name("defaults.yaml"),
    *filter(Path.is_file, (_PROVIDERS_DIR / name / "rules.yaml" for name in PROVIDERS)),
)
"""The packaged rules files: first the file for all providers, then the files for single providers."""


class InvalidSetting(Exception):
    """A setting is invalid. The message is one line with the variable and the expected value."""


def _split_commas(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


def _to_lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _reject_empty_path(value: object) -> object:
    # An empty path would mean the current directory.
    if value == "":
        raise ValueError("expected a path that is not empty")
    return value


Duration = Annotated[timedelta, BeforeValidator(parse_duration)]
_Secret = Annotated[SecretStr, Field(min_length=1)]


def _reject_blank_token(token: SecretStr) -> SecretStr:
    if not token.get_secret_value().strip():
        raise ValueError("expected a token, such as the output of: openssl rand -hex 32")
    return token


_Token = Annotated[SecretStr, AfterValidator(_reject_blank_token)]


class SourceSettings(BaseModel):
    """One webhook sender."""

    model_config = ConfigDict(extra="forbid")

    provider: str = ""
    secret: _Secret
    previous_secret: _Secret | None = None


class ApiTokens(BaseModel):
    """Bearer tokens of the API."""

    model_config = ConfigDict(extra="forbid")

    read: _Token | None = None
    write: _Token | None = None
    admin: _Token | None = None


def default_data_dir(name: str = "loopgauge") -> Path:
    """The directory with this name in the platform's default location for data."""
    # If root runs the service, do not use root's home directory: the embedded server would open all parent directories
    # to other users.
    return Path("/var/lib", name) if os.geteuid() == 0 else platformdirs.user_data_path(name)


class Settings(BaseSettings):
    """All settings. The variable of each setting is `LOOPGAUGE_` followed by the setting's name in upper case."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter=_NESTING,
        env_file=_DOTENV,
        extra="ignore",
        hide_input_in_errors=True,
    )

    database_url: SecretStr | None = None
    data_dir: Annotated[Path, BeforeValidator(_reject_empty_path)] = Field(default_factory=default_data_dir)
    sources: dict[str, SourceSettings] = {}
    rules: Annotated[Path | None, BeforeValidator(_reject_empty_path)] = None
    api_tokens: ApiTokens = ApiTokens()
    metrics_token: _Token | None = None
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
    log_level: Annotated[Literal["debug", "info", "warning", "error"], BeforeValidator(_to_lower)] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - called by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        directory = os.environ.get(_SECRETS_DIR)
        if not directory:
            return init_settings, env_settings, dotenv_settings
        secrets = NestedSecretsSettingsSource(file_secret_settings, secrets_dir=directory, secrets_dir_missing="error")
        return init_settings, env_settings, dotenv_settings, secrets

    @field_validator("database_url")
    @classmethod
    def _check_database_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError("expected postgresql://user:password@host/database")
        return url

    @field_validator("windows")
    @classmethod
    def _drop_duplicates(cls, windows: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
        # `7d` and `1w` are one window, and one label.
        return tuple(dict.fromkeys(windows))

    @field_validator("thresholds")
    @classmethod
    def _check_teams(cls, thresholds: dict[str, timedelta]) -> dict[str, timedelta]:
        by_team = {name: length for team, length in thresholds.items() if (name := normalise_team(team))}
        if len(by_team) < len(thresholds):
            raise ValueError("expected distinct team names that do not begin with _ and have at most 100 characters")
        return by_team

    @field_validator("sources")
    @classmethod
    def _check_sources(cls, sources: dict[str, SourceSettings]) -> dict[str, SourceSettings]:
        named = {}
        for written, source in sources.items():
            name = source_name(written)
            if not _SOURCE_NAME.fullmatch(name):
                raise ValueError(f"{PREFIX}SOURCES: expected source names of letters, digits and _, got {written!r}")
            provider = source.provider.lower() or name
            if provider not in PROVIDERS:
                variable = f"{PREFIX}SOURCES{_NESTING}{name.upper()}{_NESTING}PROVIDER"
                raise ValueError(f"{variable}: expected one of {', '.join(sorted(PROVIDERS))}, got {provider!r}")
            named[name] = source.model_copy(update={"provider": provider})
        return named

    @property
    def listens_on_loopback(self) -> bool:
        """Whether the service listens on a loopback address only."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


class _IsolatedSettings(Settings):
    """Settings that ignore the environment, `.env` and secret files."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - called by name
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - called by name
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - called by name
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - called by name
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return (init_settings,)


def read_settings(**given: Any) -> Settings:
    """Read the settings of this process. Keyword arguments take precedence over the environment.

    Raises:
        InvalidSetting: a setting is missing or invalid.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise InvalidSetting("; ".join(map(_message, error.errors(include_input=False, include_url=False)))) from None
    except SettingsError as error:
        raise InvalidSetting(_source_message(error)) from None
    except UnicodeDecodeError:
        raise InvalidSetting(f"{_DOTENV} is not UTF-8") from None


def given_alone(**given: Any) -> Settings:
    """Create settings from keyword arguments and defaults only."""
    return _IsolatedSettings(**given)


def load_rules(settings: Settings) -> Rules:
    """Load the rules file that the settings name, or else the packaged rules. The file may extend the packaged rules.

    Raises:
        InvalidRules: the file cannot be read, or is malformed.
    """
    return load_rules_file(settings.rules)


def load_rules_file(path: Path | None) -> Rules:
    """Load a rules file, or the packaged rules if there is no file. The file may extend the packaged rules.

    Raises:
        InvalidRules: the file cannot be read, or is malformed.
    """
    return read_rules(read_rules_file(path) if path else None, packaged_rules(), PROVIDERS)


def warn_about_rules(path: Path) -> Sequence[Fault]:
    """The warnings about a valid rules file.

    Raises:
        InvalidRules: the file cannot be read, or is malformed.
    """
    return warn_about(read_rules_file(path), PROVIDERS)


def packaged_rules() -> Sequence[RulesFile]:
    """Read the packaged rules files."""
    return [read_rules_file(path) for path in DEFAULTS]


def read_rules_file(path: Path) -> RulesFile:
    """Read the text of a rules file.

    Raises:
        InvalidRules: the file cannot be read.
    """
    try:
        return RulesFile(str(path), path.read_text("utf-8"))
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        column = error.start - error.object.rfind(b"\n", 0, error.start)
        fault = Fault(str(path), line, column, "", "the file is not UTF-8; save it as UTF-8")
        raise InvalidRules([fault]) from error
    except OSError as error:
        raise InvalidRules([Fault(str(path), 0, 0, "", _explain_unreadable(path, error))]) from error


def _explain_unreadable(path: Path, error: OSError) -> str:
    match error:
        case FileNotFoundError():
            siblings = [sibling.name for sibling in path.parent.iterdir()] if path.parent.is_dir() else []
            return "; ".join(filter(None, ("there is no such file", did_you_mean(path.name, siblings))))
        case IsADirectoryError():
            return "expected a file, got a directory; name a file in it"
        case PermissionError():
            return "this user may not read the file; change its owner or its permissions"
        case _:
            return error.strerror or str(error)


def given_settings() -> set[str]:
    """The names of all variables in the environment and in `.env`."""
    return {*os.environ, *dotenv_values(_DOTENV)}


def unknown_settings(names: Iterable[str]) -> list[str]:
    """Return a line for each variable that has the prefix but is not a setting, and suggest a similar setting."""
    known = [*map(str.upper, Settings.model_fields), _SECRETS_DIR.removeprefix(PREFIX), *_OF_COMMANDS]
    lines = []
    for name in sorted(names):
        setting = name.upper().split(_NESTING)[0].removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and setting not in known:
            similar = difflib.get_close_matches(setting, known, n=1, cutoff=0.75)
            lines.append(f"{name} is not a setting" + (f"; did you mean {PREFIX}{similar[0]}?" if similar else ""))
    return lines


def _message(error: ErrorDetails) -> str:
    message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if message.startswith(PREFIX):
        return message
    variable = PREFIX + _NESTING.join(str(part).upper() for part in error["loc"] if not isinstance(part, int))
    match error["type"]:
        case "missing":
            return f"{variable} is missing"
        case "extra_forbidden":
            return f"{variable} is not a setting"
        case "too_short" | "string_too_short":
            return f"{variable}: expected a value that is not empty"
        case _:
            return f"{variable}: {message if message.startswith('expected') else f'expected {message}'}"


def _source_message(error: SettingsError) -> str:
    field = re.search(r'field "(\w+)"', str(error))
    if field is None:
        return f"{_SECRETS_DIR}: {error}"
    return f"{PREFIX}{field[1].upper()}: expected JSON"
