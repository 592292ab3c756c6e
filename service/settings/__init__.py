"""Settings from environment variables with the prefix `LOOPGAUGE_`, a `.env` file, and secret files."""

from service.settings.doubtful import find_doubtful_durations
from service.settings.exposures import find_exposures, find_weak_secrets
from service.settings.faults import PREFIX, InvalidSetting, SettingFault, variable_of
from service.settings.in_force import ShownThreshold, describe_database, show_thresholds, thresholds_in_force
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
from service.settings.origins import has_dotenv, read_stated_variables
from service.settings.read_token import (
    ReadTokenUnavailable,
    find_read_token,
    provide_read_token,
    read_made_token,
    read_token_file,
)
from service.settings.reading import Inspection, inspect_settings, read_settings, refuse_misspelt
from service.settings.rules_files import (
    count_rules,
    load_rules,
    load_rules_file,
    packaged_rules,
    read_rules_file,
    warn_about_rules,
)
from service.settings.running_services import RunningService, describe_running, find_running, recorded
from service.settings.shown import ShownSetting, show_settings
from service.settings.sources import SourceSettings, shared_secrets

__all__ = [
    "PREFIX",
    "ApiTokens",
    "Inspection",
    "InvalidSetting",
    "ReadTokenUnavailable",
    "Role",
    "RunningService",
    "SettingFault",
    "Settings",
    "ShownSetting",
    "ShownThreshold",
    "SourceSettings",
    "count_rules",
    "default_data_dir",
    "describe_database",
    "describe_running",
    "example_secrets",
    "find_doubtful_durations",
    "find_exposures",
    "find_read_token",
    "find_running",
    "find_unknown",
    "find_weak_secrets",
    "given_alone",
    "has_dotenv",
    "inspect_settings",
    "load_rules",
    "load_rules_file",
    "names_loopback",
    "packaged_rules",
    "provide_read_token",
    "read_made_token",
    "read_rules_file",
    "read_settings",
    "read_stated_variables",
    "read_token_file",
    "recorded",
    "refuse_misspelt",
    "shared_secrets",
    "show_settings",
    "show_thresholds",
    "thresholds_in_force",
    "variable_of",
    "warn_about_rules",
]
