"""Every panel shows something, on a real Prometheus that scrapes every metric of the service."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support import catalogue
from tests.support.panel_queries import queries
from tests.support.prometheus import Prometheus, scraping

_EMPTY = {("loopgauge-failures", "Reclassified")}
"""Panels that show only changes. They are empty here, because the served values never change."""


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    with _exporter() as url, scraping([url], tmp_path_factory.mktemp("prometheus")) as running:
        running.until("rate(loopgauge_deliveries_total[1m])")
        yield running


@pytest.mark.parametrize("team", ["_org", "search"])
def test_every_panel_and_variable_has_series(prometheus: Prometheus, team: str) -> None:
    has_series: dict[tuple[str, str], bool] = {}
    for query in queries(team):
        owner = query.dashboard, query.owner
        has_series[owner] = has_series.get(owner, False) or bool(prometheus.query(query.expression))
    assert {owner for owner, shown in has_series.items() if not shown} == _EMPTY


@contextmanager
def _exporter() -> Iterator[str]:
    """Serve the scrape of the catalogue, and yield the address."""
    body = catalogue.scrape().encode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class defines this name
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
