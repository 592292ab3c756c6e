"""The API finds every item of the demo by the address that a browser shows."""

import json
import random
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import httpx

from service.demo.organisation import SOURCES, THRESHOLDS
from service.demo.post import Post
from service.demo.signing import signed
from service.demo.timeline import history
from service.storage.database import Database
from tests.support.road import all_experiments, api, settle

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECRETS = {source: f"a secret of {source}" for source in SOURCES}
GIVEN = {"sources": {name: {"secret": secret} for name, secret in SECRETS.items()}, "thresholds": THRESHOLDS}
ENDINGS = ("", "/", "?from=mail", "#top")


def _pages(post: Post) -> Iterator[tuple[str, str]]:
    """The address and the reference of each item and each commit that a delivery is about."""
    payload: Mapping[str, Any] = json.loads(post.body)
    if post.source == "github":
        project = payload.get("repository", {}).get("full_name")
        for field, sign in (("issue", "#"), ("pull_request", "!")):
            if page := payload.get(field):
                yield page["html_url"], f"github:{project}{sign}{page['number']}"
        if comment := payload.get("comment"):
            yield comment["html_url"], f"github:{project}#{payload['issue']['number']}"
        for pushed in payload.get("commits", ()):
            yield pushed["url"], f"commit:{pushed['id']}"
    if post.source == "jira" and (issue := payload.get("issue")):
        site = issue["self"].partition("/rest/")[0]
        yield f"{site}/browse/{issue['key']}", f"jira:{issue['key']}"
    if post.source == "gitlab" and payload["object_kind"] in ("issue", "merge_request", "note"):
        page = payload.get("issue") or payload["object_attributes"]
        sign = "!" if payload["object_kind"] == "merge_request" else "#"
        yield (
            payload["object_attributes"]["url"],
            f"gitlab:{payload['project']['path_with_namespace']}{sign}{page['iid']}",
        )


async def _listed(client: httpx.AsyncClient, named: str) -> list[str]:
    """The roots that `?ref=` lists."""
    return [one["root"] for one in (await client.get("/experiments", params={"ref": named})).json()["experiments"]]


async def test_the_address_of_every_item_of_the_demo_finds_the_item(database: Database) -> None:
    pages: dict[str, str] = {}
    async with api(database, START, **GIVEN) as client:
        for post in history(START, timedelta(weeks=3), random.Random(1)):
            answer = await client.post(f"/webhooks/{post.source}", content=post.body, headers=signed(post, SECRETS))
            pages |= dict(_pages(post)) if answer.status_code == 202 else {}
        await settle(database)
        roots = await all_experiments(database)
        found: set[str] = set()
        for place, (address, reference) in enumerate(sorted(pages.items())):
            pasted = address if "#" in address else address + ENDINGS[place % len(ENDINGS)]
            listed = await _listed(client, pasted)
            assert listed == await _listed(client, reference)
            found.update(listed)
            # No event is stored about a commit that belongs to no experiment.
            if listed or not reference.startswith("commit:"):
                explained = await client.get(f"/experiments/{quote(pasted, safe='')}/explain")
                assert explained.json().get("subject") == reference, (pasted, explained.text)
            if reference in roots:
                assert listed == [reference]
                one = await client.get(f"/experiments/{quote(pasted, safe='')}")
                assert one.json()["root"] == reference
    kinds = {reference.partition(":")[0] + ("!" if "!" in reference else "") for reference in pages.values()}
    assert kinds == {"github", "github!", "gitlab", "gitlab!", "jira", "commit"}
    assert found == {reference for reference in roots if not reference.startswith("branch:")}
