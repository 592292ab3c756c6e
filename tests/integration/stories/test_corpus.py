"""Payloads that providers really sent or published, signed in each way that their provider signs."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from service.deliveries.signatures import SignatureRefused
from service.providers import PROVIDERS
from service.storage import inbox
from service.storage.database import Database
from tests.support.builders import at
from tests.support.paths import CORPUS
from tests.support.road import api, settle
from tests.support.signing import SCHEMES, SOURCES, Scheme

NOW = at(2)
VERDICTS = ("counted", "ignored")

# What no header of the index says, since those who collected the payloads left it away.
EVENT_HEADERS = {
    "gitlab/zulip/build_created.json": {"x-gitlab-event": "Job Hook"},
    "gitlab/zulip/build_started.json": {"x-gitlab-event": "Job Hook"},
    "gitlab/zulip/build_succeeded.json": {"x-gitlab-event": "Job Hook"},
}
# Some payloads are the same in two files, and deliveries none the less.
DELIVERY_IDS = {
    "github": "x-github-delivery",
    "gitlab-signed": "idempotency-key",
    "jira-sha512": "x-atlassian-webhook-identifier",
}

pytestmark = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="the corpus of real payloads is kept beside the repository, not in it"
)


@dataclass(frozen=True, slots=True)
class Posted:
    """One payload of the corpus as the source of a scheme posts it."""

    file: str
    source: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def scheme(self) -> Scheme:
        return SCHEMES[self.source]

    async def post(self, client: httpx.AsyncClient) -> httpx.Response:
        proof = self.scheme.prove(self.body, NOW)
        return await client.post(self.path, content=self.body, headers={**self.headers, **proof})

    async def post_tampered(self, client: httpx.AsyncClient) -> httpx.Response:
        """Post it with a bit flipped: of the body, or of the credential where that is all the proof there is."""
        proof = dict(self.scheme.prove(self.body, NOW))
        body = self.body
        if self.scheme.covers_body:
            body = bytes([body[0] ^ 1]) + body[1:]
        else:
            name, value = proof.popitem()
            proof[name] = value[:-3] + chr(ord(value[-3]) ^ 1) + value[-2:]
        return await client.post(self.path, content=body, headers={**self.headers, **proof})


def posted() -> Iterator[Posted]:
    """Every payload, once for each scheme of its provider."""
    index = json.loads((CORPUS / "INDEX.json").read_text()) if CORPUS.is_dir() else []
    for entry in index:
        body = (CORPUS / entry["file"]).read_bytes()
        if entry["provider"] == "cdevents":
            yield from _cloudevents(entry["file"], body)
            continue
        named = {name.lower(): value.removesuffix(".json") for name, value in entry["headers"].items()}
        headers = {"content-type": "application/json", **EVENT_HEADERS.get(entry["file"], {}), **named}
        for source, scheme in SCHEMES.items():
            if scheme.provider == entry["provider"]:
                identified = {DELIVERY_IDS[source]: entry["file"]} if source in DELIVERY_IDS else {}
                yield Posted(entry["file"], source, f"/webhooks/{source}", {**headers, **identified}, body)


def _cloudevents(file: str, body: bytes) -> Iterator[Posted]:
    """A CDEvent as a CloudEvent in structured and in binary mode, as its own specification maps it."""
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
    binary = {"content-type": "application/json", **{f"ce-{name}": value for name, value in attributes.items()}}
    yield Posted(file, "cloudevents", "/events", binary, body)


def statuses(response: httpx.Response) -> list[str]:
    """What became of each delivery of a request."""
    answer = response.json()
    return [one["status"] for one in (answer if isinstance(answer, list) else [answer])]


async def test_every_payload_is_stored_once_and_counted_or_ignored_with_a_reason(database: Database) -> None:
    everything = list(posted())
    files = {entry["file"]: entry["provider"] for entry in json.loads((CORPUS / "INDEX.json").read_text())}
    assert {one.file for one in everything} == set(files)
    # A provider of which nobody published a payload yet is tested by its own.
    published = {"cloudevents" if provider == "cdevents" else provider for provider in files.values()}
    assert {one.source for one in everything} == {name for name, one in SCHEMES.items() if one.provider in published}
    async with api(database, NOW, sources=SOURCES) as client:
        for one in everything:
            response = await one.post_tampered(client)
            assert response.status_code == 401, (one.file, one.source, response.text)
        async with database.transaction() as connection:
            assert (await inbox.page(connection))[0] == []
        for one in everything:
            response = await one.post(client)
            assert (response.status_code, statuses(response)) == (202, ["stored"]), (one.file, one.source)
        await settle(database)
        for one in everything:
            response = await one.post(client)
            assert (response.status_code, statuses(response)) == (202, ["duplicate"]), (one.file, one.source)
    async with database.transaction() as connection:
        rows, _ = await inbox.page(connection, limit=5000)
    assert len(rows) == len(everything)
    assert {(row.source, row.provider_id): row.reason for row in rows if row.verdict not in VERDICTS} == {}
    assert [row.provider_id for row in rows if not row.reason or "fault" in row.reason] == []
    assert {row.verdict for row in rows} == set(VERDICTS)


@pytest.mark.parametrize("source", SCHEMES)
def test_what_proves_a_delivery_to_one_source_proves_nothing_with_another_secret(source: str) -> None:
    scheme = SCHEMES[source]
    body = b"{}"
    with pytest.raises(SignatureRefused):
        PROVIDERS[scheme.provider].verify(scheme.prove(body, NOW), body, [b"another secret"], NOW)
