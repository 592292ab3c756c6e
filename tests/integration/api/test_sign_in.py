"""`GET /sign-in` signs a browser in with a cookie, which reads and never writes."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from service.storage.database import Database
from tests.support.builders import at
from tests.support.road import api, bearer, is_problem

_TOKEN = "r3ad-t0ken"
_READS = ("/deliveries", "/experiments", "/scorecard", "/sources")


async def _signed_in(client: httpx.AsyncClient) -> str:
    """Sign in, and return the cookie as a browser sends it."""
    response = await client.get("/sign-in", params={"token": _TOKEN})
    client.cookies.clear()
    assert response.status_code == 303
    return str(response.headers["set-cookie"].partition(";")[0])


@asynccontextmanager
async def _service(
    database: Database, now: datetime | None = None, token: str = _TOKEN, **given: Any
) -> AsyncIterator[httpx.AsyncClient]:
    async with api(database, now, api_tokens={"read": token, "write": "w", "admin": "adm1n"}, **given) as client:
        yield client


async def test_the_link_sets_a_cookie_and_takes_the_token_out_of_the_address_bar(database: Database) -> None:
    async with _service(database) as client:
        response = await client.get("/sign-in", params={"token": _TOKEN})
        home = await client.get(httpx.URL("http://127.0.0.1/sign-in").join(response.headers["location"]))
        reads = [await client.get(path) for path in _READS]
    name, _, attributes = response.headers["set-cookie"].partition("=")
    assert re.fullmatch("loopgauge_[0-9a-f]{8}", name)
    assert attributes.partition("; ")[2].split("; ") == ["HttpOnly", "Max-Age=2592000", "Path=/", "SameSite=lax"]
    assert (response.status_code, response.content) == (303, b"")
    assert (response.headers["cache-control"], response.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert _TOKEN not in str(response.headers)
    assert {link["access"] for link in home.json()["links"]} == {"open"}
    assert [read.status_code for read in reads] == [200] * 4


@pytest.mark.parametrize("host", ["127.0.0.1:8080", "loopgauge.example.com"])
async def test_the_cookie_reads_behind_any_proxy(database: Database, host: str) -> None:
    async with _service(database, host="0.0.0.0") as client:
        cookie = await _signed_in(client)
        headers = {"host": host, "x-forwarded-for": "192.0.2.1", "cookie": f"other=1; {cookie}"}
        assert [(await client.get(path, headers=headers)).status_code for path in _READS] == [200] * 4
        assert (await client.head("/deliveries", headers=headers)).status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "w", "adm1n", "R3ad-t0ken", "r3ad-t0ken ", "%00", "schlüssel"])
async def test_another_token_does_not_sign_in(database: Database, token: str) -> None:
    async with _service(database) as client:
        refused = await client.get("/sign-in", params={"token": token})
    assert is_problem(refused, 401, "token-refused")
    assert "set-cookie" not in refused.headers


async def test_without_a_read_token_no_browser_is_signed_in(database: Database) -> None:
    async with api(database, api_tokens={"admin": "adm1n"}, open_reads=False) as client:
        assert is_problem(await client.get("/sign-in?token=adm1n"), 403, "token-not-configured")
        assert is_problem(await client.get("/sign-in?token="), 403, "token-not-configured")


async def test_no_write_and_no_administration_takes_the_cookie(database: Database) -> None:
    delivery = "00000000-0000-0000-0000-000000000001"
    async with _service(database) as client:
        headers = {"cookie": await _signed_in(client)}
        writes = [
            await client.post(path, headers=headers, json={"event": "proposed"})
            for path in (
                "/events",
                "/experiments/key:x/events",
                "/deliveries/retry",
                f"/deliveries/{delivery}/retry",
                "/webhooks/github",
            )
        ]
        metrics = await client.get("/metrics", headers={**headers, "host": "loopgauge.example.com"})
    assert [write.status_code for write in writes] == [401] * 5
    assert metrics.status_code == 403


async def test_a_cookie_ends_after_thirty_days(database: Database) -> None:
    async with _service(database, at(2)) as client:
        headers = {"cookie": await _signed_in(client)}
    for days, status in ((29, 200), (31, 401)):
        async with _service(database, at(2) + timedelta(days=days)) as client:
            assert (await client.get("/deliveries", headers=headers)).status_code == status


async def test_another_read_token_ends_every_cookie(database: Database) -> None:
    async with _service(database) as client:
        name, _, value = (await _signed_in(client)).partition("=")
    async with _service(database, token="another") as client:
        signed_in = await client.get("/sign-in", params={"token": "another"})
        client.cookies.clear()
        other = signed_in.headers["set-cookie"].partition("=")[0]
        assert other != name
        for sent in (f"{name}={value}", f"{other}={value}"):
            assert (await client.get("/deliveries", headers={"cookie": sent})).status_code == 401


async def test_a_forged_cookie_is_refused_without_an_error(database: Database) -> None:
    async with _service(database) as client:
        name, _, value = (await _signed_in(client)).partition("=")
        expires, _, proof = value.partition(".")
        forged = [
            "", ".", expires, f"{expires}.", f".{proof}", f"{int(expires) + 1}.{proof}", f"{expires}.{proof[:-1]}",
            f"{expires}.{proof.upper()}x", f"-1.{proof}", f"{'9' * 5000}.{proof}", _TOKEN, f"{expires}.{_TOKEN}",
        ]  # fmt: skip
        for each in forged:
            refused = await client.get("/deliveries", headers={"cookie": f"{name}={each}"})
            assert is_problem(refused, 401, "token-refused"), each
        raw = [(b"cookie", f"{name}=".encode() + b"\xff\xfe.\xff")]
        assert (await client.get("/deliveries", headers=raw)).status_code == 401
        both = {"cookie": f"{name}=x; {name}={value}"}
        assert (await client.get("/deliveries", headers=both)).status_code == 200


@pytest.mark.parametrize(("scheme", "secure"), [("https", True), ("HTTPS, http", True), ("http, https", False)])
async def test_the_cookie_is_sent_over_https_only_if_the_visitor_came_over_https(
    database: Database, scheme: str, secure: bool
) -> None:
    async with _service(database) as client:
        response = await client.get("/sign-in", params={"token": _TOKEN}, headers={"x-forwarded-proto": scheme})
    assert ("; Secure" in response.headers["set-cookie"]) == secure


@pytest.mark.parametrize("path", ["/sign-in", "/sign-in/", "//sign-in//", "/loopgauge/sign-in"])
@pytest.mark.parametrize("root_path", ["", "/loopgauge"])
async def test_the_redirect_leads_home_also_below_a_prefix(database: Database, path: str, root_path: str) -> None:
    if path.startswith("/loopgauge") and not root_path:
        return
    async with _service(database, root_path=root_path) as client:
        response = await client.get(f"http://127.0.0.1{path}?token={_TOKEN}")
    led_to = httpx.URL(f"http://127.0.0.1{path}").join(response.headers["location"]).path
    assert led_to.strip("/") == root_path.strip("/")
    assert f"; Path={root_path or '/'};" in response.headers["set-cookie"]


async def test_a_page_that_rebinds_its_name_to_this_machine_reads_nothing(database: Database) -> None:
    """The browser sends such a request with the Host of the page, and without the cookies of this machine."""
    async with _service(database) as client:
        await _signed_in(client)
        for path in (*_READS, "/metrics"):
            answer = await client.get(path, headers={"host": "rebound.example.com:8080"})
            assert answer.status_code in {401, 403}, path
        assert (await client.get("/deliveries", headers=bearer(_TOKEN))).status_code == 200
