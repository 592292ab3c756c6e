"""The connection URL decides to which host, and how, the service connects."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import asyncpg
import pytest
from sqlalchemy import text

from service.storage.database import Database
from service.storage.errors import DatabaseAway, DatabaseMisconfigured, DatabaseUnavailable
from tests.support.outage import line_to
from tests.support.postgresql import oldest, running
from tests.support.prometheus import free_port


def _directory(url: str) -> str:
    [directory] = parse_qs(urlsplit(url).query)["host"]
    return directory


def _at(url: str, *directories: str) -> str:
    return f"{url.partition('?')[0]}?host={quote(','.join(directories))}"


async def test_a_host_that_refuses_is_skipped(database_url: str) -> None:
    database = Database(_at(database_url, "/nowhere", _directory(database_url)))
    await database.check_writable()
    await database.close()


async def test_a_silent_host_is_skipped_and_comes_last_from_then_on(database_url: str) -> None:
    async with line_to(database_url) as line:
        line.freeze()
        database = Database(_at(database_url, _directory(line.url), _directory(database_url)), timeout=0.5)
        await (await database.connect()).close()
        # The next connection begins with the host that answered, so it fits into less than the time for one host.
        async with asyncio.timeout(0.5):
            await (await database.connect()).close()
        await database.close()


async def test_postgresql_is_away_only_if_every_host_refuses(database_url: str) -> None:
    database = Database(_at(database_url, "/nowhere", "/elsewhere"))
    with pytest.raises(DatabaseAway):
        await database.check_writable()
    await database.close()
    async with line_to(database_url) as line:
        line.freeze()
        database = Database(_at(database_url, _directory(line.url), "/nowhere"), timeout=0.2)
        with pytest.raises(DatabaseUnavailable, match="no answer within") as raised:
            await database.check_writable()
        assert not isinstance(raised.value, DatabaseAway)
        await database.close()


async def test_a_host_that_is_read_only_is_skipped(database_url: str) -> None:
    direct = await asyncpg.connect(database_url)
    name = await direct.fetchval("SELECT current_database()")
    await direct.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await direct.close()
    database = Database(f"{database_url}&target_session_attrs=read-write")
    with pytest.raises(DatabaseUnavailable, match="is read-only"):
        await database.connect()
    await database.close()
    indifferent = Database(f"{database_url}&target_session_attrs=any")
    await (await indifferent.connect()).close()
    await indifferent.close()


async def test_a_setting_that_postgresql_does_not_know_is_named(database_url: str) -> None:
    for option, named in (("no_such=1", 'parameter "no_such"'), ("work_mem=much", 'parameter "work_mem"')):
        database = Database(f"{database_url}&{option}")
        with pytest.raises(DatabaseMisconfigured, match=f"LOOPGAUGE_DATABASE_URL cannot be used: .*{named}"):
            await database.check_url()
        await database.close()


async def test_a_file_that_disappears_later_is_named(database_url: str, tmp_path: Path) -> None:
    (tmp_path / "pass").write_text("")
    (tmp_path / "pass").chmod(0o600)
    database = Database(f"{database_url}&passfile={tmp_path / 'pass'}")
    await (await database.connect()).close()
    (tmp_path / "pass").unlink()
    with pytest.raises(DatabaseMisconfigured, match=f"passfile: cannot read {tmp_path / 'pass'}"):
        await database.connect()
    await database.close()


async def test_the_application_is_named_as_the_url_says(database_url: str) -> None:
    for option, name in (("", "loopgauge"), ("&application_name=ours", "ours")):
        database = Database(f"{database_url}{option}")
        connection = await database.connect()
        assert await connection.fetchval("SELECT current_setting('application_name')") == name
        await connection.close()
        await database.close()


@pytest.fixture
def certificate() -> Iterator[Path]:
    """The file of a self-signed certificate for 127.0.0.1. The file of its key is in the same directory."""
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-tls-"))
    made, key = directory / "server.crt", directory / "server.key"
    options = ["-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    options += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run(["openssl", "req", "-x509", *options], check=True, capture_output=True)
    if os.geteuid() == 0:
        for path in (directory, made, key):
            shutil.chown(path, "postgres")
    yield made
    shutil.rmtree(directory)


@pytest.fixture
def encrypted(certificate: Path) -> Iterator[str]:
    """The URL of a PostgreSQL that listens on TCP with TLS."""
    port = free_port()
    files = {"ssl_cert_file": str(certificate), "ssl_key_file": str(certificate.with_suffix(".key"))}
    settings = {"ssl": "on", "listen_addresses": "127.0.0.1", "port": str(port), "fsync": "off", **files}
    with running(oldest(), settings):
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres?connect_timeout=30"


async def _is_encrypted(url: str) -> bool:
    database = Database(url)
    try:
        async with database.transaction() as connection:
            return bool(await connection.scalar(text("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")))
    finally:
        await database.close()


async def test_certificates_are_verified_with_a_file_or_with_the_authorities_of_the_system(
    encrypted: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified = f"{encrypted}&sslmode=verify-full"
    assert await _is_encrypted(f"{verified}&sslrootcert={certificate}")
    with pytest.raises(DatabaseUnavailable, match=r"certificate verify failed.*does sslrootcert in LOOPGAUGE_DATABASE"):
        await _is_encrypted(f"{encrypted}&sslrootcert=system")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for options in ("sslrootcert=system", "sslmode=verify-full&sslrootcert=system&ssl_min_protocol_version=TLSv1.3"):
        assert await _is_encrypted(f"{encrypted}&{options}")
    assert not await _is_encrypted(f"{encrypted}&sslmode=disable")


async def test_the_socket_gets_the_options_of_the_url(encrypted: str) -> None:
    wanted = {"keepalives_idle": 31, "keepalives_interval": 7, "keepalives_count": 4, "tcp_user_timeout": 9000}
    named = (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT, socket.TCP_USER_TIMEOUT)
    for options, alive in (("", 1), ("&keepalives=0", 0)):
        database = Database(f"{encrypted}{options}&" + "&".join(f"{name}={value}" for name, value in wanted.items()))
        connection = await database.connect()
        connected = connection._transport.get_extra_info("socket")  # noqa: SLF001 - the driver hides it
        assert [connected.getsockopt(socket.IPPROTO_TCP, option) for option in named] == list(wanted.values())
        assert connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == alive
        await connection.close()
        await database.close()
