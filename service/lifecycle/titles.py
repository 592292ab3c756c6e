"""Titles, and when two of them are the same."""

from unicodedata import category, normalize
from uuid import NAMESPACE_URL, UUID, uuid5

_TITLES = uuid5(NAMESPACE_URL, "loopgauge:title")
# Letters, the marks that belong to them, and numbers, by the first letter of Unicode's general category.
_SPELT = frozenset("LMN")
# What tells C from C++ and C#.
_NAMING = "+#"
_PLAIN = {code: " " for code in range(128) if not chr(code).isalnum() and chr(code) not in _NAMING}


def title_key(title: str) -> UUID | None:
    """A digest that titles share which differ only in case, spacing, punctuation or form of characters.

    Characters are brought to one form by NFKC and case folding (Unicode Standard, annex 15 and section 3.13). None for
    a title without a letter or digit.
    """
    spelt = spelling(title)
    return uuid5(_TITLES, spelt) if spelt else None


def spelling(title: str) -> str:
    """What titles share that have the same `title_key`; empty for a title without a letter or digit."""
    return " ".join(word for word in _spelt(title).split() if word.strip(_NAMING))


def _spelt(title: str) -> str:
    # Most titles are plain, and there are many.
    if title.isascii():
        return title.lower().translate(_PLAIN)
    spelt = normalize("NFKC", normalize("NFKC", title).casefold())
    return "".join(one if category(one)[0] in _SPELT or one in _NAMING else " " for one in spelt)
