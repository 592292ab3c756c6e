"""Judge: what one delivery says, and its verdict, without writing anything down."""

from datetime import UTC, datetime
from typing import Any

import structlog

from service.deliveries.decoding import decode
from service.deliveries.delivery import Delivery, Provider, UnreadableDelivery
from service.providers import PROVIDERS
from service.rules.interpret import interpret
from service.rules.model import Interpretation, Rules

_log = structlog.get_logger(__name__)

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(3000, 1, 1, tzinfo=UTC)


def interpret_delivery(rules: Rules, delivery: Delivery) -> Interpretation:
    """What one delivery says under today's rules. A delivery that cannot be read, or trips us, is *failed*."""
    provider = PROVIDERS.get(delivery.provider)
    if provider is None:
        return Interpretation("failed", f"provider `{delivery.provider}` is not known to this version of loopgauge")
    try:
        observed = provider.observe(delivery)
        found = interpret(rules, provider.name, observed, lambda: _payload(provider, delivery))
        _check_times(found)
    except UnreadableDelivery as error:
        return Interpretation("failed", str(error))
    except Exception as error:  # noqa: BLE001 - a fault of ours must not stop its neighbours; the delivery is kept
        _log.exception("delivery failed", delivery=str(delivery.id), source=delivery.source)
        return Interpretation("failed", f"a fault in loopgauge: {type(error).__name__}")
    return found


def _check_times(found: Interpretation) -> None:
    """Refuse times that mean "none" to whoever wrote them, such as the year 1, and infinity to PostgreSQL."""
    stated = [event.occurred_at for event in found.events]
    stated += [link.stated_at for link in found.links]
    stated += [alias.renamed_at for alias in found.aliases]
    for at in stated:
        if not _EARLIEST <= at < _LATEST:
            raise UnreadableDelivery(f"the time {at.isoformat()} is out of range")


def _payload(provider: Provider, delivery: Delivery) -> Any:
    return decode(provider.document(delivery), object)
