"""Content codings of request bodies. The service takes none: a signature covers the bytes before they are encoded."""

from collections.abc import Mapping

from service.api.http.problems import BodyEncoded

HEADER = "content-encoding"
_PLAIN = ("", "identity")
_SHOWN = 40


def refuse_encoded(headers: Mapping[str, str]) -> None:
    """Refuse a body that is compressed, or encoded in another way.

    Raises:
        BodyEncoded: the header Content-Encoding names a coding.
    """
    coding = headers.get(HEADER)
    if coding is not None and coding.strip().lower() not in _PLAIN:
        shown = coding[:_SHOWN]
        raise BodyEncoded(f"the body has the Content-Encoding {shown!r}; send it as it is, without this header")
