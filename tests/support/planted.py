"""Deliveries of every provider with a person's data planted in them by `tests.support.persons`."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import httpx

from tests.support.corpus import posted
from tests.support.payloads import one_of_each
from tests.support.persons import ACCOUNT, ADDRESS, marked, planted, proven, unreadable
from tests.support.signing import SCHEMES, Scheme

_IDS = {"x-github-delivery", "idempotency-key", "x-atlassian-webhook-identifier"}
_PERSONAL_HEADERS = {"from": ADDRESS, "user-agent": f"{ACCOUNT}/1.0", "x-forwarded-user": ACCOUNT, "referer": ACCOUNT}


@dataclass(frozen=True, slots=True)
class Planted:
    """A request that contains the person's data. The request is signed when it is sent."""

    scheme: Scheme
    path: str
    headers: Mapping[str, str]
    body: bytes

    async def send(self, client: httpx.AsyncClient) -> httpx.Response:
        """Sign and send the request, with the person's data in its headers too."""
        proof = proven(self.scheme.prove(self.body, datetime.now(UTC)), ADDRESS)
        headers = {**self.headers, **_PERSONAL_HEADERS, **proof}
        return await client.post(self.path, content=self.body, headers=headers)

    def unreadable(self) -> Iterator["Planted"]:
        """Unreadable variants of this delivery, each with an id of its own."""
        # The scheme of Standard Webhooks signs text, so it cannot sign a body that is not UTF-8.
        signs_text = self.scheme.secret.startswith("whsec_")
        bodies = [one for one in unreadable(self.body) if not signs_text or b"\xff" not in one]
        for number, body in enumerate(bodies):
            named = {name: f"{value}-{number}" for name, value in self.headers.items() if name in _IDS}
            yield replace(self, headers={**self.headers, **named}, body=body)


def built() -> Iterator[Planted]:
    """The deliveries of `one_of_each`, with the person planted in them; they do not need the corpus."""
    for request in one_of_each():
        source = request.path.removeprefix("/webhooks/").replace("_", "-")
        body = json.dumps(planted(json.loads(request.body))).encode()
        yield Planted(SCHEMES[source], request.path, request.headers(), body)


def kept() -> Iterator[Planted]:
    """Every payload of the corpus, with the person planted in it, and its items marked as experiments.

    Yields nothing if the corpus is not installed.
    """
    for one in {(one.file, one.headers["content-type"]): one for one in posted()}.values():
        payload = marked(json.loads(one.body))
        # In a CloudEvent, plant the person only in `data`. The envelope attributes contain only what the sender of the
        # event decides to write there.
        within = {**payload, "data": planted(payload["data"])} if "specversion" in payload else planted(payload)
        yield Planted(one.scheme, one.path, one.headers, json.dumps(within).encode())
