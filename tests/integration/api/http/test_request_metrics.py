"""Request durations are recorded by route template, never by values that clients invent."""

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from fastapi import FastAPI, Request
from starlette.requests import ClientDisconnect
from starlette.responses import StreamingResponse
from starlette.types import ASGIApp, Message

from service.api.http.problems import install_error_handlers
from service.api.http.request_metrics import RequestMetricsMiddleware
from service.app import create_app
from service.storage.database import Database
from service.telemetry import Telemetry
from tests.support.builders import Issue, at
from tests.support.road import RULES, api, parse_samples, post, settings

REQUEST = Issue(created_at=at(2)).opened()
Timed = dict[tuple[str, ...], float]


async def _timed(client: httpx.AsyncClient) -> Timed:
    """The number of recorded requests by method, route and status."""
    figures = parse_samples((await client.get("/metrics")).text)
    return {name[1:]: value for name, value in figures.items() if name[0] == "http_request_duration_seconds_count"}


async def test_a_request_is_recorded_under_its_route_template(database: Database) -> None:
    async with api(database) as client:
        await post(client, REQUEST)
        await post(client, REQUEST, "github/")
        await post(client, REQUEST, "invented-by-a-stranger")
        await client.get("/deliveries")
        await client.get("/deliveries/0f6ad4c5-6f0c-5d3f-9a5e-0f8f0a3f4a11")
        await client.get("/experiments/github:acme/app%2345/explain")
        await client.get("/metrics")
        assert await _timed(client) == {
            ("POST", "/webhooks/{source}", "202"): 2,
            ("POST", "/webhooks/{source}", "404"): 1,
            ("GET", "/deliveries", "200"): 1,
            ("GET", "/deliveries/{delivery}", "404"): 1,
            ("GET", "/experiments/{experiment}/explain", "404"): 1,
            ("GET", "/metrics", "200"): 1,
        }


async def test_unknown_paths_and_methods_share_one_label_value(database: Database) -> None:
    async with api(database) as client:
        for number in range(20):
            await client.get(f"/invented-{number}")
            await client.request(f"INVENT{number}", "/deliveries")
        await client.delete("/webhooks/github")
        assert await _timed(client) == {
            ("GET", "_unmatched", "404"): 20,
            ("_other", "/deliveries", "405"): 20,
            ("DELETE", "/webhooks/{source}", "405"): 1,
        }


class Clock:
    """A clock that the test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry([])


@pytest.fixture
async def client(clock: Clock, telemetry: Telemetry) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an application with slow and failing routes."""
    app = _odd_app(clock)
    app.add_middleware(RequestMetricsMiddleware, requests=telemetry.requests, endpoints={}, clock=clock)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


def _odd_app(clock: Clock) -> FastAPI:
    app = FastAPI()
    install_error_handlers(app)

    def parts(*, whole: bool) -> Iterator[bytes]:
        for _ in range(3):
            clock.now += 1.5
            yield b"part"
        if not whole:
            raise RuntimeError("the rest of the answer is missing")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(parts(whole=True))

    @app.get("/broken-stream")
    async def broken_stream() -> StreamingResponse:
        return StreamingResponse(parts(whole=False))

    @app.get("/fault")
    async def fault() -> None:
        raise RuntimeError("a fault")

    @app.post("/left")
    async def left(_request: Request) -> None:
        raise ClientDisconnect

    return app


def _figure(telemetry: Telemetry, which: str, route: str, status: str, method: str = "GET") -> float | None:
    labels = {"method": method, "route": route, "status": status}
    return telemetry.registry.get_sample_value(f"loopgauge_http_request_duration_seconds_{which}", labels)


async def test_a_streamed_answer_is_timed_to_its_end(client: httpx.AsyncClient, telemetry: Telemetry) -> None:
    assert (await client.get("/stream")).content == b"partpartpart"
    assert _figure(telemetry, "count", "/stream", "200") == 1
    assert _figure(telemetry, "sum", "/stream", "200") == 4.5


async def test_a_bug_is_recorded_as_500(client: httpx.AsyncClient, telemetry: Telemetry) -> None:
    assert (await client.get("/fault")).status_code == 500
    assert _figure(telemetry, "count", "/fault", "500") == 1
    assert _figure(telemetry, "count", "/fault", "499") is None


async def test_an_interrupted_answer_keeps_the_status_that_it_began_with(
    client: httpx.AsyncClient, telemetry: Telemetry
) -> None:
    assert (await client.get("/broken-stream")).status_code == 200
    assert _figure(telemetry, "count", "/broken-stream", "200") == 1
    assert _figure(telemetry, "count", "/broken-stream", "500") is None


async def test_a_client_that_disconnects_is_recorded_as_499(client: httpx.AsyncClient, telemetry: Telemetry) -> None:
    await client.post("/left")
    assert _figure(telemetry, "count", "/left", "499", "POST") == 1


async def test_a_webhook_sender_that_disconnects_is_recorded_as_499(database: Database) -> None:
    app = create_app(settings(), RULES, database, lambda: at(2))
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client,
    ):
        await _go_away_from(app)
        assert await _timed(client) == {("POST", "/webhooks/{source}", "499"): 1}


async def _go_away_from(app: ASGIApp) -> None:
    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        pytest.fail(f"sent to a client that disconnected: {message}")

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/webhooks/github",
        "root_path": "",
        "scheme": "http",
        "query_string": b"",
        "headers": [],
        "server": ("127.0.0.1", 2),
    }
    await app(scope, receive, send)
