"""The values that settings and rules have in force together: the thresholds of teams, and the database."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from service.metrics.terms import DEFAULT_THRESHOLD
from service.rules.model import Rules
from service.settings.model import Settings
from service.settings.origins import Origin, find_origin
from service.settings.shown import DEFAULT
from service.storage.connection_url import Address, read_url

_THRESHOLD = timedelta(days=14)
RULES_FILE = "rules file"


@dataclass(frozen=True, slots=True)
class ShownThreshold:
    """The threshold of a team.

    Attributes:
        team: the team; `default` for all teams without a threshold of their own.
        origin: where the threshold comes from.
    """

    team: str
    threshold: timedelta
    origin: str


def thresholds_in_force(settings: Settings, rules: Rules) -> dict[str, timedelta]:
    """The thresholds by team. A team's threshold in the settings overrides that team's threshold in the rules."""
    return {DEFAULT_THRESHOLD: _THRESHOLD, **rules.thresholds, **settings.thresholds}


def show_thresholds(settings: Settings, rules: Rules, origins: Sequence[Origin]) -> Iterator[ShownThreshold]:
    """The thresholds with their origins: the default one, then those of teams in alphabetical order."""
    found = thresholds_in_force(settings, rules)
    for team in sorted(found, key=lambda name: (name != DEFAULT_THRESHOLD, name)):
        in_rules = RULES_FILE if team in rules.thresholds else DEFAULT
        origin = find_origin(["thresholds", team], origins) if team in settings.thresholds else in_rules
        yield ShownThreshold(team, found[team], origin)


def describe_database(settings: Settings) -> str:
    """The database in words, without its user and its password."""
    if settings.database_url is None:
        return f"the embedded database in {settings.data_dir}"
    target = read_url(settings.database_url.get_secret_value())
    name = f"the database {target.database}" if target.database else "the default database of the user"
    return f"{name} at {', '.join(map(_show_address, target.addresses))}"


def _show_address(address: Address) -> str:
    host, port = address
    shown = f"[{host}]" if host and ":" in host and port else host or "localhost"
    return f"{shown}:{port}" if port else shown
