"""Team names: one rule for settings, rules, declarations and metrics."""

import re
import unicodedata

from service.lifecycle.characters import acts

LONGEST = 100
"""The maximum number of characters in a team's name."""
EXPECTED = (
    f"a team name of at most {LONGEST} characters that does not begin with _ and has no @, because a mention may name "
    "a person"
)
"""A description of team names, for error messages."""
# A mention or an e-mail address, and a mention in Jira's notation.
_ACCOUNT = re.compile(r"@|\[~")
# Characters that are shown as @ or as [.
_ACCOUNTS = "@\N{FULLWIDTH COMMERCIAL AT}\N{SMALL COMMERCIAL AT}\N{FULLWIDTH LEFT SQUARE BRACKET}"
# Characters that are shown as _, and that therefore cannot begin a name either.
_UNDERSCORES = (
    "_\N{FULLWIDTH LOW LINE}\N{PRESENTATION FORM FOR VERTICAL LOW LINE}\N{PRESENTATION FORM FOR VERTICAL WAVY LOW LINE}"
    "\N{DASHED LOW LINE}\N{CENTRELINE LOW LINE}\N{WAVY LOW LINE}"
)
_TILDE = "\N{FULLWIDTH TILDE}"
# Characters that are not shown although they are neither control nor format characters: fillers of Hangul, joiners,
# selectors, the empty pattern of Braille, and code points that Unicode reserves for more of them.
_IGNORABLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u2800\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8\U000e0000-\U000e0fff]"
)
_INVISIBLE = (
    r"\x01-\x1f\x7f-\x9f\u00ad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    r"\u200b-\u200f\u2028-\u202e\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb"
)
_LETTER = rf"(?:[^\x00{_ACCOUNTS}\[]|\[+[^\x00{_ACCOUNTS}\[~{_TILDE}{_INVISIBLE}])"


def team_pattern(blank: str) -> str:
    """The regular expression of team names without accounts, in the syntax that Python, Rust and ECMAScript share.

    Args:
        blank: the characters that may not begin a name, for a character class.
    """
    first = rf"[^{_UNDERSCORES}\x00{_ACCOUNTS}\[{blank}{_INVISIBLE}]"
    return rf"^\s*(?:{first}|\[+[^\x00{_ACCOUNTS}\[~{_TILDE}{_INVISIBLE}]){_LETTER}*\[*$"


def is_team_name(text: str) -> bool:
    """Whether a text can be a team's name. Metrics reserve names that begin with `_`: `_org`, `_none` and `_other`."""
    return bool(text) and not text.startswith("_")


def names_account(text: str) -> bool:
    """Whether a text may name a person's account: no such text becomes a team's name."""
    return bool(_ACCOUNT.search(text))


def fold_team(text: str) -> str:
    """The form that names share if people cannot tell them apart, in lower case.

    Unicode's form NFKC turns full-width letters into letters, and composes combining characters. Characters that are
    not shown, such as a zero-width space, are removed, and so are those that act on a terminal. White space becomes one
    space.
    """
    if text.isascii() and text.isprintable():
        return " ".join(text.lower().split())
    spaced = " ".join(unicodedata.normalize("NFKC", text).split())
    shown = "".join(letter for letter in spaced if not acts(letter))
    return " ".join(unicodedata.normalize("NFKC", _IGNORABLE.sub("", shown).lower()).split())


def normalise_team(text: str) -> str | None:
    """The stored form of a team name, or None if the text is not a valid team name."""
    name = fold_team(text)
    return name if is_team_name(name) and len(name) <= LONGEST and not names_account(name) else None
