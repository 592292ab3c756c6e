"""What a visitor is told: where to look, and what to notice."""

import shlex
from collections.abc import Mapping
from urllib.parse import quote

from service.demo.organisation import SILENT, TEAMS

_WIDTH = 10


def guide(url: str, own_settings: Mapping[str, str], command: str) -> str:
    """Where to look, and what to notice.

    Args:
        url: where the service is.
        own_settings: the variables that let a command see what the demo's service sees.
        command: what `loopgauge` was started as.
    """
    return "\n".join([*_where(url), "", *_commands(own_settings, command), "", *_notice(), ""])


def _where(url: str) -> list[str]:
    return [
        "Where to look",
        f"  {url}/metrics   the figures",
        f"  {url}/docs      the HTTP interface",
        f"  curl --silent {url}/metrics | grep 'loopgauge_experiments_forgotten{{'",
        f"  curl --silent '{url}/experiments/{quote(_EXAMPLE, safe=':')}/explain'",
    ]


def _commands(own_settings: Mapping[str, str], command: str) -> list[str]:
    return [
        "In another terminal, with the demo's database and its terms",
        f"  export {' '.join(f'{name}={shlex.quote(value)}' for name, value in own_settings.items())}",
        f"  {command} explain '{_EXAMPLE}'",
        f"  {command} deliveries list --verdict ignored",
        "The past as Prometheus would have seen it, into the data directory of one that is stopped",
        f"  {command} export-history --output history.om",
        "  promtool tsdb create-blocks-from --max-block-duration=1500h openmetrics history.om DIRECTORY",
        "Prometheus on it, which would keep no more than 15 days by itself",
        "  prometheus --config.file=dashboards/prometheus.yml --storage.tsdb.path=DIRECTORY \\",
        "    --storage.tsdb.retention.time=1y",
        "The dashboards for Grafana: dashboards/json, with dashboards/provisioning to have them from the start",
    ]


def _notice() -> list[str]:
    lines = ["What to notice"]
    for team in TEAMS:
        lines += [f"  {team.name:{_WIDTH}} {team.notice}", f"  {'':{_WIDTH}} loopgauge_{team.figure}"]
    heard = "loopgauge_source_last_delivery_timestamp_seconds"
    return [
        *lines,
        f"  {SILENT:{_WIDTH}} fell silent: only its history comes, nothing live",
        f"  {'':{_WIDTH}} {heard}",
    ]


# The first idea of the first team.
_EXAMPLE = f"github:{TEAMS[0].project}#100"
