"""Read the settings of this process from all origins, with every fault at once."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.settings.faults import InvalidSetting, SettingFault, explain, variable_of
from service.settings.model import ApiTokens, Settings
from service.settings.names import find_unknown
from service.settings.origins import Origin, find_origin, read_origins


@dataclass(frozen=True, slots=True)
class Inspection:
    """The settings with their origins, or the faults.

    Attributes:
        settings: the settings in force; None if there are faults.
        origins: the origins that were read; those that take precedence come first.
    """

    settings: Settings | None
    origins: Sequence[Origin]
    faults: Sequence[SettingFault]

    @property
    def rules_file(self) -> Path | None:
        """The rules file that the settings name, also if other settings have faults."""
        stated = next((origin.values["rules"] for origin in self.origins if origin.values.get("rules")), None)
        return Path(stated) if stated else None


def read_settings(**given: Any) -> Settings:
    """Read the settings of this process. Keyword arguments take precedence over the environment.

    Raises:
        InvalidSetting: a setting is missing, invalid or unknown.
    """
    read = inspect_settings(**given)
    if read.settings is None:
        raise InvalidSetting(read.faults)
    return read.settings


def inspect_settings(**given: Any) -> Inspection:
    """Read the settings of this process, with their origins and all faults."""
    origins, faults = read_origins(given)
    faults += _find_misspelt(origins)
    values: dict[str, Any] = {}
    for origin in reversed(origins):
        values = _merge(values, origin.values)
    settings = None
    try:
        settings = Settings(**values)
    except ValidationError as error:
        for details in error.errors(include_url=False):
            known = ApiTokens.model_fields if details["loc"][0] == "api_tokens" else ()
            path = details["loc"]
            faults.append(SettingFault(variable_of(path), explain(details, known), find_origin(path, origins)))
    return Inspection(None if faults else settings, origins, list(dict.fromkeys(faults)))


def refuse_misspelt() -> None:
    """Refuse misspelt variables of a command that needs no settings, because a remote service has its own.

    Raises:
        InvalidSetting: a variable with the prefix is unknown.
    """
    origins, _ = read_origins({})
    if faults := list(_find_misspelt(origins)):
        raise InvalidSetting(faults)


def _find_misspelt(origins: Sequence[Origin]) -> Iterator[SettingFault]:
    for origin in origins:
        yield from (replace(fault, origin=origin.name) for fault in find_unknown(origin.variables))


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Combine values of two origins; those of `above` take precedence. Mappings are combined too."""
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        merged[name] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged
