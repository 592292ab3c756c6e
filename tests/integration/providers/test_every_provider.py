"""The manual says how to connect each provider, and every part of the service supports each provider."""

import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import pytest

from service.deliveries.decoding import decode, require_utf8
from service.deliveries.delivery import Delivery, content_id
from service.deliveries.observation import Nothing, Observation, Observed
from service.deliveries.signatures import SecurityScheme, check_hmac, header_scheme
from service.lifecycle.addresses import BLANK
from service.lifecycle.references import ReferenceGrammar, item
from service.providers import PROVIDERS, github
from service.rules.document import RulesFile
from service.rules.reader import read_rules
from service.settings import packaged_rules
from service.storage.database import Database
from tests.support.builders import SECRET, at
from tests.support.documents import example, read_page
from tests.support.road import all_experiments, api, settle


@pytest.mark.parametrize("name", PROVIDERS)
def test_the_manual_says_how_to_connect_each_provider(name: str) -> None:
    section = read_page(f"sources/{name}.md").split("\n## Connect it\n")[1].split("\n## ")[0]
    assert f"LOOPGAUGE_SOURCES__{name.upper()}__SECRET" in section
    assert ("/events" if name == "cloudevents" else f"/webhooks/{name}") in section
    assert name == "cloudevents" or "loopgauge deliveries list" in section


@pytest.mark.parametrize("name", sorted(PROVIDERS.keys() - {"cloudevents", "buildkite"}))
def test_the_manual_sets_the_secret_before_it_creates_the_webhook(name: str) -> None:
    """A tool's first ping fails if the service does not know the source yet. Buildkite itself creates the secret."""
    section = read_page(f"sources/{name}.md").split("\n## Connect it\n")[1].split("\n## ")[0]
    first, *later = section.split("\n2. ")
    assert "openssl rand" in first
    assert f"LOOPGAUGE_SOURCES__{name.upper()}__SECRET" in first
    assert "start loopgauge" in first
    assert f"/webhooks/{name}" in later[0]


def test_the_github_app_in_the_manual_has_exactly_the_events_and_permissions_that_the_service_needs() -> None:
    manifest = json.loads(example("a GitHub App"))
    assert set(manifest["default_events"]) == set(github.EVENTS)
    # Source: "Webhook events and payloads" in GitHub's documentation, which names the permission for each event.
    needed = {
        "check_run": "checks",
        "check_suite": "checks",
        "deployment_status": "deployments",
        "issue_comment": "issues",
        "issues": "issues",
        "merge_group": "merge_queues",
        "pull_request": "pull_requests",
        "push": "contents",
        "repository": "metadata",
        "status": "statuses",
        "sub_issues": "issues",
        "workflow_run": "actions",
    }
    assert {needed[event] for event in manifest["default_events"]} == set(manifest["default_permissions"])
    assert set(manifest["default_permissions"].values()) == {"read"}


class Acme:
    """A provider that the service does not have."""

    name: ClassVar[str] = "acme"
    references: ClassVar[ReferenceGrammar | None] = ReferenceGrammar(f"[^#{BLANK}]+#[0-9]+", "acme:acme/app#3")
    kept_headers: ClassVar[frozenset[str]] = frozenset({"content-type"})
    proof_headers: ClassVar[frozenset[str]] = frozenset({"acme-signature"})
    security_schemes: ClassVar[Mapping[str, SecurityScheme]] = {"Acme": header_scheme("acme-signature", "A signature.")}

    def verify(self, headers: Mapping[str, str], body: bytes, secrets: Sequence[bytes], now: datetime) -> None:  # noqa: ARG002 - this scheme signs no time
        check_hmac(headers.get("acme-signature", ""), body, secrets)

    def delivery_id(self, headers: Mapping[str, str], body: bytes) -> str:  # noqa: ARG002 - no header contains an id
        return content_id("", body)

    def document(self, delivery: Delivery) -> bytes:
        return require_utf8(delivery.body)

    def observe(self, delivery: Delivery) -> Sequence[Observation] | Nothing:
        idea = decode(self.document(delivery), dict[str, int])
        subject = item("acme", "acme/app", idea["number"])
        return [
            Observed("seen", subject, at(2), {"what": ("item",), "label": ("try",)}),
            Observed("created", subject, at(1), {"what": ("item",)}),
        ]


async def test_a_provider_in_the_list_is_supported_everywhere(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(PROVIDERS, dict)
    monkeypatch.setitem(PROVIDERS, "acme", Acme())
    text = "rules: [{when: {provider: acme, label: try}, then: {declare: {experiment: true}}}]"
    rules = read_rules(RulesFile("acme.yaml", text), packaged_rules(), PROVIDERS)
    body = b'{"number": 3}'
    proof = {"acme-signature": hmac.digest(SECRET.encode(), body, "sha256").hex()}
    async with api(database, sources={"trials": {"provider": "acme", "secret": SECRET}}) as client:
        assert (await client.post("/webhooks/trials", content=body, headers=proof)).status_code == 202
        assert (await client.post("/webhooks/trials", content=body)).status_code == 401
    await settle(database, rules)
    assert (await all_experiments(database)).keys() == {"acme:acme/app#3"}
