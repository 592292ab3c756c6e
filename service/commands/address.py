"""The address of the service that a command works with: a remote service, or the local database."""

import functools
import os
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from service.commands.running import fail, require_known_variables, require_rules, require_settings, run

if TYPE_CHECKING:
    from service.commands.client import Client
    from service.settings import Settings

URL_VARIABLE = "LOOPGAUGE_URL"
TOKEN_VARIABLE = "LOOPGAUGE_TOKEN"  # noqa: S105 - the name of a variable
_FILE = "@"
_HOST_AND_PORT = re.compile(r"[A-Za-z0-9.-]+:[0-9]{1,5}/?")


@dataclass(frozen=True, slots=True)
class Address:
    """A remote service and the token for it, or the local database.

    Attributes:
        url: the address of the remote service; None for the local database.
        token: the bearer token for the remote service; empty if there is none.
    """

    url: str | None = None
    token: str = field(default="", repr=False)


def takes_address(command: Callable[..., None]) -> Callable[..., None]:
    """Add `--url` and `--token` to a command, which receives them as the argument `address`.

    The command passes the address to `run_with_client`, and requests everything that it shows from the API with the
    client: so it works on a remote service and on the local database alike.
    """

    @click.option(
        "--url",
        envvar=URL_VARIABLE,
        show_envvar=True,
        metavar="URL",
        callback=_check_url,
        help="The address of a remote service, instead of the local database.",
    )
    @click.option(
        "--token",
        envvar=TOKEN_VARIABLE,
        show_envvar=True,
        metavar="TOKEN|@FILE",
        callback=_read_token,
        help="A token of the remote service. Other users can see your options: prefer the variable or @FILE.",
    )
    @functools.wraps(command)
    def with_address(*arguments: Any, url: str | None, token: str, **options: Any) -> None:
        if url is None and click.get_current_context().get_parameter_source("token") is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--token requires --url or {URL_VARIABLE}")
        command(*arguments, address=Address(url, token), **options)

    return with_address


def run_with_client(address: Address, work: "Callable[[Client], Awaitable[None]]") -> None:
    """Run the work of a command with a client of the service at an address. Report an expected error in one line."""
    from service.commands.client import open_local, open_remote

    if address.url is None:
        settings = require_settings()
        _name_embedded_database(settings)
        opened = open_local(settings, require_rules(settings))
    else:
        from service.commands.local_service import find_local_token

        require_known_variables()
        opened = open_remote(address.url, address.token or find_local_token(address.url))

    async def work_with_client() -> None:
        async with opened as client:
            await work(client)

    run(work_with_client())


def require_database_settings(command: str) -> "Settings":
    """Read the settings of a command that works on the database.

    The command refuses to run if only a remote service is configured: it would otherwise start and use an embedded
    database that the user does not mean.
    """
    settings = require_settings()
    if settings.database_url is None and (os.environ.get(URL_VARIABLE) or _in_dotenv(URL_VARIABLE)):
        fail(
            f"{command} works on the database, not on the service at {URL_VARIABLE}: run it where the service runs, "
            f"set LOOPGAUGE_DATABASE_URL, or unset {URL_VARIABLE}"
        )
    _name_embedded_database(settings)
    return settings


def _name_embedded_database(settings: "Settings") -> None:
    """Name the embedded database on standard error if the user may mean another one.

    The usual cause is a command outside the directory of the service's file `.env`.
    """
    from service.settings import default_data_dir, describe_database, find_running, has_dotenv

    database, services = describe_database(settings), find_running(settings.data_dir)
    if settings.database_url is not None or any(service.database == database for service in services):
        return
    note = f"note: this command uses {database}"
    if services:
        note += f", but {services[0].url} uses {services[0].database}; set LOOPGAUGE_DATABASE_URL as for this service"
    elif settings.data_dir == default_data_dir() and not has_dotenv():
        note += (
            ", because this directory has no .env, and no running service uses it; if you mean another database, run "
            f"the command in the directory of the .env, set LOOPGAUGE_DATABASE_URL, or name a service in {URL_VARIABLE}"
        )
    else:
        return
    from service.commands.faults import wrap

    click.echo(wrap(note), err=True)


def _check_url(_context: click.Context, _option: click.Parameter, given: str | None) -> str | None:
    written = (given or _in_dotenv(URL_VARIABLE)).strip()
    if not written:
        return None
    try:
        parts = urlsplit(written)
        named = parts.hostname and (parts.port is None or parts.port)
    except ValueError:
        named = None
    if not named or not written.isprintable() or parts.scheme not in ("http", "https") or parts.query or parts.fragment:
        hint = f"; did you mean http://{written}?" if _HOST_AND_PORT.fullmatch(written) else ""
        # Text before @ may be a password, and a query may contain a token.
        got = f", got {written!r}" if not {*"@?#"} & {*written} else ""
        raise click.BadParameter(f"expected an address such as https://loopgauge.example.com{got}{hint}")
    if parts.username or parts.password:
        # Errors show the address.
        raise click.BadParameter("expected an address without a user and a password; give a token with --token")
    return written.rstrip("/")


def _in_dotenv(variable: str) -> str:
    """The value of a variable in the file `.env`, which may have the settings of the service, too."""
    from dotenv import dotenv_values

    try:
        return dotenv_values(".env", encoding="utf-8").get(variable) or ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise click.BadParameter(f"cannot read .env: {reason}") from None


def _read_token(_context: click.Context, _option: click.Parameter, given: str | None) -> str:
    token = (given or _in_dotenv(TOKEN_VARIABLE)).strip()
    if token.startswith(_FILE):
        token = _read_file(token.removeprefix(_FILE))
    if not token.isprintable():
        # The library that sends the header would show the token in its error.
        raise click.BadParameter("expected a token in one line, without control characters")
    return token


def _read_file(name: str) -> str:
    try:
        token = Path(name).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise click.BadParameter(f"cannot read {name}: {reason}") from None
    if not token:
        raise click.BadParameter(f"{name} is empty")
    return token
