"""PromQL expressions for panels.

Several replicas export the same shared metric with different `instance` and `pod` labels, so expressions merge these
series with `max without (instance, pod)`. PromQL compares and divides only series with equal labels, so an expression
that selects one value of a label also drops that label. Every selection is limited to the chosen `namespace`, which
distinguishes the installations on one Prometheus. If the series have no label `namespace`, the chosen namespace is an
empty text, which in PromQL matches a missing label. No expression replaces a missing value by zero.
"""

import re

from service.metrics.view import ORGANISATION

NAMESPACE = "$namespace"
WINDOW = "$window"
TEAM = "$team"
TOO_FEW = -1.0
"""The number that stands for a withheld value. Panels show it as words. It is negative, as no metric ever is."""
NOT_REACHED = -2.0
"""The number that stands for a median that is not reached yet. Panels show it as words."""
NEVER = -1.0
"""The number that stands for the time of an event that has never happened. Panels show it as words."""
_SELECTOR = re.compile(r"(?:loopgauge|process)_\w+\{[^}]*\}(?!\[)")


def select(metric: str, **labels: str) -> str:
    """Select the series of a metric in the chosen installation.

    Args:
        metric: the name of the metric without the prefix `loopgauge_`.
        labels: the value of each label. A value with a leading `!` is excluded instead of selected.
    """
    return select_by_name(f"loopgauge_{metric}", **labels)


def select_by_name(name: str, **labels: str) -> str:
    """Select the series with this full name in the chosen installation."""
    matchers = [_write_matcher(label, value) for label, value in {"namespace": NAMESPACE, **labels}.items()]
    return f"{name}{{{', '.join(matchers)}}}"


def select_team_row(metric: str, **labels: str) -> str:
    """Select the chosen team's value of a metric. The metric must have a row that covers all teams."""
    return f"max without ({_join_labels('instance', 'pod', 'team', *labels)}) ({select(metric, team=TEAM, **labels)})"


def sum_counts(metric: str, *summed: str, **labels: str) -> str:
    """Select the chosen team's value of a metric that counts experiments.

    If all teams are chosen, sum the values of the teams, because such a metric has no row for all teams.

    Args:
        summed: labels over which to sum.
    """
    dropped = _join_labels("team", *summed, *labels)
    return f"sum without ({dropped}) (max without (instance, pod) ({_select_chosen(metric, **labels)}))"


def list_series(metric: str, *by: str) -> str:
    """List the series of the chosen team, or of all teams, with only the labels in `by`."""
    return f"max by ({_join_labels(*by)}) ({_select_chosen(metric)})"


def sum_buckets(histogram: str, **labels: str) -> str:
    """Sum the cumulative buckets of the chosen team, or of all teams, by their upper bound."""
    return f"sum by (le) (max without (instance, pod) ({_select_chosen(f'{histogram}_bucket', **labels)}))"


def select_each_team(metric: str, **labels: str) -> str:
    """Select the value of a metric for each team."""
    return f"max by (team) ({select(metric, team=f'!{ORGANISATION}', **labels)})"


def sum_each_team(metric: str, **labels: str) -> str:
    """For a metric that counts experiments, add up the series of each team."""
    return f"sum by (team) (max without (instance, pod) ({select(metric, **labels)}))"


def merge_replicas(metric: str, *by: str, **labels: str) -> str:
    """Merge a metric that has the same value in every process that exports it. Keep only the labels in `by`."""
    return f"max by ({_join_labels(*by)}) ({select(metric, **labels)})"


def sum_processes(metric: str) -> str:
    """Sum a metric over all processes, for a metric whose value differs by process."""
    return f"sum({select(metric)})"


def compute_rate(counter: str, *by: str, **labels: str) -> str:
    """Compute the increase of a counter per second, over all processes."""
    return f"sum by ({_join_labels(*by)}) (rate({select(counter, **labels)}[$__rate_interval]))"


def compute_increase(counter: str, *by: str, **labels: str) -> str:
    """Compute the increase of a counter in the time range of the dashboard, over all processes."""
    return f"sum by ({_join_labels(*by)}) (increase({select(counter, **labels)}[$__range]))"


def keep_loopgauge_processes(expression: str) -> str:
    """Keep only the series of loopgauge's processes. Other programs export the same standard metrics."""
    return f"{expression} and on (job, instance) {select('build_info')}"


def estimate_quantile(histogram: str, q: float, *by: str) -> str:
    """Estimate a quantile, in seconds, from the buckets of all processes."""
    return f"histogram_quantile({q}, {compute_rate(f'{histogram}_bucket', 'le', *by)})"


def compute_age(timestamp: str) -> str:
    """Compute the seconds since a timestamp."""
    return f"time() - {timestamp}"


def mark_too_few(sample: str, value: str) -> str:
    """Compute `TOO_FEW` if the size of the sample is known but the value is withheld."""
    return f"(0 * {sample} - 1) unless {value}"


def mark_not_reached(share: str, time: str) -> str:
    """Compute `NOT_REACHED` if the share is known, but too few experiments are answered for the median to exist."""
    return f"(0 * {share} - 2) unless {time}"


def mark_never(timestamp: str) -> str:
    """Compute `NEVER` if other metrics are exported, but this timestamp is not."""
    return f"(0 * {select_team_row('threshold_seconds')} - 1) unless {timestamp}"


def keep_largest(count: str, counts: str) -> str:
    """Keep `count` if it is above zero and none of `counts` is larger."""
    return f"({count} > 0) >= scalar(max({counts}))"


def compute_share(part: str, rest: str) -> str:
    """Compute `part / (part + rest)`, or no value if `part + rest` is below the minimum sample."""
    return f"{part} / ({part} + {rest}) and ({part} + {rest} >= scalar(max({select('minimum_sample')})))"


def bridge_gaps(expression: str) -> str:
    """Let each point of a trend use the last sample since the previous point.

    By default, `export-history` writes one sample a day, but Prometheus looks back only five minutes for a sample.
    """
    return _SELECTOR.sub(lambda selector: f"last_over_time({selector.group()}[$__rate_interval])", expression)


def _select_chosen(metric: str, **labels: str) -> str:
    organisation = f'loopgauge_threshold_seconds{{namespace="{NAMESPACE}", team="{TEAM}", team="{ORGANISATION}"}}'
    return f"{select(metric, team=TEAM, **labels)} or {select(metric, **labels)} and on () {organisation}"


def _write_matcher(name: str, value: str) -> str:
    return f'{name}!="{value[1:]}"' if value.startswith("!") else f'{name}="{value}"'


def _join_labels(*labels: str) -> str:
    return ", ".join(labels)
