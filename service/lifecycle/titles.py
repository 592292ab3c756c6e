"""Titles, and the key that equal titles share."""

from unicodedata import category, normalize
from uuid import NAMESPACE_URL, UUID, uuid5

_TITLES = uuid5(NAMESPACE_URL, "loopgauge:title")
# The first letters of Unicode's general categories for letters, combining marks and numbers.
_SPELT = frozenset("LMN")
# These characters distinguish C from C++ and C#.
_NAMING = "+#"
_PLAIN = {code: " " for code in range(128) if not chr(code).isalnum() and chr(code) not in _NAMING}


def title_key(title: str) -> UUID | None:
    """A digest of a title that ignores case, spacing, punctuation and variant forms of characters.

    NFKC and case folding normalise the characters (Unicode Standard, annex 15 and section 3.13). The key is None if
    the title has no letter and no digit.
    """
    spelt = spelling(title)
    return uuid5(_TITLES, spelt) if spelt else None


def spelling(title: str) -> str:
    """The normalised spelling that `title_key` hashes; empty if the title has no letter and no digit."""
    return " ".join(word for word in _spelt(title).split() if word.strip(_NAMING))


def _spelt(title: str) -> str:
    # Most titles are ASCII. They need no Unicode normalisation, so this shortcut is faster.
    if title.isascii():
        return title.lower().translate(_PLAIN)
    spelt = normalize("NFKC", normalize("NFKC", title).casefold())
    return "".join(letter if category(letter)[0] in _SPELT or letter in _NAMING else " " for letter in spelt)
