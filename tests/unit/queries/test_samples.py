"""Explanations know the sample of each metric that the minimum sample can withhold."""

from dataclasses import replace
from datetime import timedelta

from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics.view import View
from service.pipeline.snapshot import families_of
from service.queries.samples import SAMPLED
from tests.support.builders import experiment, terms
from tests.support.portfolios import NOW

ANSWERED = experiment(
    idea_at=NOW - timedelta(days=9),
    started_at=NOW - timedelta(days=8),
    first_signal_at=NOW - timedelta(days=7),
    concluded_at=NOW - timedelta(days=6),
    outcome=Outcome.FAILED,
    failure_category=FailureCategory.BASIC,
    shared_at=NOW - timedelta(days=5),
    risk=Risk.BOLD,
)


def test_the_samples_are_those_of_the_metrics_that_the_minimum_sample_withholds() -> None:
    given = terms("90d", min_sample=1)

    def names(minimum: int) -> set[str]:
        view = View.of([ANSWERED], replace(given, min_sample=minimum), NOW)
        return {sample.name for family in families_of(view) for sample in family.samples}

    assert names(1) - names(2) == SAMPLED.keys()
