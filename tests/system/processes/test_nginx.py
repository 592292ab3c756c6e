"""Behind nginx, webhooks are stored, reads need the token, and links lead through the proxy."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.support.documents import example
from tests.support.nginx import nginx
from tests.support.serving import Service, opened, run_command, serving
from tests.support.waiting import PATIENCE_SECONDS

_HOST = "loopgauge.example.com"
_BROWSER = {"accept": "text/html", "host": _HOST}
_READS = ("deliveries", "experiments", "scorecard", "sources")
_PLAIN = "location / { proxy_pass http://127.0.0.1:8080; }"
_WITH_HOST = "location / { proxy_pass http://127.0.0.1:8080; proxy_set_header Host $host; }"
_HTTP_1_1 = "location / { proxy_pass http://127.0.0.1:8080; proxy_http_version 1.1; proxy_set_header Connection ''; }"
_PREFIX_REMOVED = "location /loopgauge/ { proxy_pass http://127.0.0.1:8080/; }"
_PREFIX_KEPT = example("nginx with a prefix")
_ROOT = {"ROOT_PATH": "/loopgauge"}


@contextmanager
def _behind(
    locations: str, database_url: str, tmp_path: Path, **settings: str
) -> Iterator[tuple[Service, httpx.Client]]:
    """A service, and a client that reaches it through nginx, as a browser elsewhere does."""
    with serving(database_url, tmp_path, **settings) as service:
        host, port = service.address
        there = locations.replace("127.0.0.1:8080", f"{host}:{port}")
        prefix = "/loopgauge/" if "/loopgauge/" in locations else "/"
        with (
            nginx(tmp_path / "nginx", there) as url,
            httpx.Client(base_url=url + prefix, headers=_BROWSER, timeout=PATIENCE_SECONDS) as client,
        ):
            yield service, client


@pytest.mark.parametrize(
    ("locations", "settings"),
    [
        (_PLAIN, {}),
        (_WITH_HOST, {}),
        (_HTTP_1_1, {}),
        (_PREFIX_REMOVED, {}),
        (_PREFIX_REMOVED, _ROOT),
        (_PREFIX_KEPT, _ROOT),
    ],
    ids=["plain", "host", "http 1.1", "prefix removed", "prefix removed and configured", "prefix kept"],
)
def test_webhooks_are_stored_and_reads_need_the_token(
    locations: str, settings: dict[str, str], database_url: str, tmp_path: Path
) -> None:
    with _behind(locations, database_url, tmp_path, **settings) as (service, client):
        request = opened()
        posted = client.post("webhooks/github", content=request.body, headers=request.headers())
        unsigned = client.post("webhooks/github", content=request.body)
        refused = [client.get(path).status_code for path in _READS]
        allowed = [
            client.get(path, headers={"authorization": f"Bearer {service.token}"}).status_code for path in _READS
        ]
        [delivery] = service.get("/deliveries").json()["deliveries"]
        link = run_command("sign-in", "--url", str(client.base_url), DATA_DIR=str(tmp_path / "data")).stdout.strip()
        home = client.get(link, follow_redirects=True)
        signed_in = [client.get(path).status_code for path in _READS]
        written = client.post("experiments/key:x/events", json={"event": "proposed"})
    assert (posted.status_code, unsigned.status_code) == (202, 401)
    assert delivery["id"] == posted.json()["delivery"]
    assert refused == [401] * 4
    assert allowed == signed_in == [200] * 4
    assert (home.status_code, urlsplit(str(home.url)).query) == (200, "")
    assert "token" not in str(home.url)
    assert written.status_code == 403


@pytest.mark.parametrize("locations", [_PLAIN, _WITH_HOST], ids=["plain", "host"])
@pytest.mark.parametrize("open_reads", ["false", "true"])
def test_no_proxy_as_debian_configures_it_opens_metrics_or_open_reads(
    locations: str, open_reads: str, database_url: str, tmp_path: Path
) -> None:
    with _behind(locations, database_url, tmp_path, OPEN_READS=open_reads) as (service, client):
        through = [client.get(path).status_code for path in ("metrics", "deliveries")]
        directly = [httpx.get(f"{service.url}/{path}").status_code for path in ("metrics", "deliveries")]
    assert through == ([403, 403] if open_reads == "true" else [403, 401])
    assert directly == ([200, 200] if open_reads == "true" else [200, 401])


def test_the_documented_configuration_for_tools_forwards_nothing_else(database_url: str, tmp_path: Path) -> None:
    with _behind(example("nginx for tools"), database_url, tmp_path, METRICS_TOKEN="m") as (_, client):
        request = opened()
        posted = client.post("webhooks/github", content=request.body, headers=request.headers())
        event = client.post("events", json={})
        hidden = [client.get(path).headers["server"] for path in ("", "metrics", "docs", "events/x", *_READS)]
    assert (posted.status_code, event.json()["type"]) == (202, "urn:loopgauge:problem:token-not-configured")
    assert all(server.startswith("nginx") for server in hidden)


@pytest.mark.parametrize("locations", [_PREFIX_REMOVED, _PREFIX_KEPT], ids=["removed", "kept"])
def test_links_lead_through_a_proxy_with_a_prefix(locations: str, database_url: str, tmp_path: Path) -> None:
    with _behind(locations, database_url, tmp_path, **_ROOT, OPEN_METRICS="true") as (service, client):
        client.get("sign-in", params={"token": service.token})
        page = client.get("")
        links = re.findall(r'<a href="([^"]+)"', page.text)
        followed = {link: client.get(urljoin(str(page.url), link)).status_code for link in links}
        docs = client.get("docs")
        files = [file for file in re.findall(r'(?:src|href)="([^"]+)"', docs.text) if not file.startswith("data:")]
        loaded = [client.get(urljoin(str(docs.url), file)).status_code for file in files]
        servers = client.get("openapi.json").json()["servers"]
        help_page = client.get("webhooks/git-hub").text
    assert all(link.startswith("/loopgauge/") for link in links)
    assert set(followed.values()) == {200}
    assert loaded == [200] * 3
    assert servers == [{"url": "/loopgauge"}]
    assert "/loopgauge/webhooks/github" in help_page
