"""Titles, and the key that equal titles share."""

from unicodedata import category, normalize
from uuid import NAMESPACE_URL, UUID, uuid5

_TITLES = uuid5(NAMESPACE_URL, "loopgauge:title")
# The first letters of Unicode's general categories for letters, combining marks and numbers.
_SPELT = frozenset("LMN")
# These characters distinguish C from C++ and C#.
_NAMING = "+#"


def title_key(title: str) -> UUID | None:
    """A digest of a title that ignores case, spacing, punctuation except `+` and `#`, and variant forms of characters.

    NFKC and case folding normalise the characters (Unicode Standard, annex 15 and section 3.13). The key is None if
    the title has no letter and no digit.
    """
    spelt = spelling(title)
    return uuid5(_TITLES, spelt) if spelt else None


def spelling(title: str) -> str:
    """The normalised spelling that `title_key` hashes; empty if the title has no letter and no digit."""
    normalised = normalize("NFKC", normalize("NFKC", title).casefold())
    spelt = "".join(letter if category(letter)[0] in _SPELT or letter in _NAMING else " " for letter in normalised)
    return " ".join(word for word in spelt.split() if word.strip(_NAMING))
