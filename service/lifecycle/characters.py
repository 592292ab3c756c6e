"""Characters that act on the terminal that prints them: an escape sequence, or a character that reverses the text.

Texts from webhooks may have them, and the formats of metrics have no escapes for them.
"""

import json
from unicodedata import category

_ACTING = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def acts(letter: str) -> bool:
    """Whether a character is a control or format character, or separates lines or paragraphs."""
    return category(letter) in _ACTING


def spell(text: str) -> str:
    r"""The text with each character that acts written as in JSON, such as `\u202e`."""
    if text.isprintable():
        return text
    return "".join(json.dumps(letter)[1:-1] if acts(letter) else letter for letter in text)
