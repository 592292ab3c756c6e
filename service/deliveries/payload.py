"""The raw payload of a delivery, for rules that look into it. Pure."""

from functools import cached_property

from service.deliveries.decoding import decode
from service.deliveries.delivery import Delivery, Provider


class RawPayload:
    """The JSON document of a delivery. Few rules look into it, so it is decoded on first use and then cached."""

    def __init__(self, provider: Provider, delivery: Delivery) -> None:
        self._provider = provider
        self._delivery = delivery

    @cached_property
    def json(self) -> object:
        """The document as JSON values.

        Raises:
            UnreadableDelivery: the body has no document, or it is not JSON.
        """
        return decode(self._provider.document(self._delivery), object)
