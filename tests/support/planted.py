"""Deliveries of every provider with our person in them, as `tests.support.persons` plants it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx

from tests.support.corpus import posted
from tests.support.payloads import one_of_each
from tests.support.persons import ACCOUNT, ADDRESS, marked, planted, proven, unreadable
from tests.support.signing import SCHEMES, SIGNING_KEY, Scheme

_IDS = {"x-github-delivery", "idempotency-key", "x-atlassian-webhook-identifier"}
_SENT_ALONG = {"from": ADDRESS, "user-agent": f"{ACCOUNT}/1.0", "x-forwarded-user": ACCOUNT, "referer": ACCOUNT}


@dataclass(frozen=True, slots=True)
class Planted:
    """A request with our person in it, to be signed when it is sent."""

    scheme: Scheme
    path: str
    headers: Mapping[str, str]
    body: bytes

    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        """Send it, signed now, by somebody whose name its headers carry too."""
        proof = proven(self.scheme.prove(self.body, datetime.now(UTC)), ADDRESS)
        headers = {**self.headers, **_SENT_ALONG, **proof}
        return await client.post(self.path, content=self.body, headers=headers)

    def unreadable(self) -> Iterator["Planted"]:
        """Deliveries made of this one that nobody can read, none of them a duplicate."""
        # What Standard Webhooks signs is a text.
        bodies = [one for one in unreadable(self.body) if self.scheme.secret != SIGNING_KEY or b"\xff" not in one]
        for number, body in enumerate(bodies):
            named = {name: f"{value}-{number}" for name, value in self.headers.items() if name in _IDS}
            yield replace(self, headers={**self.headers, **named}, body=body)


def built() -> Iterator[Planted]:
    """A story of each provider, so that there is something of everything even where the corpus is not kept."""
    for request in one_of_each():
        source = request.path.removeprefix("/webhooks/").replace("_", "-")
        body = json.dumps(planted(json.loads(request.body))).encode()
        yield Planted(SCHEMES[source], request.path, request.headers(), body)


def kept() -> Iterator[Planted]:
    """Every payload of the corpus, its items marked as experiments; nothing where it is not kept."""
    for one in {(one.file, one.headers["content-type"]): one for one in posted()}.values():
        payload = marked(json.loads(one.body))
        # The attributes of an event's envelope are texts of its maker's own.
        within = {**payload, "data": planted(payload["data"])} if "specversion" in payload else planted(payload)
        yield Planted(one.scheme, one.path, one.headers, json.dumps(within).encode())
