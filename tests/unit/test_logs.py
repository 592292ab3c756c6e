"""Logs are readable, and contain no secrets."""

import io
import json
import logging
from collections.abc import Iterator

import click
import pytest
import structlog

from service.logs import configure_logs


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _unchanged_logging() -> Iterator[None]:
    """Restore logging after each test."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def _fail_with_a_secret_at_hand() -> None:
    secrets = (b"TOPSECRET",)
    raise ZeroDivisionError(str(len(secrets)))


def _log_a_failure() -> None:
    try:
        _fail_with_a_secret_at_hand()
    except ZeroDivisionError:
        structlog.get_logger("service").exception("failed", source="github")


def test_failures_on_a_terminal_are_readable_and_show_no_values_of_local_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    configure_logs("info")
    _log_a_failure()
    shown = terminal.getvalue()
    assert "failed" in shown
    assert "ZeroDivisionError" in shown
    assert "TOPSECRET" not in shown


def test_each_log_line_is_one_json_object_if_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    monkeypatch.setattr("sys.stderr", written)
    configure_logs("info")
    _log_a_failure()
    logging.getLogger("some.library").warning("watch out")
    first, second = (json.loads(line) for line in written.getvalue().splitlines())
    assert (first["event"], first["source"], first["level"]) == ("failed", "github", "error")
    assert "ZeroDivisionError" in first["exception"]
    assert "TOPSECRET" not in written.getvalue()
    assert (second["event"], second["level"], second["logger"]) == ("watch out", "warning", "some.library")


def test_a_log_line_fits_the_terminal_and_keeps_its_words(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("COLUMNS", "80")
    configure_logs("info")
    link = "http://127.0.0.1:8080/" + "x" * 90
    structlog.get_logger("service").warning("a short line")
    structlog.get_logger("service").warning("one thought after the other " * 9, link=link, count=3)
    _log_a_failure()
    shown = click.unstyle(terminal.getvalue())
    log, _, traceback = shown.partition("Traceback (most recent call last):")
    lines = log.splitlines()
    assert [line for line in lines if len(line) > 80] == [f"    link={link}"]
    assert log.split().count("thought") == 9
    assert lines[0].endswith(" a short line [service]")
    # Python prints the lines of a traceback as they are.
    assert '  File "' in traceback


def test_no_text_in_a_log_line_controls_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    configure_logs("info")
    hostile = "a\x1b]0;title\x07\u202ereversed\x9b31m\r\nb"
    failure = ZeroDivisionError(hostile)
    structlog.get_logger("service").error("failed", cause=hostile, values=[hostile], exc_info=failure)
    logging.getLogger("some.library").warning("watch %s", hostile)
    # The colours of the log itself are the only escape sequences.
    shown = click.unstyle(terminal.getvalue())
    assert [line for line in shown.split("\n") if not line.isprintable()] == []
    assert shown.count("\\u202ereversed\\x9b31m\\r") == 4
    assert "ZeroDivisionError: a\\x1b]0;title" in shown
