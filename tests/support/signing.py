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
_GITLABS_KEY = "whsec_" + base64.b64encode(b"another key that is long enough").decode()

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


def _hex(secret: str, body: bytes, method: str = "sha256") -> str:
    return hmac.digest(secret.encode(), body, method).hex()


def _demo(provider: str, tool: str, secret: str, *, covers_body: bool = False) -> Scheme:
    """A scheme that makes the same authentication header as the demo's tool of this name."""
    return Scheme(provider, secret, lambda body, _: dict([PROOFS[tool](secret, body)]), covers_body)


def _jira_sha512(secret: str) -> Scheme:
    return Scheme("jira", secret, lambda body, _: {"x-hub-signature": f"sha512={_hex(secret, body, 'sha512')}"})


def _standard_webhooks(provider: str, key: str) -> Scheme:
    def prove(body: bytes, now: datetime) -> Mapping[str, str]:
        message = "msg_" + sha256(body).hexdigest()[:27]
        signature = Webhook(key).sign(message, now, body.decode("utf-8"))
        stamp = str(int(now.timestamp()))
        return {"webhook-id": message, "webhook-timestamp": stamp, "webhook-signature": signature}

    return Scheme(provider, key, prove)


def _buildkite(secret: str) -> Scheme:
    def prove(body: bytes, now: datetime) -> Mapping[str, str]:
        stamp = str(int(now.timestamp()))
        return {"x-buildkite-signature": f"timestamp={stamp},signature={_hex(secret, f'{stamp}.'.encode() + body)}"}

    return Scheme("buildkite", secret, prove)


SCHEMES: Mapping[str, Scheme] = {
    "github": _demo("github", "github", SECRET, covers_body=True),
    "jira": _demo("jira", "jira", f"{SECRET} in Jira", covers_body=True),
    "jira-sha512": _jira_sha512(f"{SECRET} in Jira with SHA-512"),
    "jira-basic": _demo("jira", "jenkins", f"{SECRET} in Jira with a password"),
    "gitlab": _demo("gitlab", "gitlab", f"{SECRET} in GitLab"),
    "gitlab-signed": _standard_webhooks("gitlab", _GITLABS_KEY),
    "circleci": _demo("circleci", "circleci", f"{SECRET} in CircleCI", covers_body=True),
    "buildkite": _demo("buildkite", "buildkite", f"{SECRET} in Buildkite"),
    "buildkite-signed": _buildkite(f"{SECRET} in Buildkite with signatures"),
    "jenkins": _demo("jenkins", "jenkins", f"{SECRET} in Jenkins"),
    "cloudevents": _standard_webhooks("cloudevents", SIGNING_KEY),
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
