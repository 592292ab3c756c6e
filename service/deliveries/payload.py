"""The raw payload of a delivery, for rules that match its fields. Pure."""

from functools import cached_property

from service.deliveries.decoding import decode
from service.deliveries.delivery import Delivery, Provider


class RawPayload:
    """The JSON document of a delivery. Few rules need the document, so it is decoded on first use and then cached."""

    def __init__(self, provider: Provider, delivery: Delivery) -> None:
        self._provider = provider
        self._delivery = delivery

    @cached_property
    def json(self) -> object:
        """The document as JSON values.

        Raises:
            UnreadableDelivery: the body contains no document, or the document is not JSON.
        """
        return decode(self._provider.document(self._delivery), object)
