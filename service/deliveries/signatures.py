"""Signatures: how a sender proves who it is. One check for each scheme; all compare in constant time. Pure."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeAlias

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_UNIX_TIME = re.compile(r"[0-9]{1,11}")
_BASIC = "basic "
_SIGNING_KEY = b"whsec_"

STANDARD_HEADERS = frozenset({"webhook-id", "webhook-timestamp", "webhook-signature"})
"""The headers that prove a delivery under Standard Webhooks."""

TOLERANCE = timedelta(minutes=5)
"""How far a signed time may be from ours, in either direction. Source: the Standard Webhooks specification."""


SecurityScheme: TypeAlias = Mapping[str, str]
"""A security scheme object of OpenAPI."""

BASIC: Mapping[str, SecurityScheme] = {
    "Basic": {
        "type": "http",
        "scheme": "basic",
        "description": "HTTP Basic: any user, with the source's secret as the password.",
    }
}


def header_scheme(header: str, description: str) -> SecurityScheme:
    """The security scheme of a header that carries a secret or a signature."""
    return {"type": "apiKey", "in": "header", "name": header, "description": description}


STANDARD_WEBHOOKS: Mapping[str, SecurityScheme] = {
    "StandardWebhooks": header_scheme("webhook-signature", "A signature as standardwebhooks.com specifies.")
}


class SignatureRefused(Exception):
    """A delivery is not proven to come from its source: the signature is missing, malformed or wrong."""


def check_hmac(signature: str, signed: bytes, secrets: Iterable[bytes], *, method: str = "sha256") -> None:
    """Check a hexadecimal HMAC against each secret, in constant time.

    Args:
        signed: the bytes that were signed; with most providers the raw body.
        method: the name of the hash function.

    Raises:
        SignatureRefused: malformed, or made with none of the secrets.
    """
    claimed = signature.lower().encode("latin-1", "replace")
    if not _any([hmac.compare_digest(_digest(secret, signed, method), claimed) for secret in secrets]):
        if not _HEX.fullmatch(signature):
            raise SignatureRefused("the signature is not made of hexadecimal digits")
        raise SignatureRefused("the signature does not match the body and the source's secret")


def check_token(shown: str | None, secrets: Iterable[bytes], where: str) -> None:
    """Compare a secret that was sent as it is with each of the source's, in constant time.

    Args:
        where: where it should stand, for the answer where it does not.

    Raises:
        SignatureRefused: missing, or none of the secrets.
    """
    if not shown:
        raise SignatureRefused(f"{where} is missing")
    # Header values reach us as Latin-1, which gives the bytes back that were sent.
    token = shown.encode("latin-1", "replace")
    if not _any([hmac.compare_digest(token, secret) for secret in secrets]):
        raise SignatureRefused(f"{where} is not the source's secret")


def check_basic(headers: Mapping[str, str], secrets: Iterable[bytes]) -> None:
    """Check HTTP Basic authentication, RFC 7617: any user, with one of the secrets as password.

    Raises:
        SignatureRefused: missing, malformed, or another password.
    """
    authorization = headers.get("authorization", "")
    if not authorization.lower().startswith(_BASIC):
        raise SignatureRefused("header Authorization: Basic is missing; put user:secret@ before the URL's host")
    credentials = _base64(authorization[len(_BASIC) :].strip())
    _, colon, password = (credentials or b"").partition(b":")
    if not colon:
        raise SignatureRefused("header Authorization is not user:password in base64")
    check_token(password.decode("latin-1"), secrets, "the password of HTTP Basic")


def check_standard_webhooks(headers: Mapping[str, str], body: bytes, secrets: Iterable[bytes], now: datetime) -> None:
    """Check the signature of the Standard Webhooks specification, 1.0: HMAC-SHA256 over id, time and body.

    A secret is `whsec_` and the key in base64; one without the prefix is the key, in base64 or as it is.

    Raises:
        SignatureRefused: missing, malformed, too old, ahead of us, or made with none of the secrets.
    """
    message, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not message or not headers.get("webhook-signature"):
        raise SignatureRefused("headers webhook-id, webhook-timestamp and webhook-signature are required")
    check_time(stamp, now, "header webhook-timestamp")
    claimed = [_base64(one[3:]) for one in headers["webhook-signature"].split(" ") if one.startswith("v1,")]
    if not claimed:
        raise SignatureRefused("header webhook-signature holds no signature of version v1")
    signed = b".".join((message.encode("latin-1", "replace"), stamp.encode(), body))
    expected = [hmac.digest(key, signed, "sha256") for secret in secrets for key in _signing_keys(secret)]
    if not _any([hmac.compare_digest(one, each) for one in claimed if one for each in expected]):
        raise SignatureRefused("the signature does not match the id, the time, the body and the source's secret")


def is_signing_key(secret: bytes) -> bool:
    """Whether a secret is written as a key of Standard Webhooks."""
    return secret.startswith(_SIGNING_KEY)


def check_time(stamp: str, now: datetime, where: str) -> None:
    """Check that a signed time, in seconds of Unix time, is about now.

    Raises:
        SignatureRefused: malformed, or further from now than the tolerance.
    """
    if not _UNIX_TIME.fullmatch(stamp):
        raise SignatureRefused(f"{where} is no Unix time")
    if abs(int(stamp) - now.timestamp()) > TOLERANCE.total_seconds():
        raise SignatureRefused(f"{where} is more than {TOLERANCE.total_seconds() / 60:g} minutes from our time")


def _digest(secret: bytes, signed: bytes, method: str) -> bytes:
    """The hexadecimal digits of the HMAC, in lower case."""
    keyed = _keyed(secret, method).copy()
    keyed.update(signed)
    return keyed.hexdigest().encode()


@lru_cache(maxsize=256)
def _keyed(secret: bytes, method: str) -> hmac.HMAC:
    """An HMAC that has taken the key in: with each signature anew, that would be a third of its cost."""
    return hmac.new(secret, digestmod=method)


def _any(matches: list[bool]) -> bool:
    """Whether one matches; a list, so that each was compared and the time tells nothing."""
    return any(matches)


def _signing_keys(secret: bytes) -> list[bytes]:
    # Who copies a key may leave its padding behind.
    key = secret.removeprefix(_SIGNING_KEY)
    decoded = _base64(key + b"=" * (-len(key) % 4))
    plain = [] if is_signing_key(secret) else [secret]
    return [*plain, decoded] if decoded else [secret]


def _base64(text: str | bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
