"""Team names: one rule for settings, rules, declarations and metrics."""

_LONGEST = 100


def is_team_name(text: str) -> bool:
    """Whether a text can be a team's name. Metrics reserve names that begin with `_`: `_org`, `_none` and `_other`."""
    return bool(text) and not text.startswith("_")


def normalise_team(text: str) -> str | None:
    """The stored form of a team name, or None if the text is not a valid team name."""
    name = text.strip()
    return name.lower() if is_team_name(name) and len(name) <= _LONGEST else None
