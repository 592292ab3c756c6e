"""Payloads that GitHub really sent or published: each is acknowledged, and none fails."""

import json
from pathlib import Path

import pytest

from service.storage import inbox
from service.storage.database import Database
from tests.builders import GitHubRequest
from tests.road import api, post, settle

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"


def _github() -> list[GitHubRequest]:
    index = json.loads((CORPUS / "INDEX.json").read_text())
    return [
        GitHubRequest(
            event=entry["headers"]["X-GitHub-Event"].removesuffix(".json"),
            body=(CORPUS / entry["file"]).read_bytes(),
            delivery_id=entry["file"],
        )
        for entry in index
        if entry["provider"] == "github"
    ]


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus of real payloads is kept beside the repository, not in it")
async def test_every_github_payload_is_acknowledged_and_counted_or_ignored_with_a_reason(database: Database) -> None:
    requests = _github()
    assert len(requests) > 200
    async with api(database) as client:
        for request in requests:
            response = await post(client, request)
            assert (response.status_code, response.json()["status"]) == (202, "stored"), request.delivery_id
        await settle(database)
        for request in requests:
            response = await post(client, request)
            assert (response.status_code, response.json()["status"]) == (202, "duplicate"), request.delivery_id
    async with database.transaction() as connection:
        rows, _ = await inbox.page(connection, limit=1000)
    assert len(rows) == len(requests)
    assert {row.provider_id: row.reason for row in rows if row.verdict not in ("counted", "ignored")} == {}
    assert [row.provider_id for row in rows if not row.reason] == []
    assert {row.verdict for row in rows} == {"counted", "ignored"}
