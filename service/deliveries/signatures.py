"""Verify the sender of a delivery. Each scheme has its own check, which compares secrets in constant time. Pure."""

import base64
import binascii
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import TypeAlias

_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_UNIX_TIME = re.compile(r"[0-9]{1,11}")
_BASIC = "basic "
_SIGNING_KEY = b"whsec_"

_PREFIXES = ("webhook", "svix")
STANDARD_HEADERS = frozenset(f"{prefix}-{name}" for prefix in _PREFIXES for name in ("id", "timestamp", "signature"))
"""The headers that authenticate a delivery under the Standard Webhooks specification. Svix, which wrote the
specification, and the tools that send through Svix give the same headers its own prefix.
"""

TOLERANCE = timedelta(minutes=5)
"""The largest allowed difference between a signed time and now.

The Standard Webhooks specification requires such a limit, but names no value; its libraries use five minutes.
"""


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
    """The security scheme of a header that contains a secret or a signature."""
    return {"type": "apiKey", "in": "header", "name": header, "description": description}


STANDARD_WEBHOOKS: Mapping[str, SecurityScheme] = {
    "StandardWebhooks": header_scheme(
        "webhook-signature", "A signature as standardwebhooks.com specifies. `svix-signature` is accepted too."
    )
}


class SignatureRefused(Exception):
    """The signature or secret of a delivery is missing, malformed or wrong, or the signed time is too far from now."""


def check_hmac(signature: str, signed: bytes, secrets: Iterable[bytes], *, method: str = "sha256") -> None:
    """Check a hexadecimal HMAC against each secret.

    Args:
        signed: the signed bytes; for most providers the raw body.
        method: the name of the hash function.

    Raises:
        SignatureRefused: the signature is malformed, or was made with none of the secrets.
    """
    claimed = signature.lower().encode("latin-1", "replace")
    if not _any([hmac.compare_digest(_digest(secret, signed, method), claimed) for secret in secrets]):
        if not _HEX.fullmatch(signature):
            raise SignatureRefused("the signature is not made of hexadecimal digits")
        raise SignatureRefused("the signature does not match the body and the source's secret")


def check_token(token: str | None, secrets: Iterable[bytes], where: str) -> None:
    """Compare a token with each secret.

    Args:
        where: the place of the token in the request, for the error message.

    Raises:
        SignatureRefused: the token is missing, or equals none of the secrets.
    """
    if not token:
        raise SignatureRefused(f"{where} is missing")
    # The headers were decoded as Latin-1: encode the token again, to compare the bytes that were sent.
    sent = token.encode("latin-1", "replace")
    if not _any([hmac.compare_digest(sent, secret) for secret in secrets]):
        raise SignatureRefused(f"{where} is not the source's secret")


def check_basic(headers: Mapping[str, str], secrets: Iterable[bytes]) -> None:
    """Check HTTP Basic authentication (RFC 7617). Any user name is accepted, with one of the secrets as the password.

    Raises:
        SignatureRefused: the credentials are missing or malformed, or the password is wrong.
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
    """Check a signature of the Standard Webhooks specification 1.0: HMAC-SHA256 over id, time and body.

    The three headers begin with `webhook-` or with `svix-`. If a request has a signature of each kind, the one in
    `webhook-signature` counts.

    A secret is `whsec_` followed by the key in base64. A secret without this prefix is the key itself, in base64 or as
    plain text.

    Raises:
        SignatureRefused: the signature is missing or malformed, its time is too far from now, or it was made with none
            of the secrets.
    """
    prefix = next((each for each in _PREFIXES if headers.get(f"{each}-signature")), _PREFIXES[0])
    message, stamp, signatures = (headers.get(f"{prefix}-{name}", "") for name in ("id", "timestamp", "signature"))
    if not message or not signatures:
        raise SignatureRefused(f"headers {prefix}-id, {prefix}-timestamp and {prefix}-signature are required")
    check_time(stamp, now, f"header {prefix}-timestamp")
    claimed = [_base64(part[3:]) for part in signatures.split(" ") if part.startswith("v1,")]
    if not claimed:
        raise SignatureRefused(f"header {prefix}-signature holds no signature of version v1")
    signed = b".".join((message.encode("latin-1", "replace"), stamp.encode(), body))
    expected = [hmac.digest(key, signed, "sha256") for secret in secrets for key in _signing_keys(secret)]
    if not _any([hmac.compare_digest(signature, digest) for signature in claimed if signature for digest in expected]):
        raise SignatureRefused("the signature does not match the id, the time, the body and the source's secret")


def is_signed(headers: Mapping[str, str]) -> bool:
    """Whether a request claims to be signed as the Standard Webhooks specification says."""
    return any(f"{prefix}-signature" in headers for prefix in _PREFIXES)


def is_signing_key(secret: bytes) -> bool:
    """Whether a secret has the prefix of a Standard Webhooks key."""
    return secret.startswith(_SIGNING_KEY)


def spellings(secret: bytes) -> frozenset[bytes]:
    """The keys that anyone who knows a secret knows: the secret as it is, without its prefix, and out of base64."""
    bare = secret.strip()
    return frozenset({bare, bare.removeprefix(_SIGNING_KEY), *_signing_keys(bare)})


def check_time(stamp: str, now: datetime, where: str) -> None:
    """Check that a signed Unix time, in seconds, is close to now.

    Raises:
        SignatureRefused: the time is malformed, or further from now than the tolerance.
    """
    if not _UNIX_TIME.fullmatch(stamp):
        raise SignatureRefused(f"{where} is not a Unix time")
    if abs(int(stamp) - now.timestamp()) > TOLERANCE.total_seconds():
        minutes = TOLERANCE.total_seconds() / 60
        raise SignatureRefused(f"{where} is more than {minutes:g} minutes from the service's clock")


def _digest(secret: bytes, signed: bytes, method: str) -> bytes:
    """The hexadecimal digits of the HMAC, in lower case."""
    return hmac.digest(secret, signed, method).hex().encode()


def _any(matches: list[bool]) -> bool:
    """Whether any comparison matched.

    The argument is a list, so that all comparisons run: the response time does not reveal which secret matched.
    """
    return any(matches)


def _signing_keys(secret: bytes) -> list[bytes]:
    # A key is often copied without its base64 padding.
    key = secret.removeprefix(_SIGNING_KEY)
    decoded = _base64(key + b"=" * (-len(key) % 4))
    plain = [] if is_signing_key(secret) else [secret]
    return [*plain, decoded] if decoded else [secret]


def _base64(text: str | bytes) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
