"""Open the driver's connections as the connection URL says, through poolers and to one of several hosts."""

import asyncio
import random  # noqa: TID251 - spreads the processes over the hosts, and changes no result
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import asyncpg

from service.storage.connection_url import Address, InvalidUrl, Target, read_url
from service.storage.driver import PooledConnection, SessionConnection
from service.storage.errors import DatabaseMisconfigured, DatabaseUnavailable, cause, is_refused

_SETTING = "LOOPGAUGE_DATABASE_URL"
_STATEMENTS = 100
"""How many prepared statements the driver keeps for each connection with a session of its own."""


class Connector:
    """Opens connections to the PostgreSQL, or the pooler, that a URL names.

    Args:
        timeout: seconds to wait for a connection to one host, unless the URL says how long.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self._url = url
        self._timeout = timeout
        self._failures = 0
        self._found_pooler = False

    async def connect(self) -> SessionConnection:
        """Open a connection to the first host that answers and, if the URL names several, accepts writes.

        Raises:
            DatabaseMisconfigured: the URL, or the database that it names, cannot be used.
            OSError: no host can be reached, as the error of the last host says.
            asyncpg.PostgresError: PostgreSQL refuses the connection.
        """
        try:
            target = read_url(self._url)
        except InvalidUrl as error:
            raise DatabaseMisconfigured(f"{_SETTING} cannot be used: {error}") from error
        if target.shuffled and not self._failures:
            self._failures = random.randrange(len(target.addresses))  # noqa: S311 - not a secret
        errors: list[Exception] = []
        for _ in target.addresses:
            try:
                return await self._connect_in_time(target, target.addresses[self._failures % len(target.addresses)])
            except _UNANSWERED as error:
                errors.append(error)
                self._failures += 1
            except BaseException:
                # The caller has given up waiting, or the host refuses: begin with another host the next time.
                self._failures += 1
                raise
        # PostgreSQL is away only if every host refuses. A host with another error may still serve other processes, so
        # raise that error.
        raise next((error for error in errors if not is_refused(error)), errors[-1])

    async def _connect_in_time(self, target: Target, address: Address) -> SessionConnection:
        timeout = target.timeout or self._timeout
        try:
            async with asyncio.timeout(timeout):
                return await self._connect_to(target, address)
        except TimeoutError as error:
            raise TimeoutError(f"no answer within {timeout:g} seconds") from error

    async def _connect_to(self, target: Target, address: Address) -> SessionConnection:
        pooled = self._found_pooler if target.pooled is None else target.pooled
        with _explained():
            connection = await _open(target, address, pooled=pooled)
        try:
            _check_encoding(connection)
            found_pooler = not pooled and await _prepare(connection, target)
            if target.writable and not found_pooler:
                await _check_writable(connection, address)
        except BaseException:
            connection.terminate()
            raise
        if found_pooler:
            connection.terminate()
            self._found_pooler = True
            return await self._connect_to(target, address)
        return connection


class _ReadOnly(DatabaseUnavailable):
    """The host does not accept writes."""


# After these errors, another host may accept the connection.
_UNANSWERED = (OSError, asyncpg.CannotConnectNowError, _ReadOnly)


async def _open(target: Target, address: Address, *, pooled: bool) -> SessionConnection:
    host, port = address
    options: dict[str, Any] = {"ssl": _verify_with_system(target.for_driver)} if target.system_roots else {}
    connection: SessionConnection = await asyncpg.connect(
        f"postgresql://?{urlencode(target.for_driver)}",
        host=host,
        port=port,
        user=target.user,
        password=target.password,
        database=target.database,
        server_settings=dict(target.settings),
        connection_class=PooledConnection if pooled else SessionConnection,
        statement_cache_size=0 if pooled else _STATEMENTS,
        # The caller sets a limit.
        timeout=None,
        **options,
    )
    connection.set_socket_options(target.sockets)
    return connection


async def _prepare(connection: SessionConnection, target: Target) -> bool:
    """Apply the settings to the session. Return whether the session is a pooler's, which loses settings."""
    if target.pooled is None:
        return await connection.set_unless_pooled()
    await connection.set_for_session()
    return False


async def _check_writable(connection: SessionConnection, address: Address) -> None:
    if await connection.is_read_only():
        raise _ReadOnly(f"PostgreSQL at {address[0]} is read-only")


def _check_encoding(connection: SessionConnection) -> None:
    encoding = getattr(connection.get_settings(), "server_encoding", "UTF8")
    if encoding != "UTF8":
        raise DatabaseMisconfigured(
            f"the database that {_SETTING} names has the encoding {encoding}, which cannot store every text; "
            "create another one: CREATE DATABASE loopgauge OWNER loopgauge ENCODING 'UTF8' TEMPLATE template0"
        )


def _verify_with_system(options: Mapping[str, str]) -> ssl.SSLContext:
    """A context that trusts the authorities that the operating system trusts, and checks the name of the host.

    The driver itself can make such a context only from a file of authorities.
    """
    context = ssl.create_default_context()
    context.set_alpn_protocols(["postgresql"])
    if lowest := options.get("ssl_min_protocol_version"):
        context.minimum_version = _tls_version(lowest)
    if highest := options.get("ssl_max_protocol_version"):
        context.maximum_version = _tls_version(highest)
    if revoked := options.get("sslcrl"):
        context.load_verify_locations(cafile=revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if certificate := options.get("sslcert"):
        context.load_cert_chain(certificate, options.get("sslkey"), lambda: options.get("sslpassword", ""))
    return context


def _tls_version(name: str) -> ssl.TLSVersion:
    return ssl.TLSVersion[name.replace(".", "_")]


_UNKNOWN_STARTUP = re.compile(r"unsupported startup parameter(?: in options)?: (\S+)")


@contextmanager
def _explained() -> Iterator[None]:
    """Name the setting in the URL that PostgreSQL or a pooler refuses, and the remedy.

    Raises:
        DatabaseMisconfigured: the URL sets a setting that is refused.
    """
    try:
        yield
    except asyncpg.ProtocolViolationError as error:
        if not (refused := _UNKNOWN_STARTUP.search(str(error))):
            raise
        raise DatabaseMisconfigured(
            f"{_SETTING} cannot be used: a connection pooler refuses {refused[1]}; remove it from the URL, and set it "
            f"in PostgreSQL: ALTER ROLE … SET …"
        ) from error
    except (asyncpg.UndefinedObjectError, asyncpg.InvalidParameterValueError) as error:
        raise DatabaseMisconfigured(f"{_SETTING} cannot be used: {cause(error)}") from error
    except OSError:
        # The error for a certificate that cannot be verified is a ValueError, too.
        raise
    except ValueError as error:
        # Do not quote the driver's message: it may contain the password.
        raise DatabaseMisconfigured(
            f"{_SETTING} cannot be used; expected postgresql://user:password@host/database, "
            "with options that libpq knows"
        ) from error
