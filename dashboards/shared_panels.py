"""Panels that several dashboards share, so that the dashboards cannot contradict each other."""

from grafana_foundation_sdk.models.dashboard import Panel

from dashboards import shared_queries as shared
from dashboards.links import Link
from dashboards.panels import PanelSpec, build_bars, build_names, build_stat, build_trend, explain_too_few
from dashboards.promql import mark_too_few
from dashboards.queries import DAYS, RATIO, SECONDS, Query
from dashboards.words import WITHHELD


def build_idea_to_answer(leads_to: Link) -> Panel:
    """Build the panel that shows the time from idea to answer."""
    spec = PanelSpec(
        "From idea to answer",
        "The time from idea to answer, for experiments answered in the window. The median is green within the "
        "threshold and orange above the threshold. The threshold is that of the chosen team or, if all teams are "
        "chosen, the default threshold. The share within the threshold compares each answer with its own team's "
        'threshold. The panel "Including open experiments" also covers experiments without an answer. A '
        "value is withheld if it covers fewer experiments than the minimum sample.",
    )
    return build_stat(spec, *shared.query_speed(leads_to))


def build_including_open(leads_to: Link) -> Panel:
    """Build the panel that shows the time from idea to answer, including open experiments."""
    spec = PanelSpec(
        "Including open experiments",
        "The estimated time after which half of the ideas proposed in the window are answered. The estimate "
        "(Kaplan-Meier) includes open and abandoned experiments for the time that they were observed, so a "
        'team cannot look fast by never finishing experiments. The words "not reached within the time observed" '
        "mean that too few ideas are answered to estimate the median. The threshold is that of the chosen team "
        "or, if all teams are chosen, the default threshold.",
        fixed_id=93481,
    )
    return build_stat(spec, *shared.query_speed_including_open(leads_to))


def build_speed_trend(leads_to: Link) -> Panel:
    """Build the trend of the time from idea to answer, without and with open experiments."""
    spec = PanelSpec(
        "From idea to answer, over time",
        "The median and the p90 of the time from idea to answer. Each point covers the window that ends at "
        "that time. If the median including open experiments is far above the other median, many experiments "
        "stay open or are abandoned.",
        width=12,
        missing=explain_too_few("answers"),
    )
    return build_trend(spec, *shared.query_speed_trend(leads_to), unit=DAYS)


def build_last_shared(leads_to: Link) -> Panel:
    """Build the panel that shows the time since a failed experiment was last shared."""
    spec = PanelSpec(
        "Last shared failure",
        "The time since a failed experiment was last shared. A long time does not prove that nothing failed. "
        "It is a reason to ask whether people feel safe to share failures.",
        fixed_id=990985,
    )
    return build_stat(spec, *shared.query_last_shared(leads_to))


def build_sharing_trend(width: int, leads_to: Link) -> Panel:
    """Build the trend of shared learnings."""
    spec = PanelSpec(
        "Shared learnings, over time",
        "How many learnings were shared, how many experiments were answered, and how many experiments failed. "
        "Each point covers the window that ends at that time.",
        width=width,
        fixed_id=499671,
    )
    return build_trend(spec, *shared.query_sharing_trend(leads_to))


def build_answer_to_shared(leads_to: Link) -> Panel:
    """Build the panel that shows the time from answer to shared learning."""
    median = shared.select_stage_quantile("answer_to_shared", "0.5")
    sample = shared.count_stage_samples("answer_to_shared")
    spec = PanelSpec(
        "From answer to shared",
        "The time from answer to shared learning, for experiments that were answered in the window and whose "
        "learning was shared. A value is withheld if it covers fewer experiments than the minimum sample.",
    )
    return build_stat(
        spec,
        Query("median", median, DAYS, leads_to=leads_to),
        Query("median", mark_too_few(sample, median), SECONDS, WITHHELD, leads_to=leads_to),
        Query("p90", shared.select_stage_quantile("answer_to_shared", "0.9"), DAYS, leads_to=leads_to),
        Query("shared", sample, leads_to=leads_to),
        Query("answers", shared.ANSWERED, leads_to=leads_to),
    )


def build_biggest_group(leads_to: Link) -> Panel:
    """Build the panel that names the biggest of Edmondson's groups of failures."""
    spec = PanelSpec(
        "The biggest group",
        "The group with the most failed experiments. An intelligent failure is a thoughtful try in new "
        "territory: aim for more. A basic failure is a preventable error in known territory: a sign of too "
        "little investment in quality. A complex failure has several causes across a system: a sign of broken "
        "communication. An unclassified failure has no group yet.",
        height=4,
    )
    return build_names(spec, *shared.query_biggest_group(leads_to))


def build_failure_sample(leads_to: Link) -> Panel:
    """Build the panel that shows the sample from which failure rates are computed."""
    spec = PanelSpec(
        "Failed and answered",
        "Experiments answered in the window, and how many of them failed.",
        height=4,
        fixed_id=64953,
    )
    return build_stat(
        spec,
        Query("failed", shared.FAILURES, leads_to=leads_to),
        Query("answers", shared.ANSWERED, leads_to=leads_to),
    )


def build_failure_rates(width: int, leads_to: Link) -> Panel:
    """Build the panel that shows the failure rate of each group."""
    spec = PanelSpec(
        "Failure rate by group",
        "The failed experiments of each group, divided by all experiments answered in the window. The panel "
        '"Failed and answered" shows how many experiments were answered. The rates are withheld if this '
        "number is below the minimum sample.",
        width=width,
        missing=explain_too_few("answers"),
        fixed_id=975579,
    )
    return build_bars(spec, *shared.query_failure_rates(leads_to), unit=RATIO)


def build_failure_rates_trend(width: int, leads_to: Link) -> Panel:
    """Build the trend of the failure rate of each group."""
    spec = PanelSpec(
        "Failure rate by group, over time",
        "The failed experiments of each group, divided by all experiments answered in the window. Each point "
        "covers the window that ends at that time. A rise of intelligent failures is not bad news.",
        width=width,
        missing=explain_too_few("answers"),
        fixed_id=384547,
    )
    return build_trend(spec, *shared.query_failure_rates(leads_to), unit=RATIO, stacked=True)


def build_abandoned(leads_to: Link) -> Panel:
    """Build the panel that shows the share of experiments that end without an answer."""
    spec = PanelSpec(
        "Abandoned",
        "The abandoned experiments, divided by all experiments concluded in the window. The share is withheld "
        "if the number of concluded experiments is below the minimum sample.",
        fixed_id=467158,
    )
    return build_stat(
        spec,
        Query("abandoned", shared.ABANDONED, RATIO, leads_to=leads_to),
        Query("abandoned", mark_too_few(shared.CONCLUDED, shared.ABANDONED), RATIO, WITHHELD, leads_to=leads_to),
        Query("concluded", shared.CONCLUDED, leads_to=leads_to),
    )


def build_demo_to_production(leads_to: Link) -> Panel:
    """Build the panel that shows the time from first result to production."""
    median = shared.select_stage_quantile("signal_to_shipped", "0.5")
    sample = shared.count_stage_samples("signal_to_shipped")
    spec = PanelSpec(
        "From demo to production",
        "The time from first result to production, for experiments that were answered in the window and "
        "shipped. This step, the last 20 % of the work, often takes long. A value is withheld if it covers fewer "
        "experiments than the minimum sample.",
    )
    return build_stat(
        spec,
        Query("median", median, DAYS, leads_to=leads_to),
        Query("median", mark_too_few(sample, median), SECONDS, WITHHELD, leads_to=leads_to),
        Query("p90", shared.select_stage_quantile("signal_to_shipped", "0.9"), DAYS, leads_to=leads_to),
        Query("shipped", sample, leads_to=leads_to),
    )


def build_repeated(leads_to: Link) -> Panel:
    """Build the panel that shows how often an idea started again."""
    spec = PanelSpec(
        "Repeated experiments",
        "How often an idea started again in the window after an earlier experiment with the same idea was "
        "concluded or forgotten. The number of ideas proposed in the window is shown for comparison.",
        fixed_id=341453,
    )
    return build_stat(
        spec,
        Query("repeated", shared.REPEATED, leads_to=leads_to),
        Query("ideas", shared.PROPOSED, leads_to=leads_to),
    )
