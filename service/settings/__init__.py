"""Settings from environment variables with the prefix `LOOPGAUGE_`, a `.env` file, and secret files."""

from service.settings.faults import PREFIX, InvalidSetting, SettingFault, variable_of
from service.settings.model import ApiTokens, Role, Settings, default_data_dir, example_secrets, given_alone
from service.settings.names import find_unknown
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
    "Role",
    "SettingFault",
    "Settings",
    "ShownSetting",
    "SourceSettings",
    "default_data_dir",
    "example_secrets",
    "find_unknown",
    "given_alone",
    "inspect_settings",
    "load_rules",
    "load_rules_file",
    "packaged_rules",
    "read_rules_file",
    "read_settings",
    "show_settings",
    "variable_of",
    "warn_about_rules",
]
