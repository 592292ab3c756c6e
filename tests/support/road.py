"""Run the pipeline step by step. Nothing runs in the background: when a function returns, its work is complete."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select

from service.app import create_app
from service.deliveries.delivery import Delivery
from service.lifecycle.exclusions import Exclusion
from service.lifecycle.experiment import Experiment
from service.lifecycle.references import Ref
from service.pipeline.interpret import interpret_pending
from service.pipeline.project import project_dirty
from service.pipeline.snapshot import ExperimentCache, take_snapshot
from service.rules.model import Rules
from service.settings import Settings, load_rules
from service.storage import aliases, experiments, inbox, inbox_listing
from service.storage.database import Database
from service.storage.tables import exclusions
from service.telemetry import Telemetry
from tests.support.builders import SECRET, GitHubRequest, at, terms
from tests.support.data_directory import VARIABLE, data_directory
from tests.support.signing import POSTED, SOURCES, Request

TERMS = terms("7d", "90d")
RULES = load_rules(Settings())
Samples = dict[tuple[str, ...], float]


def settings(**given: Any) -> Settings:
    """Settings with one GitHub source and the role `api`, which does no background work.

    Reads are open, unless the settings name a host. The data directory is that of the tests: a spool in the default one
    may have the deliveries of a real service, which the application would move to its inbox.
    """
    sources = {"github": {"secret": SECRET, "previous_secret": "the one before"}}
    defaults = {"sources": sources, "role": "api", "spool": False, "open_reads": "host" not in given}
    directory = {"data_dir": data_directory()[VARIABLE]} if data_directory() else {}
    return Settings.model_validate({**defaults, **directory, **given})


@asynccontextmanager
async def api(database: Database, now: datetime | None = None, **given: Any) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the application, with a clock that does not advance."""
    app = create_app(settings(**given), RULES, database, lambda: now or at(2))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client,
    ):
        yield client


def bearer(token: str) -> dict[str, str]:
    """The header of a bearer token."""
    return {"authorization": f"Bearer {token}"}


async def post(client: httpx.AsyncClient, request: GitHubRequest, source: str = "github") -> httpx.Response:
    """Post a signed delivery."""
    return await client.post(f"/webhooks/{source}", content=request.body, headers=request.headers())


def is_problem(response: httpx.Response, status: int, slug: str) -> bool:
    """Whether a response is a complete problem document with this status and this slug."""
    problem = response.json()
    return (
        response.status_code == problem["status"] == status
        and response.headers["content-type"] == "application/problem+json"
        and problem["type"] == f"urn:loopgauge:problem:{slug}"
        and bool(problem["title"] and problem["detail"])
    )


async def deliver(database: Database, *requests: GitHubRequest | Request, rules: Rules = RULES) -> None:
    """Post deliveries with a client of its own, check that each is acknowledged, and process them.

    When the function returns, the experiments are up to date.
    """
    async with api(database, POSTED, sources=SOURCES) as client:
        for request in requests:
            response = await client.post(request.path, content=request.body, headers=request.headers())
            assert response.status_code == 202, response.text
    await settle(database, rules)


async def store_deliveries(database: Database, *deliveries: Delivery) -> None:
    """Put deliveries into the inbox."""
    async with database.transaction() as connection:
        await inbox.store(connection, deliveries)


async def read_deliveries(database: Database) -> list[inbox_listing.InboxRow]:
    """Every delivery in the inbox."""
    async with database.transaction() as connection:
        rows, _ = await inbox_listing.read_page(connection, limit=2000)
    return rows


async def store_experiments(database: Database, *stored: Experiment, gone: Sequence[str] = ()) -> None:
    """Store experiments, and delete the experiments whose roots are in `gone`."""
    async with database.transaction() as connection:
        await experiments.replace(connection, stored, [Ref(root) for root in gone])


async def settle(database: Database, rules: Rules = RULES) -> Telemetry:
    """Interpret all pending deliveries, project all dirty subjects, and return the telemetry of that work."""
    telemetry = Telemetry(["github"])
    while await interpret_pending(database, rules, telemetry, lambda: at(2)):
        pass
    await project(database, telemetry)
    return telemetry


async def project(database: Database, telemetry: Telemetry | None = None) -> None:
    """Project until no subject is dirty."""
    while await project_dirty(database, lambda: at(2), telemetry):
        pass


async def all_experiments(database: Database) -> dict[str, Experiment]:
    """Every experiment, by root."""
    async with database.transaction() as connection:
        return {experiment.root: experiment for experiment in await experiments.read_all(connection)}


async def stored_names(database: Database, subject: str) -> list[Ref]:
    """The names under which something may be stored about a subject."""
    async with database.transaction() as connection:
        return sorted((await aliases.read_all(connection)).names(Ref(subject)))


async def all_exclusions(database: Database) -> dict[str, Exclusion]:
    """Every exclusion, by subject."""
    async with database.transaction() as connection:
        rows = await connection.execute(select(exclusions))
        return {row.subject: Exclusion(row.reason, row.excluded_at) for row in rows}


async def exported_samples(database: Database, now: datetime) -> Samples:
    """Every sample of a snapshot as of `now`, by name and by label values in the order of the label names."""
    snapshot = await take_snapshot(database, TERMS, lambda: now, ExperimentCache())
    return parse_samples(snapshot.text.decode())


def parse_samples(text: str) -> Samples:
    """The samples of a scrape, by name without `loopgauge_` and by label values in the order of the label names."""
    return {
        (sample.name.removeprefix("loopgauge_"), *(sample.labels[name] for name in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
