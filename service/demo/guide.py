"""The text that tells the visitor where to look and what to notice."""

import shlex
from collections.abc import Mapping
from textwrap import wrap
from urllib.parse import quote, urlencode, urljoin

from service.demo.organisation import TEAMS

_WIDTH = 10
# The usual width of a narrow terminal. Commands are not wrapped, so that they can be copied.
_TERMINAL = 80


def guide(url: str, graph_page: str | None, own_settings: Mapping[str, str], command: str) -> str:
    """Return the text for the demo's terminal.

    Args:
        url: the URL of the service.
        graph_page: the page for graphs of a Prometheus server that has loaded the past and scrapes the service, or
            None.
        own_settings: the environment variables for commands that work on the demo's database.
        command: the command that started `loopgauge`.
    """
    commands = _commands(url, command)
    own_prometheus = _own_prometheus(own_settings, command)
    past = [*_graphs(graph_page), "", *commands] if graph_page else [*commands, *own_prometheus]
    return "\n".join([*_where(url), "", *past, "", *_notice(), ""])


def _where(url: str) -> list[str]:
    return [
        "Where to look",
        f"  {url}/          links to everything that the service offers",
        f"  {url}/metrics   the metrics",
        f"  {url}/docs      the HTTP interface",
        f"  curl --silent {url}/metrics | grep 'loopgauge_experiments_forgotten{{'",
        f"  curl --silent '{url}/experiments/{quote(_EXAMPLE, safe=':')}/explain'",
    ]


def _graphs(graph_page: str) -> list[str]:
    lines = ["The past in Prometheus, which stops when the demo stops"]
    for title, expression in _PAST:
        query = {"g0.expr": expression, "g0.tab": "0", "g0.range_input": "26w"}
        link = urlencode({**query, "g0.step_input": "86400"}, safe="()")
        lines += [f"  {title}", f"  {graph_page}?{link}"]
    return [
        *lines,
        f"  {urljoin(graph_page, 'alerts')}   the alerts; most fire only after an hour",
        "Before you start Grafana as docs/dashboards-and-alerts.md describes, run",
        f"  export PROMETHEUS_URL={urljoin(graph_page, '/').removesuffix('/')}",
    ]


def _own_prometheus(own_settings: Mapping[str, str], command: str) -> list[str]:
    return [
        "To load the past into the data directory of a stopped Prometheus",
        f"  export {' '.join(f'{name}={shlex.quote(value)}' for name, value in own_settings.items())}",
        f"  {command} export-history --output history.om",
        "  promtool tsdb create-blocks-from --max-block-duration=1500h openmetrics history.om DIRECTORY",
        "To start Prometheus on this directory, with a retention above its default of 15 days",
        "  prometheus --config.file=dashboards/prometheus.yml --storage.tsdb.path=DIRECTORY \\",
        "    --storage.tsdb.retention.time=1y",
        "To see the past in Grafana, load dashboards/json with the files in dashboards/provisioning",
    ]


def _commands(url: str, command: str) -> list[str]:
    return [
        "Commands that ask the demo's service, for another terminal",
        f"  export LOOPGAUGE_URL={url}",
        f"  {command} explain '{_EXAMPLE}'",
        f"  {command} deliveries list --verdict ignored",
    ]


def _notice() -> list[str]:
    lines = ["What to notice"]
    for team in TEAMS:
        lines += _describe(team.name, team.notice, team.metric)
    return lines


def _describe(name: str, notice: str, metric: str) -> list[str]:
    beside = " " * (_WIDTH + 3)
    text = wrap(notice, _TERMINAL, initial_indent=f"  {name:{_WIDTH}} ", subsequent_indent=beside)
    return [*text, f"{beside}loopgauge_{metric}"]


# The first experiment of the first team.
_EXAMPLE = f"github:{TEAMS[0].project}#100"
# The past has one sample a day, but by default Prometheus looks back only five minutes. So `last_over_time` looks back
# a day.
_PAST = (
    ("platform forgets more and more experiments", "last_over_time(loopgauge_experiments_forgotten[1d])"),
    (
        "frontier: the share of intelligent failures among its answers",
        'last_over_time(loopgauge_failure_category_ratio{category="intelligent",window="90d"}[1d])',
    ),
    (
        "checkout: the median days from idea to answer, including open experiments",
        'last_over_time(loopgauge_idea_to_answer_survival_quantile_seconds{q="0.5",window="90d"}[1d])/86400',
    ),
)
