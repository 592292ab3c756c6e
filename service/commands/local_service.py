"""The service that runs with the data directory of a command, and the token for it."""

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from service.commands.address import Address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from service.settings import RunningService, Settings


def find_services(settings: "Settings") -> "Sequence[RunningService]":
    """The services with the API that run with the data directory.

    If one of them listens where the settings say, this is the only one.
    """
    from service.settings import find_running

    found = [service for service in find_running(settings.data_dir) if service.answers_reads]
    stated = [service for service in found if service.url == home_url(settings)]
    return stated or found


def ask_running_service(address: Address) -> Address:
    """The address, or that of the service that a command without an address should ask.

    This service runs with the data directory and the database of the command, and its read token is known here.
    """
    from service.settings import describe_database, inspect_settings

    settings = inspect_settings().settings if address.url is None else None
    if settings is None:
        return address
    database = describe_database(settings)
    services = [service for service in find_services(settings) if service.database == database]
    if len(services) != 1 or not is_on_this_machine(services[0].url):
        return address
    [service] = services
    token = address.token or find_token(settings, service)
    return Address(service.url, token) if token or service.reads == "open" else address


def find_local_token(url: str) -> str:
    """The read token of a service on this machine that has the settings of this process; empty if there is none.

    No other machine gets this token.
    """
    from service.settings import find_running, inspect_settings

    settings = inspect_settings().settings if is_on_this_machine(url) else None
    if settings is None:
        return ""
    return find_token(settings, next((each for each in find_running(settings.data_dir) if each.url == url), None))


def find_token(settings: "Settings", service: "RunningService | None") -> str:
    """The read token of a service, or of a service with these settings; empty if it is not known here."""
    from service.settings import ReadTokenUnavailable, find_read_token, read_made_token

    try:
        made = service is not None and service.reads == "made"
        return (read_made_token(settings) if made else find_read_token(settings)) or ""
    except ReadTokenUnavailable:
        # The service may need no token. If it does, its refusal says so.
        return ""


def is_on_this_machine(url: str) -> bool:
    """Whether an address is a loopback address."""
    from service.settings import names_loopback

    return names_loopback(urlsplit(url).hostname or "")


def home_url(settings: "Settings") -> str:
    """The address of a service with these settings, as a client on this machine opens it."""
    return f"http://{browsable(settings.host)}:{settings.port}{settings.root_path}"


# A client cannot open these addresses, which stand for all addresses of the machine.
_OPENED_INSTEAD = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not listened on


def browsable(host: str) -> str:
    """The host of a service that listens on `host`, as a client on this machine opens it."""
    return bracketed(_OPENED_INSTEAD.get(host, host))


def bracketed(host: str) -> str:
    """A host as URLs have it: an IPv6 address is in brackets."""
    return f"[{host}]" if ":" in host else host
