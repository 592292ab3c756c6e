"""The server reads each request exactly as HTTP/1.1 says, or refuses it and reads no more of the connection."""

import contextlib
import socket
import time
from collections.abc import Iterator, Sequence

import pytest

from tests.support.raw_http import Answer, Echo, answers, connect, exchange, serving
from tests.support.waiting import wait_for

_HEAD = b"POST /webhooks/github HTTP/1.1\r\nHost: test\r\n"
_BODY = b'{"zen": "Keep it logically awesome."}'
_LENGTH = b"Content-Length: %d\r\n" % len(_BODY)
_CHUNKED = b"Transfer-Encoding: chunked\r\n"
_CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(_BODY), _BODY)
_NEXT = b"GET /next HTTP/1.1\r\nHost: test\r\n\r\n"
_H2C = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Echo, int]]:
    echo = Echo()
    with serving(echo) as port:
        yield echo, port


@pytest.fixture
def echo(served: tuple[Echo, int]) -> Echo:
    served[0].seen.clear()
    served[0].begun = served[0].broken = 0
    return served[0]


@pytest.fixture
def port(served: tuple[Echo, int], echo: Echo) -> int:  # noqa: ARG001 - empties the list of requests
    return served[1]


def _bytewise(request: bytes) -> list[bytes]:
    return [request[place : place + 1] for place in range(len(request))]


def _paths(found: Sequence[Answer]) -> list[str]:
    return [answer.read["path"] for answer in found]


_UPGRADES = {
    "curl --http2": _H2C,
    "WebSocket": b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n",
    "TLS": b"Connection: keep-alive, Upgrade\r\nUpgrade: TLS/1.3, h2c\r\n",
    "two fields": b"Upgrade: h2c\r\nUpgrade: foo\r\nConnection: close\r\nConnection: upgrade\r\n",
}


@pytest.mark.parametrize("fields", _UPGRADES.values(), ids=_UPGRADES.keys())
@pytest.mark.parametrize("framed", [_LENGTH + b"\r\n" + _BODY, _CHUNKED + b"\r\n" + _CHUNKS], ids=["length", "chunks"])
def test_the_body_of_a_request_to_upgrade_is_read_whole(port: int, fields: bytes, framed: bytes) -> None:
    request = _HEAD + fields + framed
    for pieces in ([request], _bytewise(request), [request[: -len(_BODY)], request[-len(_BODY) :]]):
        [answer] = exchange(port, *pieces)
        assert answer.status == 200
        assert answer.read["body"].encode() == _BODY
        assert "upgrade" not in dict(answer.read["headers"])


@pytest.mark.parametrize("cut", range(1, 260, 7))
def test_a_request_to_upgrade_may_be_split_anywhere(port: int, cut: int) -> None:
    request = _HEAD + _H2C + _LENGTH + b"\r\n" + _BODY
    with connect(port) as client:
        client.sendall(request[:cut])
        time.sleep(0.005)
        client.sendall(request[cut:])
        client.shutdown(socket.SHUT_WR)
        [answer] = answers(client)
    assert answer.read["body"].encode() == _BODY


def test_requests_before_and_after_a_request_to_upgrade_are_answered_in_order(port: int) -> None:
    upgrade = _HEAD + _H2C + _LENGTH + b"\r\n" + _BODY
    assert _paths(exchange(port, _NEXT + upgrade + _NEXT)) == ["/next", "/webhooks/github", "/next"]


_SMUGGLED = {
    "a second host": b"Host: other\r\n" + _LENGTH + b"\r\n" + _BODY,
    "the host twice": b"hOST: test\r\n" + _CHUNKED + b"\r\n" + _CHUNKS,
    "a second host in a request to upgrade": b"Host: other\r\n" + _H2C + _LENGTH + b"\r\n" + _BODY,
    "a length and chunks": _LENGTH + _CHUNKED + b"\r\n" + _CHUNKS,
    "chunks and a length": _CHUNKED + _LENGTH + b"\r\n" + _CHUNKS,
    "a length twice": _LENGTH + _LENGTH + b"\r\n" + _BODY,
    "two lengths": _LENGTH + b"Content-Length: 0\r\n\r\n" + _BODY,
    "a list of lengths": b"Content-Length: 3, 3\r\n\r\nabc",
    "a length with a sign": b"Content-Length: +3\r\n\r\nabc",
    "a negative length": b"Content-Length: -3\r\n\r\nabc",
    "an empty length": b"Content-Length:\r\n\r\nabc",
    "a hexadecimal length": b"Content-Length: 0x3\r\n\r\nabc",
    "a length of 4,000 digits": b"Content-Length: " + b"9" * 4000 + b"\r\n\r\nabc",
    "a continued line": b"X: a\r\n Content-Length: 3\r\n" + _LENGTH + b"\r\n" + _BODY,
    "a continued line with a tab": _LENGTH + b"X: a\r\n\tb\r\n\r\n" + _BODY,
    "a bare LF": b"X: a\n" + _LENGTH + b"\r\n" + _BODY,
    "a bare CR": b"X: a\r" + _LENGTH + b"\r\n" + _BODY,
    "a null byte in a value": b"X: a\0b\r\n" + _LENGTH + b"\r\n" + _BODY,
    "a null byte in a name": b"X\0: b\r\n" + _LENGTH + b"\r\n" + _BODY,
    "a space before the colon": b"Content-Length : 3\r\n\r\nabc",
    "an empty name": b": a\r\n" + _LENGTH + b"\r\n" + _BODY,
    "an unknown coding": b"Transfer-Encoding: xchunked\r\n\r\n" + _CHUNKS,
    "the coding identity": b"Transfer-Encoding: identity\r\n\r\n" + _BODY,
    "chunked before another coding": b"Transfer-Encoding: chunked, gzip\r\n\r\n" + _CHUNKS,
    "chunked twice": _CHUNKED + _CHUNKED + b"\r\n" + _CHUNKS,
    "a vertical tab": b"Transfer-Encoding: \x0bchunked\r\n\r\n" + _CHUNKS,
    "a chunk size that overflows": _CHUNKED + b"\r\nFFFFFFFFFFFFFFFFF\r\nabc",
    "a negative chunk size": _CHUNKED + b"\r\n-3\r\nabc\r\n0\r\n\r\n",
    "a chunk size with a prefix": _CHUNKED + b"\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "chunks with bare LF": _CHUNKED + b"\r\n3\nabc\n0\n\n",
    "a chunk that is too long": _CHUNKED + b"\r\n3\r\nabcd\r\n0\r\n\r\n",
    "a length as a trailer": _CHUNKED + b"\r\n3\r\nabc\r\n0\r\nContent-Length: 3\r\n\r\n",
}


@pytest.mark.parametrize("rest", _SMUGGLED.values(), ids=_SMUGGLED.keys())
def test_a_request_whose_end_is_ambiguous_is_refused_and_nothing_after_it_is_read(
    echo: Echo, port: int, rest: bytes
) -> None:
    for pieces in ([_HEAD + rest + _NEXT], _bytewise(_HEAD + rest + _NEXT)):
        [answer] = exchange(port, *pieces)
        assert (answer.status, answer.problem) == (400, "malformed-request")
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert echo.seen == []


_WITHOUT_HOST = {
    "a read": b"GET /metrics HTTP/1.1\r\n\r\n",
    "a body": _HEAD.replace(b"Host: test\r\n", b"") + _LENGTH + b"\r\n" + _BODY,
    "chunks": _HEAD.replace(b"Host: test\r\n", b"") + _CHUNKED + b"\r\n" + _CHUNKS,
    "a request to upgrade": _HEAD.replace(b"Host: test\r\n", b"") + _H2C + _LENGTH + b"\r\n" + _BODY,
    "a target with a host": b"GET http://test/next HTTP/1.1\r\n\r\n",
    "a host in another field": b"GET /next HTTP/1.1\r\nX-Forwarded-Host: test\r\n\r\n",
    "a host as a trailer": b"GET /next HTTP/1.1\r\n" + _CHUNKED + b"\r\n0\r\nHost: test\r\n\r\n",
    "an address with a path": b"GET /next HTTP/1.1\r\nHost: http://test/\r\n\r\n",
    "a user": b"GET /next HTTP/1.1\r\nHost: user@test\r\n\r\n",
    "two hosts in one field": b"GET /next HTTP/1.1\r\nHost: test other\r\n\r\n",
    "bytes": b"GET /next HTTP/1.1\r\nHost: t\xc3\xa4st\r\n\r\n",
}


@pytest.mark.parametrize("request_", _WITHOUT_HOST.values(), ids=_WITHOUT_HOST.keys())
def test_a_request_in_http_1_1_without_a_valid_host_is_refused_and_nothing_after_it_is_read(
    echo: Echo, port: int, request_: bytes
) -> None:
    for pieces in ([request_ + _NEXT], _bytewise(request_ + _NEXT)):
        [answer] = exchange(port, *pieces)
        assert (answer.status, answer.problem) == (400, "malformed-request")
        assert "Host" in answer.read["detail"]
    assert echo.seen == []


@pytest.mark.parametrize(
    "head",
    [
        *(b"GET /next HTTP/1.0\r\n", b"GET /next HTTP/1.0\r\nHost: test\r\n", b"GET /next HTTP/1.1\r\nHost:\r\n"),
        *(b"GET /next HTTP/1.1\r\nHost: %b\r\n" % host for host in (b"a_b.test:80", b"[::1]:8080", b"127.0.0.1")),
    ],
)
def test_a_valid_host_or_none_in_http_1_0_is_accepted(port: int, head: bytes) -> None:
    assert _paths(exchange(port, head + b"\r\n")) == ["/next"]


_NOT_SUPPORTED = {
    "CONNECT": (b"CONNECT test:443 HTTP/1.1\r\nHost: test\r\n\r\n", 501),
    "CONNECT with a body": (b"CONNECT test:443 HTTP/1.1\r\nHost: test\r\n" + _LENGTH + b"\r\n" + _BODY, 501),
    "a second transfer coding": (_HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + _CHUNKS, 501),
    "chunks in HTTP/1.0": (b"POST / HTTP/1.0\r\n" + _CHUNKED + b"\r\n" + _CHUNKS, 400),
    "HTTP/2 without an upgrade": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 505),
    "HTTP/2.0 in the request line": (b"GET / HTTP/2.0\r\n\r\n", 505),
    "HTTP/0.9": (b"GET /\r\n\r\n", 505),
    "a version that does not exist": (b"GET / HTTP/1.7\r\n\r\n", 400),
    "TLS": (b"\x16\x03\x01\x02\0\1\0\1\xfc\3\3", 400),
    "a space in the target": (b"GET /a b HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "a null byte in the target": (b"GET /a\0 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "bytes in the target": (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "an authority as the target": (b"GET test:80 HTTP/1.1\r\nHost: test\r\n\r\n", 400),
    "a method that does not exist": (b"PUSH / HTTP/1.1\r\nHost: test\r\n\r\n", 400),
}


@pytest.mark.parametrize(("request_", "status"), _NOT_SUPPORTED.values(), ids=_NOT_SUPPORTED.keys())
def test_other_protocols_and_methods_are_refused(echo: Echo, port: int, request_: bytes, status: int) -> None:
    for pieces in ([request_], _bytewise(request_)):
        [answer] = exchange(port, *pieces)
        assert answer.status == status
    assert echo.seen == []


def test_a_refusal_does_not_overtake_the_answers_to_earlier_requests(echo: Echo, port: int) -> None:
    slow = _HEAD.replace(b"/webhooks/github", b"/slow") + _LENGTH + b"\r\n" + _BODY
    found = exchange(port, slow + _NEXT + _HEAD + b"broken\r\n\r\n")
    assert [answer.status for answer in found] == [200, 200, 400]
    assert _paths(found[:2]) == ["/slow", "/next"]
    found = exchange(port, slow + _NEXT + _HEAD + _CHUNKED + b"\r\nbroken\r\n\r\n")
    assert [answer.status for answer in found] == [200, 200, 400]
    assert [one["path"] for one in echo.seen] == ["/slow", "/next"] * 2


def test_a_request_that_breaks_within_its_body_reaches_the_application_as_broken(echo: Echo, port: int) -> None:
    with connect(port) as client:
        client.sendall(_HEAD + _CHUNKED + b"\r\n5\r\n{    \r\n")
        wait_for(lambda: echo.begun)
        client.sendall(b"broken\r\n")
        [answer] = answers(client)
    assert answer.status == 400
    wait_for(lambda: echo.broken)
    assert echo.seen == []


def test_trailers_do_not_become_headers(port: int) -> None:
    trailed = _CHUNKS.removesuffix(b"\r\n") + b"X-Hub-Signature-256: sha256=00\r\nUpgrade: h2c\r\n\r\n"
    request = _HEAD + _CHUNKED + b"\r\n" + trailed
    for pieces in ([request + _NEXT], _bytewise(request + _NEXT)):
        first, second = exchange(port, *pieces)
        assert dict(first.read["headers"]) == {"host": "test", "transfer-encoding": "chunked"}
        assert second.read["path"] == "/next"


_TARGETS = {
    b"http://test/next?a=b": ("/next", "a=b"),
    b"HTTPS://test:8443/next": ("/next", ""),
    b"http://test": ("/", ""),
    b"http://test?a=b": ("/", "a=b"),
    b"/next#fragment": ("/next", ""),
    b"//next": ("//next", ""),
    b"/%6eext": ("/next", ""),
    b"/%00%ff": ("/\0\N{REPLACEMENT CHARACTER}", ""),
    b"/%zz": ("/%zz", ""),
    b"*": ("*", ""),
}


@pytest.mark.parametrize("target", _TARGETS)
def test_targets_of_every_form_are_read(port: int, target: bytes) -> None:
    [answer] = exchange(port, b"OPTIONS %b HTTP/1.1\r\nHost: test\r\n\r\n" % target)
    assert (answer.read["path"], answer.read["query"]) == _TARGETS[target]


def test_a_length_with_leading_zeros_or_spaces_is_read(port: int) -> None:
    for length in (b"0" * 4_400 + b"3", b" 3 ", b"\t3\t"):
        first, second = exchange(port, _HEAD + b"Content-Length:%b\r\n\r\nabc" % length + _NEXT)
        assert (first.read["body"], second.read["path"]) == ("abc", "/next")


def test_line_ends_before_a_request_are_skipped(port: int) -> None:
    assert _paths(exchange(port, b"\r\n\r\n", _NEXT, b"\r\n\r\n" + _NEXT)) == ["/next", "/next"]


def test_a_request_after_connection_close_is_not_read(echo: Echo, port: int) -> None:
    last = _NEXT.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    assert _paths(exchange(port, last + _NEXT)) == ["/next"]
    assert len(echo.seen) == 1


def test_a_client_that_closes_its_half_of_the_connection_gets_its_answer(port: int) -> None:
    slow = _HEAD.replace(b"/webhooks/github", b"/slow") + _LENGTH + b"\r\n" + _BODY
    assert _paths(exchange(port, slow)) == ["/slow"]


def test_a_body_that_ends_early_is_not_passed_for_a_whole_one(echo: Echo, port: int) -> None:
    before = echo.broken
    for framed in (_LENGTH + b"\r\n" + _BODY[:-1], _CHUNKED + b"\r\n" + _CHUNKS[:-1]):
        assert exchange(port, _HEAD + framed) == []
    # The connection ends before the application learns that the body is incomplete.
    wait_for(lambda: echo.broken >= before + 2)
    assert (echo.broken - before, echo.seen) == (2, [])


def test_expect_100_continue_is_answered_before_the_body_arrives(port: int) -> None:
    with connect(port) as client:
        client.sendall(_HEAD + _LENGTH + b"Expect: 100-continue\r\n\r\n")
        assert client.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(_BODY)
        [answer] = answers(client)
    assert answer.read["body"].encode() == _BODY


def test_a_request_cannot_pass_for_the_body_that_a_refusal_made_superfluous(port: int) -> None:
    early = _HEAD.replace(b"/webhooks/github", b"/early") + _LENGTH + b"Expect: 100-continue\r\n\r\n"
    with connect(port) as client:
        client.sendall(early)
        [answer] = answers(client)
    assert answer.headers["connection"] == "close"


def test_an_answer_before_the_end_of_the_body_leaves_the_connection_usable(port: int) -> None:
    early = _HEAD.replace(b"/webhooks/github", b"/early") + _LENGTH + b"\r\n"
    with connect(port) as client:
        client.sendall(early)
        time.sleep(0.05)
        client.sendall(_BODY + _NEXT)
        client.shutdown(socket.SHUT_WR)
        found = answers(client)
    assert _paths(found) == ["/early", "/next"]


def test_a_client_that_still_sends_receives_the_refusal(port: int) -> None:
    for _ in range(20):
        with connect(port) as client:
            client.sendall(b"GET / HTTP/1.1\r\nbroken\r\n\r\n")
            for _ in range(10):
                client.sendall(b"x" * 10_000)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_WR)
            [answer] = answers(client)
        assert answer.status == 400
