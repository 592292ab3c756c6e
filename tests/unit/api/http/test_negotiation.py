"""A client gets the media type that its `Accept` header prefers."""

import pytest
from starlette.requests import HTTPConnection

from service.api.http.negotiation import prefers_html, quality

_CHROMIUM = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


def _connection(*accept: str) -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [(b"accept", value.encode()) for value in accept]})


@pytest.mark.parametrize(
    "accept",
    [
        _CHROMIUM,
        "text/html",
        "TEXT/HTML",
        "text/*",
        "application/json;q=0.5, text/html;q=0.6",
        "*/*;q=0.1, text/html",
        "application/json;q=0, */*",
    ],
)
def test_a_client_that_prefers_html_gets_html(accept: str) -> None:
    assert prefers_html(_connection(accept))


@pytest.mark.parametrize(
    "accept",
    [
        "",
        "*/*",
        "application/json",
        "application/json, text/html",
        "text/html;q=0.5, application/json",
        "text/html;q=0, */*",
        "text/html;q=high",
        "image/png",
        ";;,=,q=1",
    ],
)
def test_a_client_that_does_not_prefer_html_gets_json(accept: str) -> None:
    assert not prefers_html(_connection(accept))


def test_a_client_without_an_accept_header_gets_json() -> None:
    assert not prefers_html(_connection())


def test_the_first_64_entries_of_a_header_count_so_that_a_header_of_commas_takes_hardly_any_time() -> None:
    others = ",".join(f"x-{number}" for number in range(63))
    assert quality(f"{others},gzip", "gzip") == 1
    assert quality(f"{others},x,gzip", "gzip") == quality("," * 60_000 + "gzip", "gzip") == 0


def test_several_accept_headers_count_as_one_list() -> None:
    assert not prefers_html(_connection("text/html;q=0.5", "application/json"))


def test_the_most_specific_range_decides() -> None:
    assert prefers_html(_connection("*/*;q=0.9, text/*;q=0.8, text/html;q=1, application/*;q=0.7"))


@pytest.mark.parametrize(("header", "expected"), [("gzip;q=0", 0.0), ("br, gzip", 1.0), ("gzip; q=0.5", 0.5)])
def test_quality_values_are_read(header: str, expected: float) -> None:
    assert quality(header, "gzip") == expected
