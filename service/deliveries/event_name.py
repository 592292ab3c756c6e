"""The name of the event that a delivery reports, in the provider's words, such as `issues opened`. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

LONGEST_DOCUMENT = 64 * 1024
"""The maximum size, in bytes, of a document that loopgauge decodes to find the name of the event."""
_LONGEST_WORD = 100


@dataclass(frozen=True, slots=True)
class EventName:
    """The header and the members of the document that name the event of a delivery.

    Attributes:
        header: the header that has the name; empty if none has.
        name: the path of the member of the document that has the name, if the header is absent.
        action: the path of the member of the document that says what happened, such as `opened`.
        document_first: whether the name in the document takes precedence over the header, because the sender signs the
            document and not the header.
    """

    header: str = ""
    name: tuple[str, ...] = ()
    action: tuple[str, ...] = ()
    document_first: bool = False

    def read(self, headers: Mapping[str, str], document: bytes) -> str:
        """The name of the event, and the action of the document if it has one. An unknown name is an empty text.

        Args:
            document: the JSON document of the delivery; empty if it is not available.
        """
        names = [headers.get(self.header, ""), _text_at(document, self.name)]
        name = next(filter(None, reversed(names) if self.document_first else names), "")
        return " ".join(filter(None, (_word(name), _word(_text_at(document, self.action)))))


def _text_at(document: bytes, path: tuple[str, ...]) -> str:
    """The text at a path; empty if there is none, or if the document is malformed."""
    if not path or not document:
        return ""
    try:
        value: msgspec.Raw | bytes = document
        for name in path:
            value = msgspec.json.decode(value, type=dict[str, msgspec.Raw])[name]
        return msgspec.json.decode(value, type=str)
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError):
        return ""


def _word(text: str) -> str:
    return "".join(filter(str.isprintable, text.strip()))[:_LONGEST_WORD]
