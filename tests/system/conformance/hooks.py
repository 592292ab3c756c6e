"""Schemathesis hooks: sign webhooks, and generate only times in the past."""

import hmac
from datetime import UTC, datetime

import schemathesis
from hypothesis import strategies
from requests import PreparedRequest
from requests.auth import AuthBase
from schemathesis.auths import GLOBAL_AUTH_STORAGE

from tests.support.builders import SECRET


class _GitHubSignature(AuthBase):
    """Signs the final body as GitHub does."""

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        body = request.body or b""
        signed = body if isinstance(body, bytes) else str(body).encode()
        request.headers["x-hub-signature-256"] = f"sha256={hmac.digest(SECRET.encode(), signed, 'sha256').hex()}"
        return request


GLOBAL_AUTH_STORAGE.set_from_requests(_GitHubSignature()).apply_to(path="/webhooks/{source}")
# Generate no times in the future: the API refuses them, but its OpenAPI document cannot express this limit.
schemathesis.openapi.format(
    "date-time",
    strategies.datetimes(
        min_value=datetime.fromisoformat("1970-01-02"),
        max_value=datetime.fromisoformat("2026-01-01"),
        timezones=strategies.just(UTC),
    ).map(lambda time: time.isoformat().replace("+00:00", "Z")),
)
