"""The rules and bounds for the frame of a request (its head, chunks and trailers), and the answers to violations."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import httptools
import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from service.api.http.problems import (
    HeadTooLarge,
    MalformedRequest,
    UnsupportedRequest,
    UnsupportedVersion,
    problem_for,
)
from service.api.http.security_headers import RAW_HEADERS

MAX_HEAD_BYTES = 65_536
"""The maximum size of a request's head, and of a body's trailers and chunk extensions together."""
MAX_HEADERS = 256
"""The most header fields of a request."""
FREE_CHUNKS = 4_096
"""How many chunks a body may have, however small they are."""
CHUNK_BYTES = 64
"""A body with more than `FREE_CHUNKS` chunks must have at least this many bytes for each chunk beyond them."""
CHUNK_FRAME_BYTES = 12
"""The size of a chunk's frame without extensions: at most eight digits and two line ends."""

VERSIONS = frozenset({"1.1", "1.0"})
"""The supported versions of HTTP; the parser accepts others too."""
# The characters of a host (RFC 3986, 3.2.2), its port, and the brackets of an IPv6 address. The host may be empty.
_HOST = re.compile(rb"[A-Za-z0-9._~!$&'()*+,;=:%\[\]-]*")
_AUTHORITY = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)

Headers = Sequence[tuple[bytes, bytes]]

_log = structlog.get_logger(__name__)


def check_method(method: bytes) -> None:
    """Refuse the method after which a connection no longer speaks HTTP."""
    if method == b"CONNECT":
        raise UnsupportedRequest("the service is no proxy: it does not support CONNECT")


def check_host(version: str, headers: Headers) -> None:
    """Refuse a request whose host is missing, ambiguous or malformed (RFC 9112, 3.2).

    A proxy may have checked only one of two Host headers. HTTP/1.0, in which probes speak, needs no Host header.
    """
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1:
        raise MalformedRequest("the request has more than one Host header")
    if not hosts and version == "1.1":
        raise MalformedRequest("the request has no Host header, which HTTP/1.1 requires")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise MalformedRequest("the Host header is not a host with or without a port")


def check_head_size(target: bytes, headers: Headers) -> None:
    """Refuse a head that is larger than the limit."""
    if len(target) + sum(len(name) + len(value) + len(b": \r\n") for name, value in headers) > MAX_HEAD_BYTES:
        raise head_too_large()


def check_transfer_coding(scope: Mapping[str, Any]) -> None:
    """Refuse transfer codings other than a single `chunked`, and any in HTTP/1.0, which has none (RFC 9112, 6.1)."""
    codings = [value for name, value in scope["headers"] if name == b"transfer-encoding"]
    if [coding.strip().lower() for coding in codings] != [b"chunked"]:
        raise UnsupportedRequest("the only supported transfer coding is chunked")
    if scope["http_version"] == "1.0":
        raise MalformedRequest("HTTP/1.0 has no transfer codings")


def head_too_large() -> HeadTooLarge:
    return HeadTooLarge(f"the head has more than {MAX_HEAD_BYTES} bytes")


def too_many_headers() -> HeadTooLarge:
    return HeadTooLarge(f"the head has more than {MAX_HEADERS} header fields")


def origin_form(target: bytes) -> bytes:
    """The path and query of a request target in absolute form (RFC 9112, 3.2.2); another target as it is."""
    authority = _AUTHORITY.match(target)
    if authority is None:
        return target
    path = target[authority.end() :]
    return path if path.startswith(b"/") else b"/" + path


def head_without_upgrade(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """The head of a request as it arrived, but without the field Upgrade."""
    lines = [b"%b: %b\r\n" % field for field in headers if field[0] != b"upgrade"]
    return b"".join([method, b" ", target, b" HTTP/", version.encode(), b"\r\n", *lines, b"\r\n"])


def problem_of(error: httptools.HttpParserError, method: bytes) -> Exception:
    """The problem with which the service answers an error of the parser."""
    if not isinstance(error, httptools.HttpParserCallbackError):
        if method == b"PRI":
            return UnsupportedVersion("the service does not speak HTTP/2; use HTTP/1.1")
        return MalformedRequest(f"the request is not valid HTTP/1.1: {error}")
    cause = error.__context__
    if isinstance(cause, HeadTooLarge | MalformedRequest | UnsupportedRequest | UnsupportedVersion):
        return cause
    if not isinstance(cause, httptools.HttpParserInvalidURLError):
        _log.error("a request could not be parsed", exc_info=cause)
    return MalformedRequest("the target of the request cannot be read")


def refusal(problem: Exception, default_headers: Headers) -> bytes:
    """The answer to a request that cannot be read; the connection ends after it."""
    answer = problem_for(problem)
    headers = [*default_headers, *answer.raw_headers, *RAW_HEADERS, (b"connection", b"close")]
    return b"".join(
        [STATUS_LINE[answer.status_code], *(b"%b: %b\r\n" % field for field in headers), b"\r\n", answer.body]
    )
