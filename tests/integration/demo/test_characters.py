"""The metrics of the demo's organisation show the character of each team."""

import asyncio
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import httpx

from service.app import metric_terms
from service.demo.organisation import SOURCES, TEAMS, THRESHOLDS
from service.demo.post import Post
from service.demo.signing import signed
from service.demo.timeline import history
from service.pipeline.snapshot import ExperimentCache, take_snapshot
from service.storage import inbox_listing
from service.storage.database import Database
from tests.support.road import RULES, Samples, api, parse_samples, settings, settle

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECRETS = {source: f"a secret of {source}" for source in SOURCES}
GIVEN = {"sources": {name: {"secret": secret} for name, secret in SECRETS.items()}, "thresholds": THRESHOLDS}
NAMES = [team.name for team in TEAMS]
DAY = 86_400


@dataclass(frozen=True, slots=True)
class Result:
    """The metrics and the deliveries after the demo has posted its past.

    Attributes:
        figures: the samples of the snapshot.
        verdicts: the source, status and reason of each delivery.
    """

    figures: Samples
    verdicts: list[tuple[str, str | None, str | None]]

    def of(self, name: str, *labels: str) -> dict[str, float]:
        """The values that a metric has for these label values, by team.

        The label value `team` is a placeholder, which is replaced by the name of each team.
        """
        by_team = {name_of: tuple(name_of if one == "team" else one for one in labels) for name_of in NAMES}
        found = {team: self.figures.get((name, *values)) for team, values in by_team.items()}
        return {team: value for team, value in found.items() if value is not None}


async def test_the_metrics_of_the_past_show_the_character_of_each_team(database: Database) -> None:
    async with api(database, START, **GIVEN) as client:
        posts = history(START, timedelta(weeks=26), random.Random(1))
        await asyncio.gather(*(_post(client, posts) for _ in range(24)))
    await settle(database)
    snapshot = await take_snapshot(database, metric_terms(settings(**GIVEN), RULES), lambda: START, ExperimentCache())
    async with database.transaction() as connection:
        rows, _ = await inbox_listing.read_page(connection, limit=100_000)
    verdicts = [(row.source, row.verdict, row.reason) for row in rows]
    result = Result(parse_samples(snapshot.text.decode()), verdicts)
    # This is one test, because posting half a year of deliveries takes long.
    for holds in SHOWN:
        holds(result)


async def _post(client: httpx.AsyncClient, posts: Iterator[Post]) -> None:
    for post in posts:
        answer = await client.post(f"/webhooks/{post.source}", content=post.body, headers=signed(post, SECRETS))
        assert answer.status_code == (401 if post.forged else 202), answer.text


def every_provider_is_read_and_each_delivery_has_its_verdict_and_reason(result: Result) -> None:
    assert {(source, verdict) for source, verdict, _ in result.verdicts} == {
        (source, verdict) for source in SOURCES for verdict in ("counted", "ignored")
    }
    assert all(reason for _, _, reason in result.verdicts)


def the_organisation_has_a_few_hundred_experiments_and_several_thousand_deliveries(result: Result) -> None:
    proposed = {key: value for key, value in result.figures.items() if key[0] == "experiments_proposed"}
    assert 250 <= sum(value for key, value in proposed.items() if key[-1] == "365d") <= 400
    assert 4_000 <= len(result.verdicts) <= 8_000


def search_is_fast_and_safe(result: Result) -> None:
    median = result.of("stage_quantile_seconds", "0.5", "idea_to_answer", "team", "90d")
    assert 1 * DAY < median["search"] < 4 * DAY
    assert result.of("answered_within_threshold_ratio", "team", "90d")["search"] > 0.9
    assert result.figures["threshold_seconds", "search"] == 7 * DAY
    bold = result.of("experiments_proposed", "bold", "team", "90d")
    safe = result.of("experiments_proposed", "safe", "team", "90d")
    assert bold["search"] < 0.25 * safe["search"]


def frontier_is_bold_fails_intelligently_shares_it_and_is_slower(result: Result) -> None:
    bold = result.of("experiments_proposed", "bold", "team", "90d")
    safe = result.of("experiments_proposed", "safe", "team", "90d")
    assert bold["frontier"] > 1.5 * safe["frontier"]
    assert _highest(result.of("failure_category_ratio", "intelligent", "team", "90d")) == "frontier"
    assert _highest(result.of("learnings_shared", "team", "90d")) == "frontier"
    assert START.timestamp() - result.figures["last_failure_shared_timestamp_seconds", "frontier"] < 14 * DAY
    median = result.of("stage_quantile_seconds", "0.5", "idea_to_answer", "team", "90d")
    assert _highest(median) == "frontier"


def platform_forgets(result: Result) -> None:
    forgotten = result.of("experiments_forgotten", "team")
    assert forgotten.pop("platform") >= 10
    assert set(forgotten.values()) == {0}
    overdue = result.of("experiments_overdue", "team")
    assert overdue["platform"] > sum(overdue.values()) / 2
    oldest = result.of("oldest_open_idea_timestamp_seconds", "team")
    assert min(oldest, key=oldest.__getitem__) == "platform"
    assert START.timestamp() - oldest["platform"] > 120 * DAY


def growth_repeats_itself(result: Result) -> None:
    repeated = result.of("repeated_experiments", "team", "90d")
    assert repeated.pop("growth") >= 15
    assert set(repeated.values()) == {0}


def payments_answers_and_shares_nothing(result: Result) -> None:
    shared = result.of("learnings_shared", "team", "365d")
    assert shared.pop("payments") == 0
    assert min(shared.values()) > 0
    unclassified = result.of("failures", "unclassified", "team", "90d")
    assert unclassified["payments"] >= 5
    assert unclassified["payments"] == sum(unclassified.values())
    assert "payments" not in result.of("last_failure_shared_timestamp_seconds", "team")
    assert "payments" in result.of("last_answer_timestamp_seconds", "team")


def devices_is_too_small_for_ratios_and_quantiles(result: Result) -> None:
    assert result.of("stage_samples", "idea_to_answer", "team", "90d")["devices"] == 3
    gated = ("answered_within_threshold_ratio", "abandoned_ratio", "survival_answered_by_threshold_ratio")
    shown = {name: set(result.of(name, "team", "90d")) for name in gated}
    assert shown == {name: set(NAMES) - {"devices"} for name in gated}
    assert "devices" not in result.of("stage_quantile_seconds", "0.5", "idea_to_answer", "team", "90d")


def checkout_abandons_and_so_looks_fast(result: Result) -> None:
    abandoned = result.of("abandoned_ratio", "team", "90d")
    assert abandoned.pop("checkout") > 0.5
    assert max(abandoned.values()) < 0.2
    plain = result.of("stage_quantile_seconds", "0.5", "idea_to_answer", "team", "365d")["checkout"]
    survival = result.of("idea_to_answer_survival_quantile_seconds", "0.5", "team", "365d")["checkout"]
    assert plain < 10 * DAY
    assert survival > 3 * plain


def life_is_noisy(result: Result) -> None:
    reasons = " ".join(reason or "" for _, _, reason in result.verdicts)
    for noise in ("a ping", "labels were chore", "only members, owners and", "names no ticket", "`star`"):
        assert noise in reasons
    for counted in ("reopened", "seen as a duplicate", "shipped by a deployment", "a run that failed"):
        assert counted in reasons
    assert result.figures["excluded", "duplicate", "365d"] >= 1


SHOWN = (
    every_provider_is_read_and_each_delivery_has_its_verdict_and_reason,
    the_organisation_has_a_few_hundred_experiments_and_several_thousand_deliveries,
    search_is_fast_and_safe,
    frontier_is_bold_fails_intelligently_shares_it_and_is_slower,
    platform_forgets,
    growth_repeats_itself,
    payments_answers_and_shares_nothing,
    devices_is_too_small_for_ratios_and_quantiles,
    checkout_abandons_and_so_looks_fast,
    life_is_noisy,
)


def _highest(by_team: dict[str, float]) -> str:
    return max(by_team, key=by_team.__getitem__)
