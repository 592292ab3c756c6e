"""With wrong settings the service does not start, and prints the reason in one line."""

import socket

import pytest

from tests.support.serving import run_command


def test_a_wrong_setting_stops_the_start_with_one_line() -> None:
    ended = run_command("serve", PORT="http")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("loopgauge: LOOPGAUGE_PORT: expected a valid integer")
    assert ended.stderr.count("\n") == 1


def test_a_port_that_is_taken_stops_the_start_with_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ended = run_command("serve", "--port", str(taken.getsockname()[1]), DATABASE_URL="postgresql://h/d")
    assert ended.returncode == 1
    assert ended.stderr.startswith("loopgauge: cannot listen on 127.0.0.1:")
    assert "LOOPGAUGE_PORT" in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize("url", ["postgresql://u:hush@h:port/db", "postgresql://u:hush@h/db?sslmode=bogus"])
def test_a_database_url_that_cannot_be_used_stops_the_start_with_one_line(url: str) -> None:
    ended = run_command("serve", "--port", "0", DATABASE_URL=url)
    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith("loopgauge: LOOPGAUGE_DATABASE_URL cannot be used; expected postgresql://")
    assert "hush" not in ended.stderr
