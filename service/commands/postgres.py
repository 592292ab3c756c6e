"""`loopgauge postgres`."""

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import click

from service.commands.options import OneOf
from service.commands.running import fail, require_settings

if TYPE_CHECKING:
    from service.storage.embedded import EmbeddedServer

_PORT = "5432"


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("program", type=OneOf(["pg_dump", "pg_restore", "psql"]))
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def postgres(program: str, arguments: tuple[str, ...]) -> None:
    """Run a program of the embedded PostgreSQL: pg_dump, pg_restore or psql.

    The program gets all arguments after its name, and connects to the embedded database in LOOPGAUGE_DATA_DIR unless
    they name another one. The embedded PostgreSQL is started if it does not run. The exit status is that of the
    program.
    """
    from service.storage.embedded import EmbeddedServer, EmbeddedUnavailable
    from service.storage.embedded_programs import find_programs

    data_dir = require_settings().data_dir
    if not (data_dir / "postgres").is_dir():
        fail(
            f"there is no embedded database in {data_dir}: the first start of the service creates it; check that "
            "LOOPGAUGE_DATA_DIR is the data directory of the service"
        )
    server = EmbeddedServer(data_dir)
    try:
        server.start()
        try:
            # The arguments are those of the person who runs this command.
            command = [str(find_programs().directory / program), *arguments]
            status = subprocess.run(command, env=_environment(server), check=False).returncode  # noqa: S603
        finally:
            server.release()
    except EmbeddedUnavailable as error:
        fail(str(error))
    sys.exit(status)


def _environment(server: "EmbeddedServer") -> Mapping[str, str]:
    """The variables of this process, and those that make the embedded database the default one of libpq."""
    [directory] = parse_qs(urlsplit(server.url).query)["host"]
    return {**os.environ, "PGHOST": directory, "PGPORT": _PORT, "PGUSER": "postgres", "PGDATABASE": "postgres"}
