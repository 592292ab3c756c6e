"""Real payloads that providers sent or published, signed with each scheme of their provider."""

import json
import re

import httpx
import pytest

from service.storage import inbox_listing
from service.storage.database import Database
from tests.support.corpus import POSTED_AT, posted
from tests.support.paths import CORPUS
from tests.support.road import api, settle
from tests.support.signing import SCHEMES, SOURCES

VERDICTS = ("counted", "ignored")

pytestmark = pytest.mark.skipif(
    not CORPUS.is_dir(), reason="the corpus of real payloads is kept beside the repository, not in it"
)


def statuses(response: httpx.Response) -> list[str]:
    """The status that the response states for each delivery of the request."""
    answer = response.json()
    return [one["status"] for one in (answer if isinstance(answer, list) else [answer])]


async def test_every_payload_is_stored_once_and_counted_or_ignored_with_a_reason(database: Database) -> None:
    everything = list(posted())
    files = {entry["file"]: entry["provider"] for entry in json.loads((CORPUS / "INDEX.json").read_text())}
    assert {one.file for one in everything} == set(files)
    # For some providers, the corpus has no payloads. For these providers, other tests post payloads that builders make.
    published = {"cloudevents" if provider == "cdevents" else provider for provider in files.values()}
    assert {one.source for one in everything} == {name for name, one in SCHEMES.items() if one.provider in published}
    async with api(database, POSTED_AT, sources=SOURCES) as client:
        for one in everything:
            response = await one.post_tampered(client)
            assert response.status_code == 401, (one.file, one.source, response.text)
        async with database.transaction() as connection:
            assert (await inbox_listing.read_page(connection))[0] == []
        for one in everything:
            response = await one.post(client)
            assert (response.status_code, statuses(response)) == (202, ["stored"]), (one.file, one.source)
        await settle(database)
        for one in everything:
            response = await one.post(client)
            assert (response.status_code, statuses(response)) == (202, ["duplicate"]), (one.file, one.source)
    async with database.transaction() as connection:
        rows, _ = await inbox_listing.read_page(connection, limit=5000)
    assert len(rows) == len(everything)
    assert {(row.source, row.provider_id): row.reason for row in rows if row.verdict not in VERDICTS} == {}
    assert [row.provider_id for row in rows if not row.reason or re.search(r"\bfault", row.reason)] == []
    assert {row.verdict for row in rows} == set(VERDICTS)
