"""A delivery, the sources that send deliveries, and what every provider implements. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha1, sha256
from typing import ClassVar, Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from service.deliveries.observation import Nothing, Observation
from service.deliveries.signatures import SecurityScheme

_HASHED = sha1(uuid5(NAMESPACE_URL, "loopgauge:delivery").bytes, usedforsecurity=False)


class UnreadableDelivery(Exception):
    """An authentic delivery cannot be understood; the message says what is missing or malformed, and where."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One HTTP request as it came, once it is proven authentic.

    Attributes:
        source: name of the configured sender.
        provider: name of the sender's provider.
        provider_id: the provider's own id of the delivery, or a hash of its content where there is none.
        headers: the headers that the provider needs to read it, names in lower case.
        body: the raw bytes.
        received_at: when we had read it, UTC.
        id: ours: the same for every redelivery to the same source, and different for two sources.
    """

    source: str
    provider: str
    provider_id: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime
    id: UUID = field(init=False)

    def __post_init__(self) -> None:
        # The UUID of version 5 in a namespace of ours, made once and from what is hashed already of the namespace.
        hashed = _HASHED.copy()
        hashed.update(f"{self.source}\n{self.provider_id}".encode())
        object.__setattr__(self, "id", UUID(bytes=hashed.digest()[:16], version=5))


class Provider(Protocol):
    """A kind of sender. Implementations perform no I/O and read no clock."""

    name: ClassVar[str]
    kept_headers: ClassVar[frozenset[str]]
    """Names, in lower case, of the headers kept beside the body. Never one that carries a secret."""
    proof_headers: ClassVar[frozenset[str]]
    """Names, in lower case, of the headers that prove who sent it: read, and not kept. No other header is read."""
    security_schemes: ClassVar[Mapping[str, SecurityScheme]]
    """The ways to prove a delivery, for the OpenAPI document, by names that all providers share."""

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:
        """Prove that the body comes from who knows one of the secrets.

        Args:
            now: for schemes whose signatures carry a time.

        Raises:
            SignatureRefused: it is not proven.
        """

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        """The provider's id of this delivery, stable over redeliveries; the body is not parsed for it."""

    def document(self, delivery: Delivery) -> bytes:
        """The JSON document in the body, for rules that look into the payload.

        Raises:
            UnreadableDelivery: there is none.
        """

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        """What the delivery says.

        Raises:
            UnreadableDelivery: the body is malformed, or a required field is missing.
        """


@dataclass(frozen=True, slots=True)
class Source:
    """One configured sender. Fails closed: without a secret nothing it sends is accepted."""

    name: str
    provider: Provider
    secrets: tuple[bytes, ...] = field(repr=False)

    @property
    def read_headers(self) -> frozenset[str]:
        """Names, in lower case, of all headers that are read of a delivery."""
        return self.provider.kept_headers | self.provider.proof_headers


def content_id(event_type: str, body: bytes) -> str:
    """An id for a delivery whose headers give none: a hash of the event's type and the raw body."""
    return sha256(event_type.encode("utf-8", "surrogatepass") + b"\n" + body).hexdigest()


def source_name(spelled: str) -> str:
    """A source's own name, however an address spells it: `jira-cloud` is `jira_cloud`."""
    return spelled.lower().replace("-", "_")
