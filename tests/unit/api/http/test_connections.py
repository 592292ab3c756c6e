"""`Connections` keeps room for new connections, and `OccasionalLog` says so once a minute."""

import structlog

from service.api.http.connections import Connections
from service.api.http.occasional_log import OccasionalLog


class _Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Client:
    def __init__(self) -> None:
        self.ended = ""

    def give_up(self) -> None:
        self.ended = "given up"

    def abort(self) -> None:
        self.ended = "aborted"


async def test_a_new_connection_replaces_the_one_that_has_waited_longest() -> None:
    connections = Connections(3, 1000, _Clock())
    first, second, third, fourth, fifth = (_Client() for _ in range(5))
    for client in (first, second, third):
        assert connections.admit(client, 10)
        connections.wait(client, 15)
    # The first one sends a request and gets its answer, the second one awaits an answer.
    connections.stop_waiting(first)
    connections.wait(first, 75)
    connections.stop_waiting(second)
    assert connections.admit(fourth, 10)
    assert (third.ended, first.ended, second.ended) == ("aborted", "", "")
    connections.stop_waiting(first)
    assert not connections.admit(fifth, 10)
    connections.remove(second)
    assert connections.admit(fifth, 10)


async def test_a_connection_with_a_high_descriptor_replaces_another() -> None:
    connections = Connections(100, 50, _Clock())
    first, second, third = _Client(), _Client(), _Client()
    assert connections.admit(first, 48)
    connections.wait(first, 15)
    assert connections.admit(second, 49)
    assert (first.ended, second.ended) == ("", "")
    assert connections.admit(third, 50)
    assert (first.ended, second.ended) == ("aborted", "")


async def test_a_later_deadline_does_not_make_a_connection_wait_anew() -> None:
    connections = Connections(2, 1000, _Clock())
    first, second = _Client(), _Client()
    for client in (first, second):
        connections.admit(client, 10)
        connections.wait(client, 15)
    connections.set_deadline(first, 99)
    connections.admit(_Client(), 10)
    assert (first.ended, second.ended) == ("aborted", "")


async def test_the_log_says_at_most_once_a_minute_how_many_connections_found_no_room() -> None:
    clock = _Clock()
    with structlog.testing.capture_logs() as logged:
        connections = Connections(1, 1000, clock)
        for _ in range(5):
            client = _Client()
            connections.admit(client, 10)
            connections.wait(client, 15)
        clock.now = 59.9
        connections.admit(_Client(), 10)
        connections.admit(_Client(), 10)
        clock.now = 60.0
        connections.admit(_Client(), 10)
    closed = "connections closed that had waited longest for their client"
    refused = "new connections refused, because every open connection awaited its answer"
    assert [one["reasons"] for one in logged] == [{closed: 1}, {closed: 4, refused: 2}]
    assert {one["log_level"] for one in logged} == {"warning"}


def test_the_log_says_the_last_counts_although_no_further_event_follows() -> None:
    clock = _Clock()
    with structlog.testing.capture_logs() as logged:
        log = OccasionalLog("refused malformed requests", "info", clock)
        for _ in range(3):
            log.record("head too large")
        assert log.pending
        clock.now = 61
        log.flush()
        log.flush()
    assert [one["reasons"] for one in logged] == [{"head too large": 1}, {"head too large": 2}]
