"""Wait for a state that another process or task brings about."""

import time
from collections.abc import Callable
from typing import TypeVar

import pytest

PATIENCE_SECONDS = 300.0
"""How long a test waits before it fails.

This time is generous, because on a busy machine a process may get only a tenth of a core.
"""

# Back off: `look` often scrapes a process, which costs CPU time in that process and in the test.
_FIRST_POLL_SECONDS = 0.02
_LONGEST_POLL_SECONDS = 0.25
_Value = TypeVar("_Value")


def wait_for(look: Callable[[], _Value | None], state: str = "such state") -> _Value:
    """Call `look` until it returns a true value, and return this value.

    Args:
        state: the awaited state in words, for the failure message.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = _FIRST_POLL_SECONDS
    while time.monotonic() < deadline:
        value = look()
        if value:
            return value
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST_POLL_SECONDS)
    pytest.fail(f"no {state} within {PATIENCE_SECONDS:g} seconds")
