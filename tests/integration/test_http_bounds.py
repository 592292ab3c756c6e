"""No client can take more than its share of the memory, the time or the connections of the server."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from service.api.http.connections import Connections
from service.api.http.framing import CHUNK_BYTES, FREE_CHUNKS, MAX_HEAD_BYTES, MAX_HEADERS
from service.api.http.protocol import MAX_PIPELINED
from tests.support.raw_http import Echo, answers, connect, exchange, serving
from tests.support.waiting import wait_for

_LINE = b"POST / HTTP/1.1\r\nHost: test\r\n"
_GET = b"GET /next HTTP/1.1\r\nHost: test\r\n\r\n"
_CHUNKED = _LINE + b"Transfer-Encoding: chunked\r\n\r\n"
_MANY = 10_000_000


def _limited(most: int = 1000, most_descriptors: int = 1000) -> Connections:
    return Connections(most, most_descriptors, time.monotonic)


@pytest.fixture
def port() -> Iterator[int]:
    with serving(Echo(), _limited()) as port:
        yield port


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every deadline pass a hundred times as fast."""
    monkeypatch.setattr("service.api.http.connections._TICK_SECONDS", 0.01)
    for name, seconds in (("HEAD", 0.15), ("REST", 0.3), ("IDLE", 0.75), ("LINGER", 0.2)):
        monkeypatch.setattr(f"service.api.http.protocol.{name}_SECONDS", seconds)


def _flood(port: int, begin: bytes, piece: bytes) -> tuple[list[int], int]:
    """Send a beginning and then the same piece, until the server refuses. Return the statuses and how much was sent."""
    sent = 0
    with connect(port) as client:
        client.sendall(begin)
        with contextlib.suppress(ConnectionError):
            while sent < _MANY:
                client.sendall(piece)
                sent += len(piece)
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_WR)
        try:
            return [answer.status for answer in answers(client)], sent
        except ConnectionError:
            return [], sent


_HEADS = {
    "an endless value": (_LINE + b"X: ", b"x" * 1000),
    "an endless name": (_LINE, b"x" * 1000),
    "an endless target": (b"GET /", b"x" * 1000),
    "endless header fields": (_LINE, b"a:\r\n" * 100),
    "endless long header fields": (_LINE, b"abc: " + b"x" * 1000 + b"\r\n"),
    "endless trailers": (_CHUNKED + b"3\r\nabc\r\n0\r\n", b"abc: " + b"x" * 1000 + b"\r\n"),
    "an endless trailer": (_CHUNKED + b"3\r\nabc\r\n0\r\nX: ", b"x" * 1000),
    "an endless chunk extension": (_CHUNKED + b"3;", b"x" * 1000),
    "a chunk size with endless zeros": (_CHUNKED, b"0" * 1000),
    "endless tiny chunks": (_CHUNKED, b"1\r\nx\r\n" * 100),
    "endless chunks with extensions": (_CHUNKED, b"1;" + b"x" * 200 + b"\r\nx\r\n"),
}


@pytest.mark.parametrize(("begin", "piece"), _HEADS.values(), ids=_HEADS.keys())
def test_an_endless_frame_is_refused(port: int, begin: bytes, piece: bytes) -> None:
    statuses, sent = _flood(port, begin, piece)
    # A client that goes on sending may lose the answer, but not the end of the connection.
    assert statuses in ([431], [])
    assert sent < _MANY


def _in_pieces(request: bytes, size: int) -> list[bytes]:
    return [request[place : place + size] for place in range(0, len(request), size)]


def test_a_head_may_have_64_kib_and_256_fields_however_it_is_split(port: int) -> None:
    small = _LINE + b"X: " + b"x" * (MAX_HEAD_BYTES - len(_LINE) - 20) + b"\r\n\r\n"
    large = _LINE + b"X: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n"
    few = _LINE + b"X: x\r\n" * (MAX_HEADERS - 1) + b"\r\n"
    many = _LINE + b"X: x\r\n" * MAX_HEADERS + b"\r\n"
    for request, status in ((small, 200), (large, 431), (few, 200), (many, 431)):
        for size in (len(request), 10_000, 1_000):
            [answer] = exchange(port, *_in_pieces(request, size))
            assert answer.status == status


def test_a_head_that_arrives_with_a_large_body_may_have_64_kib(port: int) -> None:
    body = b"x" * 200_000
    for padding, status in ((60_000, 200), (70_000, 431)):
        head = _LINE + b"X: " + b"x" * padding + b"\r\nContent-Length: 200000\r\n\r\n"
        for request in (head + body, _GET + head + body):
            assert exchange(port, request)[-1].status == status
    # The large body of one request does not count towards the head of the next one.
    framed = _LINE + b"Content-Length: 200000\r\n\r\n" + body
    assert [answer.status for answer in exchange(port, (framed + _GET) * 3)] == [200] * 6


def test_many_small_chunks_are_read_and_tiny_ones_only_up_to_a_number(port: int) -> None:
    def chunked(size: int, number: int) -> bytes:
        return _CHUNKED + (b"%x\r\n%b\r\n" % (size, b"x" * size)) * number + b"0\r\n\r\n"

    for request, status in (
        (chunked(1, FREE_CHUNKS - 1), 200),
        (chunked(1, 3 * FREE_CHUNKS), 431),
        (chunked(CHUNK_BYTES, 10 * FREE_CHUNKS), 200),
    ):
        for pieces in ([request], _in_pieces(request, 5000)):
            [answer] = exchange(port, *pieces)
            assert answer.status == status


def test_requests_that_are_pipelined_without_end_are_answered_up_to_a_number(port: int) -> None:
    found = exchange(port, _GET.replace(b"/next", b"/slow") + _GET * 5000)
    assert [answer.status for answer in found] == [200] * (MAX_PIPELINED + 1) + [400]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("begin", "drip", "statuses"),
    [
        (b"", b"", []),
        (b"", b"\r\n", []),
        (_GET, b"\r\n", [200]),
        (b"GET", b"", [408]),
        (_LINE, b"X: x\r\n", [408]),
        (_GET + b"GET", b"", [200, 408]),
        (_GET + _LINE, b"X: x\r\n", [200, 408]),
        (_GET.replace(b"next", b"slow") + b"GET", b"", [200]),
        (_LINE.replace(b"/", b"/early", 1) + b"Content-Length: 9999\r\n\r\n", b"x", [200]),
    ],
    ids=[
        "nothing",
        "line ends",
        "line ends after a request",
        "a part of a head",
        "a slow head",
        "a part of the next head",
        "a slow next head",
        "a part of the next head during an answer",
        "a slow body that is not read",
    ],
)
def test_a_client_that_does_not_send_its_request_in_time_is_disconnected(
    port: int, begin: bytes, drip: bytes, statuses: list[int]
) -> None:
    with connect(port) as client:
        client.sendall(begin)
        client.settimeout(0.02)
        arrived, dripping = b"", bool(drip)
        while True:
            try:
                piece = client.recv(10_000)
            except TimeoutError:
                with contextlib.suppress(ConnectionError):
                    client.sendall(drip)
                continue
            except ConnectionError:
                # The server closed the connection while a drop was on its way.
                assert dripping
                break
            if not piece:
                break
            arrived += piece
    assert [int(part[:3]) for part in arrived.split(b"HTTP/1.1 ")[1:]] == statuses


@pytest.mark.usefixtures("hasty")
def test_a_client_that_does_not_read_its_answer_in_time_is_disconnected() -> None:
    connections = _limited()
    with serving(Echo(), connections) as port:
        for request in (_GET, _GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"), _GET * 3):
            with connect(port) as client:
                client.sendall(request.replace(b"/next", b"/long"))
                wait_for(lambda: connections.number)
                wait_for(lambda: not connections.number)


@pytest.mark.usefixtures("hasty")
def test_a_slow_reader_that_goes_on_reading_gets_its_whole_answer(port: int) -> None:
    with connect(port) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 200_000)
        client.sendall(_GET.replace(b"/next", b"/long"))
        arrived = 0
        while arrived < 50_000_000:
            time.sleep(0.005)
            piece = client.recv(400_000)
            assert piece
            arrived += len(piece)


def _is_closed(client: socket.socket) -> bool:
    client.settimeout(0.1)
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


_IDLERS = {"nothing": b"", "a part of a head": _LINE, "a part of a body": _LINE + b"Content-Length: 99\r\n\r\nx"}


@pytest.mark.parametrize("idle", _IDLERS.values(), ids=_IDLERS.keys())
def test_new_connections_replace_those_that_have_waited_longest(idle: bytes) -> None:
    with serving(Echo(), _limited(most=20)) as port, contextlib.ExitStack() as held:
        idlers = [held.enter_context(connect(port)) for _ in range(20)]
        for idler in idlers:
            idler.sendall(idle)
        time.sleep(0.2)
        for _ in range(5):
            assert exchange(port, _GET)[0].status == 200
        assert [_is_closed(idler) for idler in idlers] == [True] + [False] * 19
        others = [held.enter_context(connect(port)) for _ in range(10)]
        for other in others:
            other.sendall(_GET)
            assert other.recv(1000).startswith(b"HTTP/1.1 200 OK")
        assert sum(_is_closed(idler) for idler in idlers) == 10
        assert not any(_is_closed(other) for other in others)


def test_a_new_connection_is_refused_if_all_others_await_their_answers() -> None:
    with serving(Echo(), _limited(most=3)) as port, contextlib.ExitStack() as held:
        busy = [held.enter_context(connect(port)) for _ in range(3)]
        for client in busy:
            client.sendall(_GET.replace(b"/next", b"/slow"))
        time.sleep(0.1)
        with connect(port) as refused:
            assert _is_closed(refused)
        assert [client.recv(1000)[:15] for client in busy] == [b"HTTP/1.1 200 OK"] * 3
        assert exchange(port, _GET)[0].status == 200
