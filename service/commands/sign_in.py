"""`loopgauge sign-in`."""

from typing import TYPE_CHECKING, assert_never
from urllib.parse import quote

import click

from service.commands.running import fail, require_settings

if TYPE_CHECKING:
    from pydantic import SecretStr

    from service.settings import RunningService, Settings


@click.command("sign-in")
@click.option("--token", "token_only", is_flag=True, help="Print the read token alone, for other clients.")
@click.option(
    "--url",
    metavar="URL",
    help="The address of the service; default: that of the service that runs with this data directory.",
)
def sign_in(token_only: bool, url: str | None) -> None:
    """Print the link that signs a browser in.

    The link has the read token: LOOPGAUGE_API_TOKENS__READ, or the token that the service made in its data directory
    at its first start. Run this command as the user of the service, with its data directory. If no service runs, the
    address is made of LOOPGAUGE_HOST, LOOPGAUGE_PORT and LOOPGAUGE_ROOT_PATH. With the cookie that the link sets, the
    browser may read for 30 days.
    """
    from service.commands.faults import wrap
    from service.commands.local_service import home_url

    settings = require_settings()
    service = _find_service(settings, url)
    token = _read_token(settings, service)
    if token_only:
        click.echo(token.get_secret_value())
        return
    if service is None and url is None:
        note = f"note: no service runs with {settings.data_dir}, so the address comes from the settings"
        click.echo(wrap(note), err=True)
    click.echo(sign_in_link(url or (service.url if service else home_url(settings)), token))


def sign_in_link(home: str, token: "SecretStr") -> str:
    """The link that signs a browser in.

    Args:
        home: the address of the home page.
    """
    return f"{home.rstrip('/')}/sign-in?token={quote(token.get_secret_value(), safe='')}"


def _find_service(settings: "Settings", url: str | None) -> "RunningService | None":
    """The running service that is meant; None if no service runs with the data directory."""
    from service.commands.local_service import find_services

    services = find_services(settings)
    if url is not None:
        services = [service for service in services if service.url == url.rstrip("/")]
    if len(services) > 1:
        listed = ", ".join(service.url for service in services)
        fail(f"several services run with {settings.data_dir}: {listed}; name one of them with --url")
    return services[0] if services else None


def _read_token(settings: "Settings", service: "RunningService | None") -> "SecretStr":
    from pydantic import SecretStr

    from service.settings import ReadTokenUnavailable, find_read_token, read_made_token

    try:
        if service is None:
            token = find_read_token(settings)
        else:
            token = read_made_token(settings) if service.reads == "made" else _token_in_settings(settings)
    except ReadTokenUnavailable as error:
        fail(str(error))
    if token is None:
        fail(_reason_of(service) if service else _reason(settings))
    return SecretStr(token)


def _token_in_settings(settings: "Settings") -> str | None:
    token = settings.api_tokens.read
    return token.get_secret_value() if token else None


def _reason_of(service: "RunningService") -> str:
    """The reason why the read token of a running service is not known here, with the remedy."""
    match service.reads:
        case "open":
            return f"LOOPGAUGE_OPEN_READS opens the reads of {service.url}, so no browser need sign in"
        case "closed":
            return f"{service.url} has no read token; set LOOPGAUGE_API_TOKENS__READ for it, and start it again"
        case "set":
            return (
                f"{service.url} has a read token in its LOOPGAUGE_API_TOKENS__READ, which is not set here; set it to "
                "the same value"
            )
        case "made":
            return f"the read token of {service.url} disappeared; start the service again, so that it makes a new one"
        case reads:
            assert_never(reads)


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
