"""The delivery, the source that sends it, and the protocol that every provider implements. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import ClassVar, Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from service.deliveries.event_name import EventName
from service.deliveries.observation import Nothing, Observation
from service.deliveries.signatures import SecurityScheme
from service.lifecycle.references import ReferenceGrammar

_NAMESPACE = uuid5(NAMESPACE_URL, "loopgauge:delivery")


class UnreadableDelivery(Exception):
    """An authentic delivery cannot be read; the message says why."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An authentic HTTP request, or one event of an authentic request with several events.

    Attributes:
        source: the name of the configured sender.
        provider: the name of the sender's provider.
        provider_id: the provider's id of the delivery, or a hash of the content if the provider sends no id.
        headers: the headers that the provider needs to read the delivery, names in lower case.
        body: the raw bytes.
        received_at: when the request was read, UTC.
        id: the idempotency key: the same for every redelivery to one source, and different for each source.
    """

    source: str
    provider: str
    provider_id: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    id: UUID = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", uuid5(_NAMESPACE, f"{self.source}\n{self.provider_id}"))


class Provider(Protocol):
    """A kind of sender. Implementations perform no I/O and read no clock."""

    name: ClassVar[str]
    references: ClassVar[ReferenceGrammar | None]
    """The form of references to the provider's subjects, without the provider's name and the colon: `acme/app#45` in
    `github:acme/app#45`. None if the provider has no subjects of its own."""
    kept_headers: ClassVar[frozenset[str]]
    """The headers to store with the body, names in lower case. None of them may contain a secret."""
    event_name: ClassVar[EventName]
    """The header or member of the body that names the event, for lists of deliveries."""
    proof_headers: ClassVar[frozenset[str]]
    """The headers that prove who the sender is, names in lower case. These headers are checked, but not stored."""
    security_schemes: ClassVar[Mapping[str, SecurityScheme]]
    """The security schemes that the OpenAPI document lists for this provider, by name.

    Two providers with the same scheme use the same name for it.
    """

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:
        """Verify that the sender of the body knows one of the secrets.

        Args:
            now: the current time, for schemes that check a signed time.

        Raises:
            SignatureRefused: the headers do not prove that the sender knows a secret.
        """

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        """The provider's id of the delivery, or else a hash of its content; the same for every redelivery.

        Implementations do not parse the body.
        """

    def document(self, delivery: Delivery) -> bytes:
        """The JSON document in the body, for rules that match fields of the payload.

        Raises:
            UnreadableDelivery: the body contains no document.
        """

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        """Turn the delivery into observations, or return the reason why there are none.

        Raises:
            UnreadableDelivery: the body is malformed, or a required field is missing.
        """


@dataclass(frozen=True, slots=True)
class Source:
    """A configured sender. A source without secrets fails closed: each of its deliveries is refused."""

    name: str
    provider: Provider
    secrets: tuple[bytes, ...] = field(repr=False)

    @property
    def read_headers(self) -> frozenset[str]:
        """The names, in lower case, of all headers to read from a request."""
        return self.provider.kept_headers | self.provider.proof_headers


def content_id(event_type: str, body: bytes) -> str:
    """An id for a delivery whose provider sends no id: a hash of the event's type and the raw body."""
    return sha256(event_type.encode("utf-8", "surrogatepass") + b"\n" + body).hexdigest()


def source_name(spelled: str) -> str:
    """The canonical name of a source: `jira-cloud` in a URL means `jira_cloud`."""
    return spelled.lower().replace("-", "_")
