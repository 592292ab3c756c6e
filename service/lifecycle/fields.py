"""Which values a field takes, and how they are written."""

from typing import assert_never

from service.lifecycle.events import Field
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk

_CLOSED = {
    "outcome": frozenset(Outcome) - {Outcome.UNDECLARED},
    "failure_category": frozenset(FailureCategory) - {FailureCategory.UNCLASSIFIED},
    "risk": frozenset(Risk),
}
_LONGEST_TEAM = 100


def accepted(field: Field, value: str) -> str | None:
    """The value as the field keeps it, or None where the field takes no such value."""
    value = value.strip()
    match field:
        case "outcome" | "failure_category" | "risk":
            return value.lower() if value.lower() in _CLOSED[field] else None
        case "team":
            # Names that begin with an underscore are ours, for the organisation and for the rest.
            named = bool(value) and not value.startswith("_") and len(value) <= _LONGEST_TEAM
            return value.lower() if named else None
        case "url":
            return value if value.lower().startswith(("http://", "https://")) else None
        case "experiment":
            return value.lower() if value.lower() == "true" else None
        case "shared" | "excluded":
            return value if value and value.lower() != "false" else None
        case "title":
            return value or None
        case _ as never:
            assert_never(never)


def taken(field: Field) -> str:
    """What a field takes, in words."""
    if field in _CLOSED:
        return " or ".join(sorted(_CLOSED[field]))
    return {
        "experiment": "true",
        "team": "a team, whose name does not begin with _",
        "url": "an address that begins with http",
    }.get(field, "a text that is not empty")
