"""Sign requests as each provider does."""

import base64
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Any

from standardwebhooks import Webhook

from service.demo.signing import PROOFS
from tests.support.builders import SECRET, at

SIGNING_KEY = "whsec_" + base64.b64encode(b"a key that is long enough").decode()

POSTED = at(28)
"""The time at which the requests are posted."""

Prove = Callable[[bytes, datetime], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Scheme:
    """A signature scheme of a provider.

    Attributes:
        secret: the configured secret of the source.
        prove: returns the authentication headers for a body and the time at which it is sent.
        covers_body: whether the scheme signs the body; a plain token does not.
    """

    provider: str
    secret: str
    prove: Prove
    covers_body: bool = True


def _hex(body: bytes, method: str = "sha256") -> str:
    return hmac.digest(SECRET.encode(), body, method).hex()


def _demo(source: str) -> Prove:
    """Return a function that makes the same authentication header as the demo's tool of this name."""
    return lambda body, _: dict([PROOFS[source](SECRET, body)])


def _standard_webhooks(body: bytes, now: datetime) -> Mapping[str, str]:
    message = "msg_" + sha256(body).hexdigest()[:27]
    signature = Webhook(SIGNING_KEY).sign(message, now, body.decode("utf-8"))
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signature,
    }


def _buildkite(body: bytes, now: datetime) -> Mapping[str, str]:
    stamp = str(int(now.timestamp()))
    return {"x-buildkite-signature": f"timestamp={stamp},signature={_hex(f'{stamp}.'.encode() + body)}"}


SCHEMES: Mapping[str, Scheme] = {
    "github": Scheme("github", SECRET, _demo("github")),
    "jira": Scheme("jira", SECRET, _demo("jira")),
    "jira-sha512": Scheme("jira", SECRET, lambda body, _: {"x-hub-signature": f"sha512={_hex(body, 'sha512')}"}),
    "jira-basic": Scheme("jira", SECRET, _demo("jenkins"), covers_body=False),
    "gitlab": Scheme("gitlab", SECRET, _demo("gitlab"), covers_body=False),
    "gitlab-signed": Scheme("gitlab", SIGNING_KEY, _standard_webhooks),
    "circleci": Scheme("circleci", SECRET, _demo("circleci")),
    "buildkite": Scheme("buildkite", SECRET, _demo("buildkite"), covers_body=False),
    "buildkite-signed": Scheme("buildkite", SECRET, _buildkite),
    "jenkins": Scheme("jenkins", SECRET, _demo("jenkins"), covers_body=False),
    "cloudevents": Scheme("cloudevents", SIGNING_KEY, _standard_webhooks),
}
"""Every scheme, by the name of a source that uses it."""

_SCHEMES_BY_SOURCE = {name.replace("-", "_"): scheme for name, scheme in SCHEMES.items()}
SOURCES: Mapping[str, Mapping[str, str]] = {
    name: {"provider": scheme.provider, "secret": scheme.secret} for name, scheme in _SCHEMES_BY_SOURCE.items()
}
"""A value for the setting `sources`, with one source for each scheme."""


@dataclass(frozen=True, slots=True)
class Request:
    """A webhook request of any provider, signed with the scheme of its source."""

    source: str
    body: bytes
    named: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return f"/webhooks/{self.source}"

    def headers(self) -> dict[str, str]:
        """All headers, including those that authenticate the request."""
        return {
            "content-type": "application/json",
            **self.named,
            **_SCHEMES_BY_SOURCE[self.source].prove(self.body, POSTED),
        }


def request(source: str, payload: Mapping[str, Any], **named: str) -> Request:
    """A request with a payload; underscores in header names become hyphens."""
    return Request(source, json.dumps(payload).encode(), {key.replace("_", "-"): value for key, value in named.items()})


def event(statement: str, subject: str, when: datetime, **data: Any) -> Request:
    """A `dev.loopgauge.experiment` event in a request of its own."""
    envelope = {
        "specversion": "1.0",
        "id": f"{statement} {when.isoformat()}",
        "source": "/pipelines/app",
        "type": f"dev.loopgauge.experiment.{statement}",
        "subject": subject,
        "time": when.isoformat(),
        "data": data,
    }
    return _Event("cloudevents", json.dumps(envelope).encode(), {"content-type": "application/cloudevents+json"})


class _Event(Request):
    @property
    def path(self) -> str:
        return "/events"
