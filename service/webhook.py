"""A delivery, the sources that send them, what every provider must be able to do, and signature checks. Pure."""

import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import ClassVar, Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from service.observation import Nothing, Observation

_DELIVERIES = uuid5(NAMESPACE_URL, "loopgauge:delivery")
_SHA256_HEX = re.compile(r"[0-9a-fA-F]{64}")


class SignatureRefused(Exception):
    """A delivery is not proven to come from its source: the signature is missing, malformed or wrong."""


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
    """

    source: str
    provider: str
    provider_id: str
    headers: Mapping[str, str]
    body: bytes
    received_at: datetime

    @property
    def id(self) -> UUID:
        """Our id: the same for every redelivery to the same source, and different for two sources."""
        return uuid5(_DELIVERIES, f"{self.source}\n{self.provider_id}")


class Provider(Protocol):
    """A kind of sender. Implementations perform no I/O and read no clock."""

    name: ClassVar[str]
    kept_headers: ClassVar[frozenset[str]]
    """Names, in lower case, of the headers kept beside the body. Never one that carries a secret."""

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes]) -> None:
        """Prove that the body comes from who knows one of the secrets.

        Raises:
            SignatureRefused: it is not proven.
        """

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:
        """The provider's id of this delivery, stable over redeliveries; the body is not parsed for it."""

    def document(self, headers: Mapping[str, str], body: bytes) -> bytes:
        """The JSON document in the body, for rules that look into the payload.

        Raises:
            UnreadableDelivery: there is none.
        """

    def observe(self, headers: Mapping[str, str], body: bytes) -> Sequence[Observation] | Nothing:
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


def check_hmac_sha256(signature: str, body: bytes, secrets: Sequence[bytes]) -> None:
    """Check a hexadecimal HMAC-SHA256 of the raw body against each secret, in constant time.

    Raises:
        SignatureRefused: malformed, or made with none of the secrets.
    """
    if not _SHA256_HEX.fullmatch(signature):
        raise SignatureRefused("the signature is not 64 hexadecimal digits")
    claimed = bytes.fromhex(signature)
    if not any(hmac.compare_digest(hmac.digest(secret, body, "sha256"), claimed) for secret in secrets):
        raise SignatureRefused("the signature does not match the body and the source's secret")


def content_id(event_type: str, body: bytes) -> str:
    """An id for a delivery whose headers give none: a hash of the event's type and the raw body."""
    return sha256(event_type.encode() + b"\n" + body).hexdigest()
