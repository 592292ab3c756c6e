"""Team names: one rule for settings, rules, declarations and metrics."""

import re

LONGEST = 100
"""The maximum number of characters in a team's name."""
EXPECTED = (
    f"a team name of at most {LONGEST} characters that does not begin with _ and has no @, because a mention may name "
    "a person"
)
"""A description of team names, for error messages."""
# A mention or an e-mail address, and a mention in Jira's notation.
_ACCOUNT = re.compile(r"@|\[~")
_LETTER = r"(?:[^\x00@\[]|\[+[^\x00@\[~])"


def team_pattern(blank: str) -> str:
    """The regular expression of team names without accounts, in the syntax that Python, Rust and ECMAScript share.

    Args:
        blank: the characters that may not begin a name, for a character class.
    """
    return rf"^\s*(?:[^_\x00@\[{blank}]|\[+[^\x00@\[~]){_LETTER}*\[*$"


def is_team_name(text: str) -> bool:
    """Whether a text can be a team's name. Metrics reserve names that begin with `_`: `_org`, `_none` and `_other`."""
    return bool(text) and not text.startswith("_")


def names_account(text: str) -> bool:
    """Whether a text may name a person's account: no such text becomes a team's name."""
    return bool(_ACCOUNT.search(text))


def normalise_team(text: str) -> str | None:
    """The stored form of a team name, or None if the text is not a valid team name."""
    name = text.strip()
    return name.lower() if is_team_name(name) and len(name) <= LONGEST and not names_account(name) else None
