"""The settings in force, with their origins and without their secrets."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pydantic import BaseModel, SecretStr

from service.lifecycle.durations import format_duration
from service.settings.faults import variable_of
from service.settings.masking import mask_password
from service.settings.model import Settings
from service.settings.origins import Origin, find_origin

DEFAULT = "default"
SET = "set"


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """A setting in force.

    Attributes:
        setting: the variable.
        value: the value as a variable would state it; `set` for a secret; None if the setting has no value.
        origin: where the value comes from.
        secret: whether the setting is a secret, or contains one.
    """

    setting: str
    value: str | None
    origin: str
    secret: bool


def show_settings(settings: Settings, origins: Sequence[Origin]) -> Iterator[ShownSetting]:
    """Every setting in force, in the order of the documentation."""
    for path, value, secret in _flatten(settings, ()):
        yield ShownSetting(variable_of(path), _show(path, value), find_origin(path, origins) or DEFAULT, secret)


def _flatten(settings: BaseModel, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object, bool]]:
    """Every value with its path, and whether it is a secret. Each value of a source and each token has its own path."""
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name == "sources":
            for source in sorted(value):
                yield from _flatten(value[source], (name, source))
        elif isinstance(value, BaseModel):
            yield from _flatten(value, (*path, name))
        else:
            yield (*path, name), value, SecretStr.__name__ in str(field.annotation)


def _show(path: tuple[str, ...], value: object) -> str | None:
    match value:
        case SecretStr():
            return mask_password(value.get_secret_value()) if path == ("database_url",) else SET
        case bool():
            return str(value).lower()
        case timedelta():
            return format_duration(value)
        case tuple():
            return ",".join(map(format_duration, value))
        case dict():
            return json.dumps({team: format_duration(length) for team, length in value.items()}) if value else None
        case None:
            return None
        case _:
            return str(value)
