"""A snapshot contains the metrics in Prometheus' text format and in OpenMetrics."""

from collections.abc import Iterable
from datetime import timedelta

from prometheus_client import Metric
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics import METRICS
from service.metrics.view import View
from service.pipeline.snapshot import render
from tests.support.builders import at, experiment, terms

NOW = at(20)
SEVERAL = View.of(
    [
        experiment(
            idea_at=at(19) - timedelta(hours=hours), concluded_at=at(19), team='"quoted"\\team\n', risk=Risk.BOLD
        )
        for hours in range(6)
    ]
    + [
        experiment(
            idea_at=at(1),
            concluded_at=at(15),
            outcome=Outcome.FAILED,
            failure_category=FailureCategory.BASIC,
            shared_at=at(16),
        ),
        experiment(idea_at=at(1), team=""),
    ],
    terms("7d", "365d"),
    NOW,
)


def flat(families: Iterable[Metric]) -> list[tuple[str, tuple[tuple[str, str], ...], float]]:
    """The samples of all families, sorted so that the two formats can be compared."""
    return sorted(
        (sample.name, tuple(sorted(sample.labels.items())), float(sample.value))
        for family in families
        for sample in family.samples
    )


def test_both_formats_can_be_parsed_and_contain_the_samples_of_the_metrics() -> None:
    made = [family for families in METRICS for family in families(SEVERAL)]
    snapshot = render(SEVERAL)
    text = list(text_string_to_metric_families(snapshot.text.decode()))
    opened = list(openmetrics.text_string_to_metric_families(snapshot.openmetrics.decode() + "# EOF\n"))
    assert snapshot.taken_at == NOW
    assert {(family.name, family.type, family.documentation) for family in opened} == {
        (family.name, family.type, family.documentation) for family in made
    }
    assert flat(text) == flat(opened) == flat(made)
