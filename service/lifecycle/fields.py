"""The registry of declared fields: for each field, the accepted values, their stored form, and how to declare them.

`FIELDS` determines which fields may be declared by rules, comment commands, CloudEvents and manual events, which values
a field may have, and what the OpenAPI document says about the fields. To add a field, add its name to `FieldName` and
its entry to `FIELDS`. To show the field on experiments too, change four more files: add it to `Experiment` and `fold`
in `lifecycle/experiment.py`, to `storage/tables.py` with a migration, and to `presentation/experiments.py`.
"""

import dataclasses
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from service.lifecycle import teams
from service.lifecycle.addresses import without_userinfo
from service.lifecycle.nearest import expected_one_of
from service.lifecycle.taxonomy import (
    CATEGORY_WORDS,
    OUTCOME_WORDS,
    RISK_WORDS,
    FailureCategory,
    Outcome,
    Risk,
)

FieldName = Literal[
    "experiment",
    "excluded",
    "title",
    "url",
    "team",
    "risk",
    "outcome",
    "failure_category",
    "shared",
    "outsider",
]
"""The name under which declarations of a field are stored.

Only a payload tells that a change is an `outsider`'s. People cannot declare this field, so `FIELDS` lacks it.
"""

_LONGEST_TEXT = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DataProperty:
    """A property in the data of a CloudEvent, or in the body of a manual event.

    Attributes:
        expects: a description of the accepted values, for error messages.
        choices: the accepted values; if empty, the property accepts any text that matches the pattern.
        also: for other words that people write, the choice that a refusal proposes.
        pattern: a regular expression that values must match, in the syntax that Python, Rust and ECMAScript share.
        longest: the maximum number of characters.
    """

    name: str
    expects: str
    choices: tuple[str, ...] = ()
    also: Mapping[str, str] = dataclasses.field(default_factory=dict)
    pattern: str = r"^[^\x00]*$"
    longest: int = _LONGEST_TEXT

    def refusal(self, value: str) -> str:
        """The message for a value that the property does not accept; it proposes the nearest value."""
        return expected_one_of(value, self.choices, self.also) if self.choices else f"expected {self.expects}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredField:
    """A field whose value is set by declarations.

    Attributes:
        expects: a description of the accepted values, for error messages.
        normalise: a function that returns the stored form of a value, or None if the field does not accept the value.
        data: the property of event data that sets the field, or None if no property does.
        command: whether the command `/experiment <field> <value>` in a comment sets the field.
    """

    expects: str
    normalise: Callable[[str], str | None]
    data: DataProperty | None = None
    command: bool = False

    def refusal(self, value: str) -> str:
        """The message for a value that the field does not accept; it proposes the nearest value."""
        return self.data.refusal(value) if self.data and self.data.choices else f"expected {self.expects}"


def _choice(
    name: str, members: Collection[StrEnum], also: Mapping[str, str], *, command: bool = False
) -> DeclaredField:
    """A field that accepts the members of a closed vocabulary. For other words, `also` has the member to propose."""
    choices = tuple(member.value for member in members)
    expects = " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))

    def normalise(value: str) -> str | None:
        chosen = value.strip().lower()
        return chosen if chosen in choices else None

    return DeclaredField(
        expects=expects,
        normalise=normalise,
        data=DataProperty(name=name, expects=expects, choices=choices, also=also),
        command=command,
    )


def _normalise_mark(value: str) -> str | None:
    return "true" if value.strip().lower() == "true" else None


def _normalise_text(value: str) -> str | None:
    return without_userinfo(value.strip()) or None


def _normalise_unless_false(value: str) -> str | None:
    text = without_userinfo(value.strip())
    return text if text and text.lower() != "false" else None


def _normalise_url(value: str) -> str | None:
    url = without_userinfo(value.strip())
    return url if url.lower().startswith(("http://", "https://")) else None


_TEXT = "a text that is not empty"
_URL = "a URL that begins with http:// or https://"
_URL_PATTERN = r"^[Hh][Tt][Tt][Pp][Ss]?://[^\x00-\x20]+$"

FIELDS: Mapping[FieldName, DeclaredField] = {
    "experiment": DeclaredField(expects="true", normalise=_normalise_mark),
    "excluded": DeclaredField(expects=_TEXT, normalise=_normalise_unless_false),
    "title": DeclaredField(
        expects=_TEXT,
        normalise=_normalise_text,
        data=DataProperty(name="title", expects=f"a text of at most {_LONGEST_TEXT} characters"),
    ),
    "url": DeclaredField(
        expects=_URL,
        normalise=_normalise_url,
        data=DataProperty(name="url", expects=_URL, pattern=_URL_PATTERN),
    ),
    "team": DeclaredField(
        expects=teams.EXPECTED,
        normalise=teams.normalise_team,
        data=DataProperty(
            name="team", expects=teams.EXPECTED, pattern=teams.team_pattern(r"\s"), longest=teams.LONGEST
        ),
        command=True,
    ),
    "risk": _choice("risk", list(Risk), RISK_WORDS, command=True),
    "outcome": _choice("outcome", [outcome for outcome in Outcome if outcome is not Outcome.UNDECLARED], OUTCOME_WORDS),
    "failure_category": _choice(
        "failure_category",
        [category for category in FailureCategory if category is not FailureCategory.UNCLASSIFIED],
        CATEGORY_WORDS,
    ),
    "shared": DeclaredField(
        expects=_TEXT,
        normalise=_normalise_unless_false,
        data=DataProperty(name="learning_url", expects=_URL, pattern=_URL_PATTERN),
    ),
}
"""Every declared field, in the order of the properties in event data."""

DATA_PROPERTIES: Mapping[FieldName, DataProperty] = {name: field.data for name, field in FIELDS.items() if field.data}
"""For each field that event data can set, the property that sets it."""
