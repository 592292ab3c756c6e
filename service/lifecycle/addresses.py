"""Addresses of pages, as people copy them from a browser. An address is only read as text, and never fetched."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

BLANK = r"\s\x00-\x1f\x7f-\x9f"
"""White space and control characters, for a character class in a regular expression. No reference contains them."""
LONGEST = 4000
"""The maximum number of characters in an address. Browsers and servers accept hardly more."""

_SCHEME = re.compile("(https?):/+", re.IGNORECASE)
_HOST = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)+(?::[0-9]{1,5})?/", re.IGNORECASE)
# Besides white space and control characters, this excludes lone surrogates, which no database can store.
_UNPRINTABLE = re.compile(f"[{BLANK}\ud800-\udfff]")
# The user ends at the last `@` before the path. A browser reads a backslash as a slash, so a backslash begins the path
# too.
_USERINFO = re.compile(r"(?<=://)[^\s/?#\\]*@")
_MOST_PARAMETERS = 100
_DEFAULT_PORTS = (80, 443)


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a page.

    Attributes:
        scheme: `http` or `https`; empty if the address was written without its scheme.
        host: the name of the host, in lower case, without the port.
        path: the segments of the path, decoded, without empty segments.
        query: the last value of each parameter, decoded.
        rest: everything after the scheme, with the host in lower case.
        spellings: the texts that mean this page: with and without fragment and final slash, for both schemes. The most
            exact text comes first.
        loose_spellings: the same texts without the query; empty if the address has no query.
    """

    scheme: str
    host: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    rest: str
    spellings: tuple[str, ...]
    loose_spellings: tuple[str, ...]

    def has_label(self, name: str) -> bool:
        """Whether a label of the host's name begins with this name, as in `gitlab.example.com`."""
        return any(label.startswith(name) for label in self.host.split("."))


def without_userinfo(text: str) -> str:
    """A text whose addresses have no user and no password, such as `https://user:password@host/page`."""
    return _USERINFO.sub("", text)


def read_address(text: str) -> Address | None:
    """Read an address, with or without its scheme; None if the text is not the address of a page.

    Proxies may replace the two slashes after the scheme with one, so any number of slashes is accepted.
    """
    written = _SCHEME.match(text)
    if len(text) > LONGEST or _UNPRINTABLE.search(text) or not (written or _HOST.match(text)):
        return None
    try:
        parts = urlsplit(f"//{text[written.end() :] if written else text}")
        return _address(written[1].lower() if written else "", parts)
    except ValueError:
        return None


def _address(scheme: str, parts: SplitResult) -> Address | None:
    if not parts.hostname:
        return None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    netloc = host if parts.port is None or parts.port in _DEFAULT_PORTS else f"{host}:{parts.port}"
    query = f"?{parts.query}" if parts.query else ""
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    return Address(
        scheme=scheme,
        host=parts.hostname,
        path=tuple(unquote(segment) for segment in parts.path.split("/") if segment),
        query=dict(parse_qsl(parts.query, max_num_fields=_MOST_PARAMETERS)),
        rest=f"{netloc}{parts.path}{query}{fragment}",
        spellings=_spellings(netloc, parts.path, *dict.fromkeys((f"{query}{fragment}", query))),
        loose_spellings=_spellings(netloc, parts.path, "") if query else (),
    )


def _spellings(netloc: str, path: str, *endings: str) -> tuple[str, ...]:
    trimmed = path.rstrip("/")
    paths = dict.fromkeys((path, trimmed, f"{trimmed}/"))
    return tuple(
        f"{scheme}://{netloc}{spelled}{ending}"
        for ending in endings
        for spelled in paths
        for scheme in ("https", "http")
    )
