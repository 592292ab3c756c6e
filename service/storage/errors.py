"""Database errors, and the code that translates the errors of SQLAlchemy and the driver into them."""

import errno
import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class DatabaseError(Exception):
    """The database cannot be used; the message says why."""


class DatabaseUnavailable(DatabaseError):
    """PostgreSQL does not answer or does not accept writes. A retry may succeed."""


class DatabaseAway(DatabaseUnavailable):
    """PostgreSQL does not run, or is starting or stopping: it refuses all connections."""


class DatabaseUnprepared(DatabaseUnavailable):
    """PostgreSQL refuses access, a table is locked, or the schema is not as expected; the message says what to do."""


class DatabaseTimeout(DatabaseUnavailable):
    """PostgreSQL cancelled a statement that took too long. A smaller statement may succeed."""


class DatabaseMisconfigured(DatabaseError):
    """The database URL is invalid; the message says why."""


class DatabaseRejected(DatabaseError):
    """PostgreSQL rejects a value. A retry cannot succeed."""


# Errors besides SQLAlchemy's `DBAPIError`: SQLAlchemy wraps neither errors while connecting nor its pool's timeout.
# The driver raises `InternalClientError` if PostgreSQL has just announced the end of an idle connection, and the driver
# has not noticed the end yet.
_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    PoolTimeout,
)
# Errors of these SQLSTATE classes mean that PostgreSQL rejects a value: data exception, integrity constraint violation,
# and program limit exceeded (such as a key that is too long to index).
_REJECTED_CLASSES = ("22", "23", "54")
_QUERY_CANCELED = "57014"
_FORBIDDEN = "42501"
# A table or a column does not exist.
_OUTDATED = ("42P01", "42703")
_LOCKED = "55P03"
# Advice by SQLSTATE, for errors that an operator has to fix.
_ADVICE = {
    "28P01": "check the user and the password in LOOPGAUGE_DATABASE_URL",
    "28000": "check the user and the password in LOOPGAUGE_DATABASE_URL",
    "3D000": "create this database, or name another one in LOOPGAUGE_DATABASE_URL",
    _FORBIDDEN: "grant the permission to the user in LOOPGAUGE_DATABASE_URL, or name another user",
    **dict.fromkeys(_OUTDATED, "run: loopgauge migrate"),
    _LOCKED: "another session, such as a backup, holds a lock; retry when that session has finished",
}
# These errors mean that no server listens on the port or socket, or that the host name does not resolve.
_REFUSED = {errno.ECONNREFUSED, errno.ENOENT, socket.EAI_NONAME}


@contextmanager
def translated_errors() -> Iterator[None]:
    """Translate the errors of SQLAlchemy and the driver into the errors of this module.

    Raises:
        DatabaseUnavailable: PostgreSQL cannot be reached, or the connection was lost.
        DatabaseRejected: PostgreSQL rejects a value.
    """
    try:
        yield
    except (DBAPIError, *_UNAVAILABLE) as error:
        if _is_about_a_value(error):
            raise DatabaseRejected(f"PostgreSQL rejects a value: {cause(error)}") from error
        if _sqlstate(error) == _QUERY_CANCELED:
            raise DatabaseTimeout(f"PostgreSQL took too long: {cause(error)}") from error
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> DatabaseUnavailable:
    state = _sqlstate(error) or ""
    if state in _ADVICE:
        return DatabaseUnprepared(f"{_fault(state)}: {cause(error)}; {_ADVICE[state]}")
    message = f"PostgreSQL is not available: {_reason(error)}"
    return DatabaseAway(message) if is_refused(error) else DatabaseUnavailable(message)


def _fault(state: str) -> str:
    """The fault of a PostgreSQL that answers."""
    if state in _OUTDATED:
        return "the schema is missing or too old"
    return "a table is locked" if state == _LOCKED else "PostgreSQL refuses"


def _reason(error: Exception) -> str:
    match error:
        case asyncpg.InternalClientError():
            return f"the connection is broken ({cause(error)})"
        case socket.gaierror():
            # If the password contains an "@" or a "/" that is not encoded, the URL seems to have another host.
            return f"{cause(error)} (is the password in LOOPGAUGE_DATABASE_URL percent-encoded?)"
        case ssl.SSLCertVerificationError():
            return f"{cause(error)} (does sslrootcert in LOOPGAUGE_DATABASE_URL name the authority of the server?)"
        case _:
            return cause(error)


def _is_about_a_value(error: Exception) -> bool:
    if state := _sqlstate(error):
        return state.startswith(_REJECTED_CLASSES)
    # An error without an SQLSTATE may mean that the driver could not encode a value. SQLAlchemy keeps the driver's
    # error as the cause of its own error.
    driver_error = getattr(getattr(error, "orig", None), "__cause__", error)
    return isinstance(driver_error, asyncpg.InterfaceError) and isinstance(driver_error, ValueError)


def is_contradiction(error: Exception) -> bool:
    """Whether a statement failed because it does not fit the schema or the data, so that a retry cannot succeed."""
    state = _sqlstate(error) or ""
    return state.startswith(("22", "23", "42")) and state != _FORBIDDEN


def _sqlstate(error: Exception) -> str | None:
    """The SQLSTATE of the error, or None if the error does not come from PostgreSQL."""
    state: str | None = getattr(getattr(error, "orig", None) or error, "sqlstate", None)
    return state


def is_refused(error: Exception) -> bool:
    """Whether an error means that no server listens at the address, or that the server is starting or stopping."""
    if isinstance(error, asyncpg.CannotConnectNowError):
        return True
    # For a host with several addresses, asyncio raises one error whose text contains the error of each address.
    numbers = re.findall(r"\[Errno (-?\d+)\]", str(error)) if isinstance(error, OSError) else []
    return bool(numbers) and all(int(number) in _REFUSED for number in numbers)


def cause(error: BaseException) -> str:
    """The first line of the driver's message; SQLAlchemy's own message would contain the statement's parameters."""
    original = getattr(error, "orig", None) or error
    message = str(original).strip() or type(original).__name__
    return message.splitlines()[0]
