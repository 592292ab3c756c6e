"""Content codings of request bodies. The service refuses them, because a signature covers the body before encoding."""

from collections.abc import Iterable

from service.api.http.problems import BodyEncoded

HEADER = "content-encoding"
_NAME = HEADER.encode()
_PLAIN = ("", "identity")
_SHOWN = 40


def refuse_encoded(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Refuse a body that is compressed, or encoded in another way.

    Args:
        headers: the headers as ASGI passes them. A request may have several headers Content-Encoding.

    Raises:
        BodyEncoded: a header Content-Encoding names a coding.
    """
    codings = b", ".join(value for name, value in headers if name == _NAME).decode("latin-1")
    if any(coding.strip().lower() not in _PLAIN for coding in codings.split(",")):
        shown = codings[:_SHOWN]
        raise BodyEncoded(f"the body has the Content-Encoding {shown!r}; send it as it is, without this header")
