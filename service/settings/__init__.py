"""Settings from environment variables with the prefix `LOOPGAUGE_`, a `.env` file, and secret files."""

from service.settings.faults import PREFIX, InvalidSetting, SettingFault, variable_of
from service.settings.model import (
    ApiTokens,
    Role,
    Settings,
    default_data_dir,
    example_secrets,
    given_alone,
    names_loopback,
)
from service.settings.names import find_unknown
from service.settings.read_token import ReadTokenUnavailable, find_read_token, provide_read_token, read_token_file
from service.settings.reading import Inspection, inspect_settings, read_settings
from service.settings.rules_files import (
    load_rules,
    load_rules_file,
    packaged_rules,
    read_rules_file,
    warn_about_rules,
)
from service.settings.shown import ShownSetting, show_settings
from service.settings.sources import SourceSettings

__all__ = [
    "PREFIX",
    "ApiTokens",
    "Inspection",
    "InvalidSetting",
    "ReadTokenUnavailable",
    "Role",
    "SettingFault",
    "Settings",
    "ShownSetting",
    "SourceSettings",
    "default_data_dir",
    "example_secrets",
    "find_read_token",
    "find_unknown",
    "given_alone",
    "inspect_settings",
    "load_rules",
    "load_rules_file",
    "names_loopback",
    "packaged_rules",
    "provide_read_token",
    "read_rules_file",
    "read_settings",
    "read_token_file",
    "show_settings",
    "variable_of",
    "warn_about_rules",
]
