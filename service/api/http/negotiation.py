"""Content negotiation: the quality values of request headers such as `Accept` (RFC 9110, 12.4.2)."""

from contextlib import suppress

from starlette.requests import HTTPConnection

VARY = {"vary": "accept"}
"""The header of an answer whose media type depends on `Accept`."""


# A header of commas would otherwise keep the event loop for a tenth of a second.
_MOST_ENTRIES = 64


def quality(header: str, name: str) -> float:
    """The quality value that a header such as `Accept` gives to a name, from 0 (refused) to 1.

    `prometheus_client` negotiates too, but ignores quality values: for `gzip;q=0` it would send gzip.
    """
    return _stated(header, name) or 0.0


def prefers_html(request: HTTPConnection) -> bool:
    """Whether the client prefers HTML to JSON, as browsers do. Clients that accept anything equally get JSON."""
    accept = ",".join(request.headers.getlist("accept"))
    return _media_quality(accept, "text/html") > _media_quality(accept, "application/json")


def _media_quality(accept: str, media_type: str) -> float:
    """The quality value of a media type. The most specific range that includes the media type decides."""
    ranges = (media_type, f"{media_type.partition('/')[0]}/*", "*/*")
    stated = (_stated(accept, media_range) for media_range in ranges)
    return next((value for value in stated if value is not None), 0.0)


def _stated(header: str, name: str) -> float | None:
    for entry in header.lower().split(",", _MOST_ENTRIES)[:_MOST_ENTRIES]:
        value, *parameters = (part.strip() for part in entry.split(";"))
        if value == name:
            qualities = [parameter.removeprefix("q=") for parameter in parameters if parameter.startswith("q=")]
            with suppress(ValueError):
                return float(qualities[0]) if qualities else 1.0
    return None
