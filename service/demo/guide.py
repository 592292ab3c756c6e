"""What a visitor is told: where to look, and what to notice."""

import shlex
from collections.abc import Mapping
from textwrap import wrap
from urllib.parse import quote, urlencode

from service.demo.organisation import SILENT, TEAMS

_WIDTH = 10
# Of the narrowest that is common; what is to be copied stays on its line.
_TERMINAL = 80


def guide(url: str, prometheus: str | None, own_settings: Mapping[str, str], command: str) -> str:
    """Where to look, and what to notice.

    Args:
        url: where the service is.
        prometheus: where a Prometheus is that has the past and scrapes the service; None where there is none.
        own_settings: the variables that let a command see what the demo's service sees.
        command: what `loopgauge` was started as.
    """
    commands = _commands(own_settings, command)
    past = [*_graphs(prometheus), "", *commands] if prometheus else [*commands, *_own_prometheus(command)]
    return "\n".join([*_where(url), "", *past, "", *_notice(), ""])


def _where(url: str) -> list[str]:
    return [
        "Where to look",
        f"  {url}/metrics   the figures",
        f"  {url}/docs      the HTTP interface",
        f"  curl --silent {url}/metrics | grep 'loopgauge_experiments_forgotten{{'",
        f"  curl --silent '{url}/experiments/{quote(_EXAMPLE, safe=':')}/explain'",
    ]


def _graphs(prometheus: str) -> list[str]:
    lines = ["The past in Prometheus, which ends with the demo"]
    for says, expression in _PAST:
        asked = {"g0.expr": expression, "g0.tab": "0", "g0.range_input": "26w"}
        link = urlencode({**asked, "g0.step_input": "86400"}, safe="()")
        lines += [f"  {says}", f"  {prometheus}/graph?{link}"]
    return [
        *lines,
        f"  {prometheus}/alerts   what its rules say; most wait for an hour",
        "For Grafana, before it is started as in the README",
        f"  export PROMETHEUS_URL={prometheus}",
    ]


def _own_prometheus(command: str) -> list[str]:
    return [
        "The past, into the data directory of a Prometheus that is stopped",
        f"  {command} export-history --output history.om",
        "  promtool tsdb create-blocks-from --max-block-duration=1500h openmetrics history.om DIRECTORY",
        "Prometheus on it, which would keep no more than 15 days by itself",
        "  prometheus --config.file=dashboards/prometheus.yml --storage.tsdb.path=DIRECTORY \\",
        "    --storage.tsdb.retention.time=1y",
        "For Grafana: dashboards/json, and dashboards/provisioning to have them at once",
    ]


def _commands(own_settings: Mapping[str, str], command: str) -> list[str]:
    return [
        "In another terminal, with the demo's database and its terms",
        f"  export {' '.join(f'{name}={shlex.quote(value)}' for name, value in own_settings.items())}",
        f"  {command} explain '{_EXAMPLE}'",
        f"  {command} deliveries list --verdict ignored",
    ]


def _notice() -> list[str]:
    lines = ["What to notice"]
    for team in TEAMS:
        lines += _noticed(team.name, team.notice, team.figure)
    fell_silent = "fell silent: only its history comes, nothing live"
    return [*lines, *_noticed(SILENT, fell_silent, "source_last_delivery_timestamp_seconds")]


def _noticed(who: str, notice: str, figure: str) -> list[str]:
    beside = " " * (_WIDTH + 3)
    said = wrap(notice, _TERMINAL, initial_indent=f"  {who:{_WIDTH}} ", subsequent_indent=beside)
    return [*said, f"{beside}loopgauge_{figure}"]


# The first idea of the first team.
_EXAMPLE = f"github:{TEAMS[0].project}#100"
# One value a day is told of the past, and Prometheus by itself holds each for five minutes.
_PAST = (
    ("platform forgets more and more", "last_over_time(loopgauge_experiments_forgotten[1d])"),
    (
        "frontier fails intelligently: the share of its answers",
        'last_over_time(loopgauge_failure_category_ratio{category="intelligent",window="90d"}[1d])',
    ),
    (
        "checkout answers late, if at all: the days until half its ideas are answered",
        'last_over_time(loopgauge_idea_to_answer_survival_quantile_seconds{q="0.5",window="90d"}[1d])/86400',
    ),
)
