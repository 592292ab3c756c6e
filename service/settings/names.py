"""The variables that may have the prefix `LOOPGAUGE_`: settings, and variables of other programs."""

import re
from collections.abc import Iterable, Iterator

from service.lifecycle.nearest import suggest
from service.providers import PROVIDERS
from service.settings.faults import NESTING, PREFIX, SettingFault, not_a_setting
from service.settings.model import ApiTokens, Settings
from service.settings.sources import SourceSettings

SECRETS_DIR = f"{PREFIX}SECRETS_DIR"
OF_COMMANDS = ("URL", "TOKEN")
"""The variables without their prefix that name a remote service for commands."""

_NESTED = ("SOURCES", "API_TOKENS", "THRESHOLDS")
"""The nested settings without their prefix. The name of a variable goes on after them, as in `API_TOKENS__READ`."""

# Kubernetes, "Accessing the Service": if a namespace has a Service named loopgauge or loopgauge-…, each pod gets these
# variables, unless the pod sets `enableServiceLinks: false`.
_SERVICE_LINK = re.compile(
    rf"{PREFIX}(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)", re.IGNORECASE
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://", re.IGNORECASE)


def is_service_link(name: str, value: str) -> bool:
    """Whether Kubernetes sets a variable. `LOOPGAUGE_PORT` is a setting, unless its value is like `tcp://10.0.0.1:8080`."""
    return bool(_SERVICE_LINK.fullmatch(name) or (name.upper().endswith("_PORT") and _SERVICE_ADDRESS.match(value)))


def find_unknown(names: Iterable[str]) -> Iterator[SettingFault]:
    """Find the variables that have the prefix but are not settings, each with the nearest setting.

    The names below `SOURCES`, `API_TOKENS` and `THRESHOLDS`, such as the name of a token, are not checked.
    """
    for name in sorted(names):
        rest = name.upper().removeprefix(PREFIX)
        if name.upper().startswith(PREFIX) and not _is_known(rest):
            similar = suggest(rest, _variables())
            yield SettingFault(name, not_a_setting(f"{PREFIX}{similar}" if similar else ""))


def _is_known(name: str) -> bool:
    setting, *below = name.split(NESTING)
    if below:
        return setting in _NESTED
    return setting in {SECRETS_DIR.removeprefix(PREFIX), *OF_COMMANDS, *map(str.upper, Settings.model_fields)}


def _variables() -> list[str]:
    """All variables without their prefix. The list has the variables of sources that are named after a provider."""
    flat = [name for name in Settings.model_fields if name not in ("sources", "api_tokens")]
    tokens = [f"api_tokens{NESTING}{name}" for name in ApiTokens.model_fields]
    sources = [f"sources{NESTING}{name}{NESTING}{field}" for name in PROVIDERS for field in SourceSettings.model_fields]
    return [name.upper() for name in [*flat, *tokens, *sources, "secrets_dir", *OF_COMMANDS]]
