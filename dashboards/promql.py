"""What panels ask of Prometheus, in the words of the figures.

Replicas export what they share more than once, and each under its own name: `max without (instance, pod)` makes one of
them. A label that a selection fixes is dropped, so that figures that were selected alike can be compared and divided.
Installations on one Prometheus are told apart by the label `namespace`, and every selection is of the chosen one; where
nothing has that label, none is chosen and Prometheus takes the empty value for its absence.
Nothing here stands in for what is absent: without an exporter there is no figure.
"""

import re

from service.metrics.view import ORGANISATION

NAMESPACE = "$namespace"
WINDOW = "$window"
TEAM = "$team"
TOO_FEW = -1.0
"""What `too_few` has as its value; no figure is negative."""
NOT_REACHED = -2.0
"""What `not_reached` has as its value."""
NEVER = -1.0
"""What `never` has as its value."""
_SELECTOR = re.compile(r"(?:loopgauge|process)_\w+\{[^}]*\}(?!\[)")


def select(metric: str, **labels: str) -> str:
    """The series of a metric in the chosen installation, by its name without the prefix.

    Args:
        labels: what each label has to be, or after `!` must not be.
    """
    return of_installation(f"loopgauge_{metric}", **labels)


def of_installation(name: str, **labels: str) -> str:
    """The series of this whole name in the chosen installation."""
    matchers = [_matcher(label, value) for label, value in {"namespace": NAMESPACE, **labels}.items()]
    return f"{name}{{{', '.join(matchers)}}}"


def row(metric: str, **labels: str) -> str:
    """The figure of the chosen team, or of the organisation, for metrics that have a row for it."""
    return f"max without ({_names('instance', 'pod', 'team', *labels)}) ({select(metric, team=TEAM, **labels)})"


def total(metric: str, *summed: str, **labels: str) -> str:
    """The count of the chosen team; of the organisation, whose rows counts do not have, the sum of all teams.

    Args:
        summed: labels over which to add up.
    """
    return (
        f"sum without ({_names('team', *summed, *labels)}) (max without (instance, pod) ({_chosen(metric, **labels)}))"
    )


def listed(metric: str, *by: str) -> str:
    """The series of the chosen team, or of all teams, by these labels."""
    return f"max by ({_names(*by)}) ({_chosen(metric)})"


def spread(histogram: str, **labels: str) -> str:
    """The cumulative buckets of the chosen team, or of all teams, by their upper bound."""
    return f"sum by (le) (max without (instance, pod) ({_chosen(f'{histogram}_bucket', **labels)}))"


def per_team(metric: str, **labels: str) -> str:
    """The figure of each team."""
    return f"max by (team) ({select(metric, team=f'!{ORGANISATION}', **labels)})"


def total_per_team(metric: str, **labels: str) -> str:
    """The count of each team, over all that it is told apart by."""
    return f"sum by (team) (max without (instance, pod) ({select(metric, **labels)}))"


def shared(metric: str, *by: str, **labels: str) -> str:
    """What every process sees alike, since it is in the database, whatever else tells processes apart."""
    return f"max by ({_names(*by)}) ({select(metric, **labels)})"


def of_all_processes(metric: str) -> str:
    """What each process has of its own, added up."""
    return f"sum({select(metric)})"


def per_second(counter: str, *by: str, **labels: str) -> str:
    """How fast a counter grows, added up over processes."""
    return f"sum by ({_names(*by)}) (rate({select(counter, **labels)}[$__rate_interval]))"


def in_range(counter: str, *by: str, **labels: str) -> str:
    """How much a counter grew in the time range of the dashboard, added up over processes."""
    return f"sum by ({_names(*by)}) (increase({select(counter, **labels)}[$__range]))"


def of_our_processes(expression: str) -> str:
    """What a client library tells of every process, of ours alone."""
    return f"{expression} and on (job, instance) {select('build_info')}"


def slowest(histogram: str, q: float, *by: str) -> str:
    """A quantile of what took time, in seconds, guessed from the buckets of all processes."""
    return f"histogram_quantile({q}, {per_second(f'{histogram}_bucket', 'le', *by)})"


def since(timestamp: str) -> str:
    """How long ago, in seconds."""
    return f"time() - {timestamp}"


def too_few(sample: str, figure: str) -> str:
    """`TOO_FEW` where the sample is known but the figure is withheld."""
    return f"(0 * {sample} - 1) unless {figure}"


def not_reached(share: str, time: str) -> str:
    """`NOT_REACHED` where so few get an answer that there is no time by which half of them do."""
    return f"(0 * {share} - 2) unless {time}"


def never(timestamp: str) -> str:
    """`NEVER` where the figures are there, but what they tell the time of has not happened."""
    return f"(0 * {row('threshold_seconds')} - 1) unless {timestamp}"


def if_largest(count: str, counts: str) -> str:
    """A count where no other is larger, if there is anything to count."""
    return f"({count} > 0) >= scalar(max({counts}))"


def share(part: str, rest: str) -> str:
    """A part of both, withheld where both are fewer than the minimum sample."""
    return f"{part} / ({part} + {rest}) and ({part} + {rest} >= scalar(max({select('minimum_sample')})))"


def through_time(expression: str) -> str:
    """The expression as a trend asks for it: each point finds the last sample of its step, however far apart they are.

    Figures that were brought in from the past are a day apart, and Prometheus looks back five minutes by itself.
    """
    return _SELECTOR.sub(lambda found: f"last_over_time({found.group()}[$__rate_interval])", expression)


def _chosen(metric: str, **labels: str) -> str:
    organisation = f'loopgauge_threshold_seconds{{namespace="{NAMESPACE}", team="{TEAM}", team="{ORGANISATION}"}}'
    return f"{select(metric, team=TEAM, **labels)} or {select(metric, **labels)} and on () {organisation}"


def _matcher(name: str, value: str) -> str:
    return f'{name}!="{value[1:]}"' if value.startswith("!") else f'{name}="{value}"'


def _names(*labels: str) -> str:
    return ", ".join(labels)
