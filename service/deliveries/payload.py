"""The raw payload of a delivery, for rules that match its fields. Pure."""

from collections.abc import Callable
from functools import cached_property

from service.deliveries.decoding import decode
from service.deliveries.delivery import Delivery, Provider


class RawPayload:
    """The JSON document of a delivery. Few rules need the document, so it is decoded on first use and then cached."""

    def __init__(self, provider: Provider, delivery: Delivery) -> None:
        self._provider = provider
        self._delivery = delivery
        self._found: dict[str, object] = {}

    @cached_property
    def json(self) -> object:
        """The document as JSON values.

        Raises:
            UnreadableDelivery: the body contains no document, or the document is not JSON.
        """
        return decode(self._provider.document(self._delivery), object)

    def find(self, expression: str, search: Callable[[object], object]) -> object:
        """The result of an expression on the document. A delivery may have many observations, but its document is
        searched once for each expression.

        Args:
            search: returns the result for the document.

        Raises:
            UnreadableDelivery: the body contains no document, or the document is not JSON.
        """
        if expression not in self._found:
            self._found[expression] = search(self.json)
        return self._found[expression]
