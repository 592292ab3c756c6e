"""What Schemathesis has to be told: how a webhook is signed, and which times have been."""

import hmac
from datetime import UTC, datetime

import schemathesis
from hypothesis import strategies
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis.auths import GLOBAL_AUTH_STORAGE

from tests.support.builders import SECRET


class _Signed(AuthBase):
    """Signs the body as GitHub does, once it is known."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body or b""
        signed = body if isinstance(body, bytes) else str(body).encode()
        request.headers["x-hub-signature-256"] = f"sha256={hmac.digest(SECRET.encode(), signed, 'sha256').hex()}"
        return request


GLOBAL_AUTH_STORAGE.set_from_requests(_Signed()).apply_to(path="/webhooks/{source}")
# Ours is no time machine: what is ahead of the clock is refused, and no schema can say where that is.
schemathesis.openapi.format(
    "date-time",
    strategies.datetimes(
        min_value=datetime.fromisoformat("1970-01-02"),
        max_value=datetime.fromisoformat("2026-01-01"),
        timezones=strategies.just(UTC),
    ).map(lambda moment: moment.isoformat().replace("+00:00", "Z")),
)
