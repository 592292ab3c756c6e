"""The ids that payloads tell for projects and items, and the sites on which these ids hold. Pure."""

import re
from datetime import datetime

from service.deliveries.observation import Identified
from service.lifecycle.references import Ref

# The ports stand after the host, and no host has more than 253 characters.
_HOST = re.compile(r"(https?)://([a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::([0-9]{1,5}))?(?=[/?#]|\Z)", re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_ID = re.compile(r"[A-Za-z0-9_-]{1,40}")


def site_of(address: object) -> str:
    """The site of an address: its host in lower case, with a port unless it is the default port of the scheme.

    Return an empty text if the value is not the address of a page.
    """
    found = _HOST.match(address) if isinstance(address, str) else None
    if not found:
        return ""
    scheme, host, port = found[1].lower(), found[2].lower(), found[3]
    return host if port in (None, _DEFAULT_PORTS[scheme]) else f"{host}:{port}"


def read_id(value: object) -> str:
    """An id as text, whether the payload has it as a text or as a number; empty if it is neither."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if value > 0 else ""
    return value if isinstance(value, str) and _ID.fullmatch(value) else ""


def identify(name: Ref, site: str, id_: object, at: datetime) -> list[Identified]:
    """The statement that a name has an id. Without a site or an id there is none: the name alone identifies then."""
    known = read_id(id_)
    return [Identified(name, site, known, at)] if site and known else []
