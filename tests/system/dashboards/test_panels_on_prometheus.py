"""Every panel shows something, on a real Prometheus that scrapes a service which knows a bit of everything."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support import catalogue
from tests.support.panel_queries import queries
from tests.support.prometheus import Prometheus, scraping

_QUIET = {("loopgauge-failures", "Reclassified")}
"""What is empty where nothing changes while one looks."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with _exporter() as url, scraping([url], tmp_path_factory.mktemp("prometheus")) as running:
        running.until("rate(loopgauge_deliveries_total[1m])")
        yield running


@pytest.mark.parametrize("team", ["_org", "search"])
def test_every_panel_and_variable_has_series(prometheus: Prometheus, team: str) -> None:
    found: dict[tuple[str, str], bool] = {}
    for query in queries(team):
        asker = query.dashboard, query.asker
        found[asker] = found.get(asker, False) or bool(prometheus.query(query.expression))
    assert {asker for asker, shown in found.items() if not shown} == _QUIET


@contextmanager
def _exporter() -> Iterator[str]:
    """A server of the catalogue's scrape; its address."""
    body = catalogue.scrape().encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
