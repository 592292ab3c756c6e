"""Record the lifecycle events, links, renames and ids that deliveries state, and mark their subjects dirty.

Lock order. Transactions take their locks in the order of this list; the exceptions are described after the list. Each
item also states in which order a transaction locks the rows of that item, or why the order does not matter. Waits
therefore never form a cycle: no deadlock is possible, except with a migration and in the fallback described below.
Contended rows come late in the list, so that they stay locked only briefly.

1. Rows of `deliveries`, by time of receipt and id (`inbox.replayable`, `inbox.requeue_failed`). `inbox.claim_pending`
   and `inbox.delete_bodies` skip locked rows, so they never wait.
2. The table `aliases`: a shared lock to record deliveries; an exclusive lock to record a rename or a new name of an id,
   to revise deliveries and to delete subjects. A shared lock is raised to an exclusive one if the names of ids changed
   while the transaction waited for it.
3. Rows of `event_deliveries` and `link_statements`. These rows are written only by the transaction that has locked
   their delivery, and by `events.delete_subjects` under the exclusive lock.
4. Rows of `events` and `spare_events`, by subject and id.
5. Rows of `links`, by `evidence`, `channel` and `stated_by`.
6. Rows of `aliases`, under the exclusive lock.
7. Rows of `identities`, by holder and name; then the row of `identity_version`, under the exclusive lock.
8. An advisory lock, to record pushes to default branches and deployments of commits; then rows of `pushes`. One
   transaction at a time locks these rows.
9. Rows of `touched`, by subject.

A transaction that revises deliveries or deletes subjects locks the rows of items 3 to 9 in another order. This is safe:
it holds the exclusive lock, so no other transaction can lock these rows, except a projection, which never waits for
them.

A projection takes other locks, in this order: advisory locks on subjects, for which it never waits; advisory locks on
roots, by key; and locks on the rows of `experiments` and `exclusions` for these roots. Last, a projection deletes or
updates rows of `touched`, and skips the locked rows. A transaction that records deliveries may wait for a projection to
commit, but a projection never waits for a transaction that records deliveries. There is one exception: before its last
step, the projection of a project or group marks dirty what is in it, by subject as in item 7. A transaction that it
waits for holds its last locks, and waits for none of the projection's.

The transaction that moves spare events (`pipeline.condense`) takes the shared lock of item 2, and then locks rows of
item 4, of one subject, by id.

A fallback breaks this order. After a failure, `pipeline.interpret` records the deliveries of a batch one by one, in one
transaction. The transaction therefore takes all locks for one delivery before it takes the first lock for the next.
PostgreSQL detects a deadlock between two such transactions, or between two that raise their shared locks, and aborts
one of them; the worker retries the aborted transaction.

Two workers may see an id or a name for the first time at the same moment. Both then need the exclusive lock, so the
second one waits, finds the row of the first one, and marks the subjects dirty that are others now. A row that exists is
never deleted, so a transaction that finds nothing to change needs no lock for that.
"""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from service.lifecycle.codec import event_id
from service.lifecycle.events import LifecycleEvent
from service.lifecycle.identities import Holding
from service.lifecycle.references import Ref
from service.storage import aliases, dirty_subjects, events, identities, links, pushes, spare_events
from service.storage.database import Connection
from service.storage.identities import Changes
from service.storage.interpreted import InterpretedDelivery
from service.storage.pushes import ReportedPush

__all__ = ["InterpretedDelivery", "record_deliveries", "revise_deliveries"]


async def record_deliveries(connection: Connection, interpreted: Sequence[InterpretedDelivery]) -> list[str]:
    """Record the events, links, renames, ids and pushes that deliveries state, and mark their subjects dirty.

    A deployment also marks the commits that it ships.

    The subjects of projects that a delivery identifies are recorded under their stored names. If an event is already
    stored, only the delivery is added to it, as a row of `event_deliveries`.

    Returns:
        The kind of each new event.
    """
    held = [holding for delivery in interpreted for holding in delivery.holdings()]
    changes = await _lock(connection, held, renames=any(delivery.aliases for delivery in interpreted))
    interpreted = [delivery.qualified() for delivery in interpreted]
    received: dict[LifecycleEvent, datetime] = {}
    rules: dict[tuple[LifecycleEvent, UUID], str] = {}
    for delivery in interpreted:
        for event, rule in delivery.events.items():
            received.setdefault(event, delivery.received_at)
            rules[event, delivery.delivery] = rule
    ids = {event: event_id(event) for event in received}
    await events.insert_provenance(connection, rules, ids)
    newest = await links.record_statements(
        connection, ((delivery.delivery, link) for delivery in interpreted for link in delivery.links)
    )
    recorded = await events.insert_events(connection, received, ids)
    replaced = await links.activate(connection, newest)
    renamed = await aliases.record_renames(
        connection, ((delivery.delivery, alias) for delivery in interpreted for alias in delivery.aliases)
    )
    renamed |= await aliases.record_identities(connection, changes)
    pushed = [
        ReportedPush(push, delivery.delivery, delivery.received_at)
        for delivery in interpreted
        for push in delivery.pushes
    ]
    shipped = await pushes.record(connection, pushed, pushes.deployments_in(received))
    subjects = {event.subject for event in received} | replaced | renamed | shipped
    for link in (link for delivery in interpreted for link in delivery.links):
        subjects |= {link.evidence, *link.targets}
    await dirty_subjects.mark_dirty(connection, subjects)
    return recorded


async def _lock(connection: Connection, held: Collection[Holding], *, renames: bool) -> Changes:
    """Take the lock that the deliveries need, and return the changes of `identities` that they cause.

    The changes are found before the lock, to know which lock they need, and again after it, because another transaction
    may have committed meanwhile. A shared lock that is too weak now is raised: only two transactions that do so at the
    same moment can block each other.
    """
    changes = await identities.find_changes(connection, held)
    exclusive = renames or changes.needs_exclusive_lock
    await (aliases.lock_exclusive if exclusive else aliases.lock_shared)(connection)
    if changes.rows:
        changes = await identities.find_changes(connection, held)
        if changes.needs_exclusive_lock and not exclusive:
            await aliases.lock_exclusive(connection)
            changes = await identities.find_changes(connection, held)
    return changes


async def revise_deliveries(connection: Connection, interpreted: Sequence[InterpretedDelivery]) -> list[str]:
    """Replace the recorded events, links, renames and pushes of deliveries with those in `interpreted`.

    An event, a link or a rename stays while another delivery states it. The names of ids stay in any case. The
    exclusive lock keeps other transactions from recording deliveries meanwhile. Without this lock, another transaction
    could rely on a stored event that this transaction is about to delete.

    Returns:
        The kind of each new event.
    """
    revised = [delivery.delivery for delivery in interpreted]
    await aliases.lock_exclusive(connection)
    shipped = await pushes.withdraw(connection, revised)
    orphaned = await events.withdraw_provenance(connection, revised)
    withdrawn = await links.withdraw_statements(connection, revised)
    renamed = await aliases.affected_subjects(connection, await aliases.withdraw_renames(connection, revised))
    recorded = await record_deliveries(connection, interpreted)
    await spare_events.delete_unasserted(connection, orphaned)
    await links.restore(connection, withdrawn)
    linked = {Ref(subject) for row in withdrawn for subject in (row.evidence, *row.targets)}
    await dirty_subjects.mark_dirty(connection, orphaned | linked | renamed | shipped)
    return recorded
