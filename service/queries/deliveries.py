"""List and look up deliveries. Each has the event that it reports, and the subject of this event."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from service.deliveries.delivery import Delivery, UnreadableDelivery
from service.deliveries.event_name import LONGEST_DOCUMENT, EventName
from service.lifecycle.errors import UnknownSubject
from service.lifecycle.references import Ref
from service.providers import PROVIDERS
from service.queries.refusals import futile_commands
from service.queries.subjects import find_in
from service.storage import aliases, experiments, inbox_listing
from service.storage.database import Connection, Database
from service.storage.inbox_listing import InboxRow

_BRANCH = "branch:"


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """The conditions that listed deliveries must meet. None means no condition.

    Attributes:
        ref: an id, a reference or an address of the subject that the delivery is about. A delivery that states no event
            and no link, such as a pending one, is about no subject.
        verdict: counted, ignored, failed or pending; or refused, for deliveries of which a part was refused.
        since: the earliest time of receipt.
    """

    source: str | None = None
    verdict: str | None = None
    since: datetime | None = None
    ref: str | None = None


@dataclass(frozen=True, slots=True)
class ListedDelivery:
    """A delivery, the name of its event in the provider's words, and the subject that it is about.

    Attributes:
        event: empty if the delivery does not name its event, or if its body has been deleted.
        reference: empty if the delivery states no event and no link.
        futile: why commands of the delivery have no effect.
    """

    row: InboxRow
    event: str
    reference: str
    futile: Sequence[str]


async def list_deliveries(
    database: Database, asked: DeliveryFilter, cursor: str | None, limit: int
) -> tuple[list[ListedDelivery], str | None]:
    """List a page of deliveries, the newest first, and return it with the cursor of the next page.

    Raises:
        BadReference: `asked.ref` has none of the accepted forms.
        AmbiguousReference: `asked.ref` means several stored subjects.
        InvalidCursor: the cursor does not have the form of an inbox cursor.
        DatabaseUnavailable: the deliveries cannot be read.
    """
    async with database.read_transaction() as connection:
        about = await _names(connection, asked.ref) if asked.ref is not None else None
        rows, following = await inbox_listing.read_page(
            connection,
            source=asked.source,
            verdict=asked.verdict,
            since=asked.since,
            about=about,
            cursor=cursor,
            limit=limit,
        )
        return await describe_deliveries(connection, rows), following


async def describe_deliveries(connection: Connection, rows: Sequence[InboxRow]) -> list[ListedDelivery]:
    """Add to deliveries the names of their events and the subjects that they are about."""
    ids = [row.id for row in rows]
    subjects = await _read_subjects(connection, ids)
    events: dict[UUID, str] = {}
    by_id = {row.id: row for row in rows}
    async for delivery, headers, body in inbox_listing.read_contents(connection, ids, LONGEST_DOCUMENT):
        events[delivery] = _event(by_id[delivery], headers, body)
    futile = await futile_commands(connection, ids)
    return [
        ListedDelivery(row, events.get(row.id, ""), subjects.get(row.id, ""), futile.get(row.id, ())) for row in rows
    ]


async def _names(connection: Connection, ref: str) -> Collection[Ref]:
    """All names, old and new, of the subject that a person means; none if nothing is stored about it."""
    try:
        subject = await find_in(connection, ref)
    except UnknownSubject:
        return frozenset()
    names = await aliases.read_all(connection)
    return names.names(names.canonical(subject))


async def _read_subjects(connection: Connection, ids: Sequence[UUID]) -> dict[UUID, Ref]:
    """The newest name of the subject that each delivery is about, if it states an event or a link.

    An item or a change comes before a branch, a run and a commit. A branch is left out unless it is an experiment: the
    name of a fork's branch has the name of the fork's owner, who is a person.
    """
    stated = await inbox_listing.read_subjects(connection, ids)
    names = await aliases.read_all(connection)
    subjects = {delivery: [names.canonical(subject) for subject in found] for delivery, found in stated.items()}
    branches = [one for found in subjects.values() for one in found if one.startswith(_BRANCH)]
    roots = await experiments.select_roots(connection, branches)
    shown = {
        delivery: next((one for one in found if one in roots or not one.startswith(_BRANCH)), None)
        for delivery, found in subjects.items()
    }
    return {delivery: subject for delivery, subject in shown.items() if subject}


def _event(row: InboxRow, headers: Mapping[str, str], body: bytes) -> str:
    provider = PROVIDERS.get(row.provider)
    if provider is None:
        return ""
    name: EventName = provider.event_name
    try:
        delivery = Delivery(row.source, row.provider, row.provider_id, headers, body, row.received_at)
        document = provider.document(delivery) if body else b""
    except UnreadableDelivery:
        document = b""
    return name.read(headers, document)
