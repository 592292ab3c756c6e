"""An explanation shows the same values as a scrape, and each experiment's own part in them."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from random import Random

import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.lifecycle.taxonomy import FailureCategory, Outcome
from service.metrics.terms import Terms
from service.metrics.view import View
from service.pipeline.snapshot import families_of
from service.queries import contributions
from service.queries.contributions import Contribution, find_contributions, read_row
from service.storage.database import Database
from tests.support.builders import experiment, terms
from tests.support.portfolios import NOW, Portfolio, portfolios
from tests.support.road import store_experiments

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
NOT_COMPUTED = ("loopgauge_excluded", "loopgauge_experiment_overdue_age_seconds")


def distinct(portfolio: Portfolio) -> list[Experiment]:
    """The experiments with distinct roots. Some have equal titles."""
    random = Random(len(portfolio.experiments))
    titles = ("Cache", "cache!", "", "Rank")
    return [
        replace(one, root=Ref(f"key:{number}"), title=random.choice((*titles, f"Alone {number}")))
        for number, one in enumerate(portfolio.experiments)
    ]


def scraped(of: Iterable[Experiment], given: Terms) -> Samples:
    families = families_of(View.of(of, given, NOW))
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


async def contributions_of(database: Database, one: Experiment, given: Terms) -> list[Contribution]:
    async with database.transaction() as connection:
        row = await read_row(connection, one, given, NOW)
    return find_contributions(one, row, given, NOW)


def key(one: Contribution) -> tuple[str, frozenset[tuple[str, str]]]:
    return one.metric, frozenset(one.labels.items())


@pytest.mark.parametrize("max_teams", [1, 200])
@pytest.mark.parametrize("seed", range(6))
async def test_every_value_is_the_value_of_a_scrape(database: Database, seed: int, max_teams: int) -> None:
    (portfolio,) = portfolios(seed=seed, many=1)
    given = replace(portfolio.terms, max_teams=max_teams)
    stored = distinct(portfolio)
    await store_experiments(database, *stored)
    samples = scraped(stored, given)
    counted: defaultdict[tuple[str, frozenset[tuple[str, str]]], float] = defaultdict(float)
    for one in stored:
        for found in await contributions_of(database, one, given):
            if found.metric in NOT_COMPUTED:
                continue
            assert found.value == samples.get(key(found)), found
            assert bool(found.remark) is (found.value is None), found
            if found.numerator is not None and found.sample is not None and found.value is not None:
                assert found.value == found.numerator.count / found.sample.count
            if found.kind == "count":
                counted[key(found)] += found.own or 0
            if found.sample is not None:
                assert found.sample.includes
                counted[key(found)] += 1
                assert counted[key(found)] <= found.sample.count
    for sample, own in counted.items():
        if not sample[0].endswith(("_ratio", "_quantile_seconds")):
            assert own == samples[sample], sample


async def test_teams_that_share_a_row_are_counted_together(database: Database) -> None:
    teams = ("ads", "billing", "cache", "data", "", "_mine")
    stored = [
        experiment(f"key:{number}", team=team, idea_at=NOW - timedelta(9 - number)) for number, team in enumerate(teams)
    ]
    await store_experiments(database, *stored)
    given = terms("90d", max_teams=2)
    in_flight = [(await contributions_of(database, one, given))[0] for one in stored]
    assert [(one.labels["team"], one.value, one.own) for one in in_flight] == [
        ("ads", 1, 1),
        ("billing", 1, 1),
        ("_other", 2, 1),
        ("_other", 2, 1),
        ("_none", 2, 1),
        ("_none", 2, 1),
    ]


async def test_an_experiment_counts_in_the_denominator_of_shares_whose_numerator_it_is_not_in(
    database: Database,
) -> None:
    given = terms("90d", min_sample=2)
    idea_at, concluded_at = NOW - timedelta(9), NOW - timedelta(8)
    failed = experiment(
        "key:a",
        idea_at=idea_at,
        concluded_at=concluded_at,
        outcome=Outcome.FAILED,
        failure_category=FailureCategory.BASIC,
    )
    worked = experiment("key:b", idea_at=idea_at, concluded_at=concluded_at, outcome=Outcome.WORKED)
    await store_experiments(database, failed, worked)
    found = {
        one.labels["category"]: one
        for one in await contributions_of(database, worked, given)
        if one.metric == "loopgauge_failure_category_ratio"
    }
    assert {category: one.value for category, one in found.items()} == {
        "intelligent": 0,
        "basic": 0.5,
        "complex": 0,
        "unclassified": 0,
    }
    basic = found["basic"]
    assert basic.numerator is not None
    assert basic.sample is not None
    assert (basic.numerator.count, basic.numerator.includes) == (1, False)
    assert (basic.sample.count, basic.sample.includes) == (2, True)


async def test_a_share_below_the_minimum_sample_is_withheld_and_says_why(database: Database) -> None:
    lone = experiment("key:a", idea_at=NOW - timedelta(9), concluded_at=NOW - timedelta(8))
    await store_experiments(database, lone)
    shares = [one for one in await contributions_of(database, lone, terms("90d")) if one.kind == "share"]
    assert len(shares) == 7
    assert all(one.value is None for one in shares)
    assert {one.remark for one in shares} == {"withheld: 1 in the sample, fewer than LOOPGAUGE_MIN_SAMPLE=5"}


async def test_an_idea_that_repeats_another_teams_title_counts_as_a_repeat(database: Database) -> None:
    first = experiment(
        "key:a", title="Cache", team="ads", idea_at=NOW - timedelta(20), concluded_at=NOW - timedelta(18)
    )
    second = experiment("key:b", title="cache", team="search", idea_at=NOW - timedelta(5))
    await store_experiments(database, first, second)
    given = terms("7d")
    of_first = await contributions_of(database, first, given)
    of_second = await contributions_of(database, second, given)
    repeats = [one for one in of_second if one.metric == "loopgauge_repeated_experiments"]
    assert not any(one.metric == "loopgauge_repeated_experiments" for one in of_first)
    assert [(one.value, one.own, one.labels["team"]) for one in repeats] == [(1, 1, "search")]


async def test_a_row_with_too_many_experiments_has_no_values_but_says_what_counts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contributions, "MOST_EXPERIMENTS", 1)
    both = [experiment(f"key:{name}", idea_at=NOW - timedelta(9)) for name in "ab"]
    await store_experiments(database, *both)
    found = await contributions_of(database, both[0], terms("90d"))
    assert {(one.metric, one.own) for one in found} > {("loopgauge_experiments_in_flight", 1)}
    assert {(one.value, one.remark) for one in found} == {
        (None, "not computed here: the row has more than 1 experiments")
    }
