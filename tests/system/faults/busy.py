"""Authentic deliveries that are made to keep the service busy, while honest senders post theirs."""

import asyncio
import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain
from pathlib import Path

from sqlalchemy import text

from service.lifecycle.references import Ref
from service.storage import aliases
from tests.support.builders import at
from tests.support.payloads import Ticket
from tests.support.signing import Request
from tests.system.faults.fleet import Fleet, Member
from tests.system.faults.load import Offered, ideas, offer
from tests.system.faults.outage import Cluster, migrate
from tests.system.faults.state import opened
from tests.system.faults.stories import Posting, posting

_LINKED = 50
_LOOK_SECONDS = 0.5
_BUSY = "BUSY-1"
MOST_FOLDED = 1000
TOO_MANY_LINKS = "set aside: more than 20,000 links connect the subject with others"


@dataclass(frozen=True, slots=True)
class Attacked:
    """The results of an attack.

    Attributes:
        honest: the results of the honest sender.
        attack: the results of the attacker.
        projected: how many of the honest deliveries have their experiment at the end.
        holders: how many processes held the lease of the leader during the attack.
        reasons: why subjects are set aside at the end.
        folded: the number of events of the busy ticket that a fold still reads.
        fell: the last log line of each process that ended by itself.
    """

    honest: Offered
    attack: Offered
    projected: int
    holders: int
    reasons: Sequence[str]
    folded: int
    fell: Sequence[str]


def keep_busy(directory: Path, seconds: float, tickets: int, repetitions: int, patience: float) -> Attacked:
    """Post honest deliveries, and at the same time densely linked tickets and repetitions of one ticket.

    One process has both roles, so that its event loop receives deliveries while it projects.

    Args:
        tickets: the number of densely linked tickets.
        repetitions: the number of deliveries about one busy ticket.
        patience: the maximum number of seconds to wait, after the last answer, for the experiments of all honest
            deliveries.
    """
    with contextlib.closing(Cluster(directory / "cluster")) as cluster:
        asyncio.run(migrate(cluster.url))
        settings = {"DATABASE_URL": cluster.url, "DATA_DIR": str(directory / "data"), "SNAPSHOT_INTERVAL": "1s"}
        member = Member("all", directory, ROLE="all", **settings)
        with Fleet([member]):
            deliveries = chain(map(posting, dense_tickets(tickets)), map(posting, repeated_ticket(repetitions)))
            return asyncio.run(_attacked(cluster.url, member, deliveries, seconds, patience))


def dense_tickets(number: int) -> Iterator[Request]:
    """Generate the deliveries of experiments of which each is evidence for fifty others."""
    for place in range(number):
        ticket = Ticket(key=f"DENSE-{place}", created_at=at(2))
        others = [f"DENSE-{(place + step) % number}" for step in range(1, _LINKED + 1)]
        links = [{"type": {"outward": "tests"}, "outwardIssue": {"key": other}} for other in others]
        yield _with_fields(ticket.created(), issuelinks=links)


def repeated_ticket(number: int) -> Iterator[Request]:
    """Generate the deliveries of one experiment that is edited every minute."""
    for minute in range(number):
        ticket = Ticket(key=_BUSY, summary=f"Try {minute % 3}", created_at=at(2))
        yield ticket.event("jira:issue_updated", at(2) + timedelta(minutes=minute))


def _with_fields(request: Request, **fields: object) -> Request:
    payload = json.loads(request.body)
    payload["issue"]["fields"] |= fields
    return Request(request.source, json.dumps(payload).encode(), request.named)


async def _attacked(
    url: str, member: Member, deliveries: Iterator[Posting], seconds: float, patience: float
) -> Attacked:
    holders: set[str] = set()
    watching = asyncio.create_task(_watch_leases(url, holders))
    every = list(deliveries)
    honest, attacking = await asyncio.gather(
        offer(member.port, ideas(), 10, seconds, 20, patient=True, answer_seconds=patience),
        offer(member.port, iter(every), len(every) / seconds, seconds, 20, patient=True, answer_seconds=patience),
    )
    projected = await _projected(url, len(honest.acknowledged), patience)
    reasons, folded = await _settled(url, patience)
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    return Attacked(honest, attacking, projected, len(holders), reasons, folded, list(member.fell))


async def _watch_leases(url: str, holders: set[str]) -> None:
    async with opened(url) as database:
        while True:
            async with database.transaction() as connection:
                holders.update(map(str, await connection.scalars(text("SELECT holder FROM leases"))))
            await asyncio.sleep(_LOOK_SECONDS)


async def _projected(url: str, expected: int, patience: float) -> int:
    deadline = time.monotonic() + patience
    query = text("SELECT count(*) FROM experiments WHERE root LIKE 'github:%'")
    async with opened(url) as database:
        while True:
            async with database.transaction() as connection:
                found = await connection.scalar(query) or 0
            if found == expected or time.monotonic() > deadline:
                return found
            await asyncio.sleep(_LOOK_SECONDS)


async def _settled(url: str, patience: float) -> tuple[list[str], int]:
    """Wait until the dense tickets are set aside and the busy ticket is condensed, or the time is up."""
    deadline = time.monotonic() + patience
    async with opened(url) as database:
        while True:
            async with database.transaction() as connection:
                pending = await connection.scalar(text("SELECT count(*) FROM deliveries WHERE verdict IS NULL"))
                reasons = await connection.scalars(text("SELECT DISTINCT error FROM touched WHERE attempts > 0"))
                named = {"names": sorted((await aliases.read_all(connection)).names(Ref(f"jira:{_BUSY}")))}
                folded = await connection.scalar(text("SELECT count(*) FROM events WHERE subject = ANY(:names)"), named)
            left = list(reasons), folded or 0
            if (not pending and TOO_MANY_LINKS in left[0] and left[1] < MOST_FOLDED) or time.monotonic() > deadline:
                return left
            await asyncio.sleep(_LOOK_SECONDS)
