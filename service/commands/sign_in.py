"""`loopgauge sign-in`."""

from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from service.commands.running import fail, require_settings

if TYPE_CHECKING:
    from pydantic import SecretStr

    from service.settings import Settings

# A browser cannot open these addresses, which stand for all addresses of the machine.
_OPENED_INSTEAD = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on


@click.command("sign-in")
@click.option("--token", "token_only", is_flag=True, help="Print the read token alone, for other clients.")
@click.option(
    "--url",
    metavar="URL",
    help="The address of the service; default: from LOOPGAUGE_HOST, LOOPGAUGE_PORT and LOOPGAUGE_ROOT_PATH.",
)
def sign_in(token_only: bool, url: str | None) -> None:
    """Print the link that signs a browser in.

    The link has the read token: LOOPGAUGE_API_TOKENS__READ, or the token that the service made in its data directory
    at its first start. Run this command as the user of the service, with its settings. With the cookie that the link
    sets, the browser may read for 30 days.
    """
    settings = require_settings()
    token = _read_token(settings)
    if token_only:
        click.echo(token.get_secret_value())
    else:
        click.echo(sign_in_link(url or _home(settings), token))


def sign_in_link(home: str, token: "SecretStr") -> str:
    """The link that signs a browser in.

    Args:
        home: the address of the home page.
    """
    return f"{home.rstrip('/')}/sign-in?token={quote(token.get_secret_value(), safe='')}"


def browsable(host: str) -> str:
    """The host of a service that listens on `host`, as a browser on this machine opens it."""
    return bracketed(_OPENED_INSTEAD.get(host, host))


def bracketed(host: str) -> str:
    """A host as URLs have it: an IPv6 address is in brackets."""
    return f"[{host}]" if ":" in host else host


def _read_token(settings: "Settings") -> "SecretStr":
    from pydantic import SecretStr

    from service.settings import ReadTokenUnavailable, find_read_token

    try:
        token = find_read_token(settings)
    except ReadTokenUnavailable as error:
        fail(str(error))
    if token is None:
        fail(_reason(settings))
    return SecretStr(token)


def _reason(settings: "Settings") -> str:
    """The reason why there is no read token, with the remedy."""
    from service.settings import read_token_file

    if settings.makes_read_token:
        return (
            f"there is no {read_token_file(settings)}: the service makes it at its first start; "
            "check that LOOPGAUGE_DATA_DIR is the data directory of the service"
        )
    if settings.open_reads:
        return "LOOPGAUGE_OPEN_READS opens the reads, so no browser need sign in"
    return "no read token is set; set LOOPGAUGE_API_TOKENS__READ"


def _home(settings: "Settings") -> str:
    return f"http://{browsable(settings.host)}:{settings.port}{settings.root_path}"
