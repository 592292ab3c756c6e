"""Real payloads that providers sent or published, signed with each signature scheme of their provider."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.support.builders import at
from tests.support.paths import CORPUS
from tests.support.signing import SCHEMES, Scheme

POSTED_AT = at(2)

# For these files `INDEX.json` has no header that names the event, so add the header here.
_EVENT_HEADERS = {
    "gitlab/zulip/build_created.json": {"x-gitlab-event": "Job Hook"},
    "gitlab/zulip/build_started.json": {"x-gitlab-event": "Job Hook"},
    "gitlab/zulip/build_succeeded.json": {"x-gitlab-event": "Job Hook"},
}
# The header of the delivery id, by source. Two files may contain the same payload, so the id is the name of the file:
# with equal ids, the second delivery would be a duplicate.
_DELIVERY_IDS = {
    "github": "x-github-delivery",
    "gitlab-signed": "idempotency-key",
    "jira-sha512": "x-atlassian-webhook-identifier",
}


@dataclass(frozen=True, slots=True)
class Posted:
    """A payload of the corpus, as it is posted to one source. The source decides the signature scheme."""

    file: str
    source: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def scheme(self) -> Scheme:
        return SCHEMES[self.source]

    async def post(self, client: httpx.AsyncClient) -> httpx.Response:
        proof = self.scheme.prove(self.body, POSTED_AT)
        return await client.post(self.path, content=self.body, headers={**self.headers, **proof})

    async def post_tampered(self, client: httpx.AsyncClient) -> httpx.Response:
        """Post the payload with one bit flipped: in the body, or in the credential if the body is not signed."""
        proof = dict(self.scheme.prove(self.body, POSTED_AT))
        body = self.body
        if self.scheme.covers_body:
            body = bytes([body[0] ^ 1]) + body[1:]
        else:
            name, value = proof.popitem()
            proof[name] = value[:-3] + chr(ord(value[-3]) ^ 1) + value[-2:]
        return await client.post(self.path, content=body, headers={**self.headers, **proof})


def posted() -> Iterator[Posted]:
    """Every payload of the corpus, once for each scheme of its provider; none if the corpus is not installed."""
    index = json.loads((CORPUS / "INDEX.json").read_text()) if CORPUS.is_dir() else []
    for entry in index:
        body = (CORPUS / entry["file"]).read_bytes()
        if entry["provider"] == "cdevents":
            yield from _cloudevents(entry["file"], body)
            continue
        named = {name.lower(): value.removesuffix(".json") for name, value in entry["headers"].items()}
        headers = {"content-type": "application/json", **_EVENT_HEADERS.get(entry["file"], {}), **named}
        for source, scheme in SCHEMES.items():
            if scheme.provider == entry["provider"]:
                identified = {_DELIVERY_IDS[source]: entry["file"]} if source in _DELIVERY_IDS else {}
                yield Posted(entry["file"], source, f"/webhooks/{source}", {**headers, **identified}, body)


def _cloudevents(file: str, body: bytes) -> Iterator[Posted]:
    """A CDEvent as a CloudEvent in structured and in batched mode, mapped as the CDEvents specification defines."""
    context: dict[str, Any] = json.loads(body).get("context", {})
    attributes = {
        "specversion": "1.0",
        "id": f"{context.get('id', 'none')}-{file}",
        "source": context.get("source", "/none"),
        "type": context.get("type", "dev.cdevents.none"),
        "time": context.get("timestamp", "2023-03-20T14:27:05Z"),
    }
    structured = json.dumps({**attributes, "id": f"{attributes['id']}-structured", "data": json.loads(body)}).encode()
    yield Posted(file, "cloudevents", "/events", {"content-type": "application/cloudevents+json"}, structured)
    batch = json.dumps([{**attributes, "data": json.loads(body)}]).encode()
    yield Posted(file, "cloudevents", "/events", {"content-type": "application/cloudevents-batch+json"}, batch)
