"""The origins of settings: arguments, the environment, the file `.env`, and the files of a directory of secrets."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic_settings import EnvSettingsSource, SettingsError

from service.deliveries.delivery import source_name
from service.settings.faults import PREFIX, SettingFault, variable_of
from service.settings.masking import refuse, show_given
from service.settings.model import Settings
from service.settings.names import SECRETS_DIR, is_service_link

_DOTENV = Path(".env")
_JSON: Mapping[str, str] = {
    "sources": f'expected JSON such as {{"github": {{"secret": "…"}}}}; or set {PREFIX}SOURCES__<NAME>__SECRET',
    "api_tokens": f"expected JSON; or set {PREFIX}API_TOKENS__READ, WRITE or ADMIN",
    "thresholds": 'expected JSON such as {"default": "14d", "search": "7d"}',
}


@dataclass(slots=True)
class Origin:
    """One origin of settings.

    Attributes:
        name: the origin in the words of an operator.
        variables: the variables with the prefix, as they are written.
        values: the values by the names of settings; the values of nested settings are mappings.
    """

    name: str
    variables: Mapping[str, str] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


def read_origins(given: Mapping[str, Any]) -> tuple[list[Origin], list[SettingFault]]:
    """Read all origins: those that take precedence come first.

    Args:
        given: settings by name, as arguments.
    """
    faults: list[SettingFault] = []
    environment = {name: value for name, value in os.environ.items() if not is_service_link(name, value)}
    dotenv = _read_dotenv(faults)
    directory = _value_of(SECRETS_DIR, environment) or _value_of(SECRETS_DIR, dotenv)
    read = {
        "environment": environment,
        str(_DOTENV): dotenv,
        "secrets directory": _read_secrets(Path(directory), faults) if directory else {},
    }
    origins = [Origin("command line", values={name: value for name, value in given.items() if value is not None})]
    for name, variables in read.items():
        ours = {each: value for each, value in variables.items() if each.upper().startswith(PREFIX)}
        origins.append(Origin(name, ours, _decode(name, ours, faults)))
    return origins, faults


def has_dotenv() -> bool:
    """Whether the working directory has a file `.env`."""
    return _DOTENV.is_file()


def read_stated_variables() -> list[str]:
    """Read the names of the variables that configure this process, in upper case."""
    origins, _ = read_origins({})
    return sorted({name.upper() for origin in origins for name in origin.variables})


def _value_of(variable: str, variables: Mapping[str, str]) -> str:
    """The value of a variable. Its name may be in upper or lower case, like the names of all settings."""
    return variables.get(variable) or next((value for name, value in variables.items() if name.upper() == variable), "")


def _read_dotenv(faults: list[SettingFault]) -> Mapping[str, str]:
    if not _DOTENV.is_file():
        return {}
    try:
        _find_unreadable(faults)
        return {name: value or "" for name, value in dotenv_values(_DOTENV, encoding="utf-8").items()}
    except UnicodeDecodeError:
        faults.append(SettingFault(str(_DOTENV), "is not UTF-8; save it as UTF-8"))
    except OSError as error:
        faults.append(SettingFault(str(_DOTENV), f"cannot be read: {error.strerror}"))
    return {}


def _find_unreadable(faults: list[SettingFault]) -> None:
    """Find the lines that look like our settings, but have the form of no setting. The faults show no value."""
    with _DOTENV.open(encoding="utf-8") as lines:
        for binding in parse_stream(lines):
            text = binding.original.string
            if binding.error and PREFIX in text.upper():
                blank = len(text) - len(text.lstrip())
                number = binding.original.line + text.count("\n", 0, blank)
                problem = f"line {number} is not NAME=value, or its quotation mark has no end"
                faults.append(SettingFault(str(_DOTENV), problem))


def _read_secrets(directory: Path, faults: list[SettingFault]) -> Mapping[str, str]:
    """The contents of the files whose names have the prefix. The directory may contain files of other programs."""
    secrets = {}
    try:
        files = [file for file in directory.iterdir() if file.name.upper().startswith(PREFIX)]
    except OSError as error:
        problem = refuse("a directory that this user may read", str(directory))
        faults.append(SettingFault(SECRETS_DIR, f"{problem}: {error.strerror}"))
        return {}
    for file in files:
        try:
            secrets[file.name] = file.read_text("utf-8").strip()
        except UnicodeDecodeError:
            faults.append(SettingFault(file.name, "expected a file in UTF-8"))
        except OSError as error:
            faults.append(SettingFault(file.name, f"expected a file that this user may read: {error.strerror}"))
    return secrets


def _decode(origin: str, variables: Mapping[str, str], faults: list[SettingFault]) -> dict[str, Any]:
    """The values of variables, by the names of settings.

    If a variable must be JSON and is not, it adds a fault and is left out.
    """
    source = EnvSettingsSource(Settings)
    source.env_vars = {name.lower(): value for name, value in variables.items()}
    given = dict(source.env_vars)
    for name in _undecodable(source):
        variable = variable_of([name])
        # The other settings in JSON contain secrets.
        got = f", got {show_given(given.get(variable.lower()))}" if name == "thresholds" else ""
        faults.append(SettingFault(variable, f"{_JSON[name]}{got}", origin))
    return source()


def _undecodable(source: EnvSettingsSource) -> Iterator[str]:
    """Remove the variables that should be JSON but are not, and yield the names of their settings."""
    for name in _JSON:
        field_info = Settings.model_fields[name]
        try:
            value, _, is_complex = source.get_field_value(field_info, name)
            source.prepare_field_value(name, field_info, value, is_complex)
        except (ValueError, SettingsError):
            source.env_vars = {
                each: value for each, value in source.env_vars.items() if each != f"{PREFIX}{name}".lower()
            }
            yield name


def find_origin(path: Sequence[int | str], origins: Sequence[Origin]) -> str:
    """The origin of a value; empty if no origin states it. Several origins may each state a part of the thresholds."""
    names = [origin.name for origin in origins if _states(origin.values, path)]
    return " and ".join(names) if tuple(path) == ("thresholds",) else next(iter(names), "")


def _states(values: object, path: Sequence[int | str]) -> bool:
    if not path:
        return True
    if not isinstance(values, Mapping):
        # The path leads into a list that is written as one text.
        return isinstance(path[0], int)
    step, *rest = path
    return any(
        _states(value, rest) for name, value in values.items() if source_name(str(name)) == source_name(str(step))
    )
