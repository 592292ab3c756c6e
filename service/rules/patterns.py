"""Patterns that a rule compares traits with, and templates that it makes values of."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError
from jmespath.parser import ParsedResult

from service.deliveries.payload import RawPayload

_SPECIAL = re.compile(r"\*|\{(\w*)\}")
_MOST_WILD = 5
# What is wrong with the types of a payload without fields may be right with another.
_ONLY_WITH_DATA = JMESPathTypeError
_LONGEST_SHOWN = 80
_INSERTED = re.compile(r"\$\{(?P<path>[^}]*)\}|\{(?P<name>\w*)\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text to compare with, without case: `*` stands for anything, and so does `{name}`, which captures it."""

    text: str
    regex: re.Pattern[str]

    @classmethod
    def of(cls, text: str) -> "Pattern":
        """Read a pattern.

        Raises:
            ValueError: a name stands in it twice, or is none.
        """
        wild = list(_SPECIAL.finditer(text))
        if "{" in (left := _SPECIAL.sub("", text)) or "}" in left:
            raise ValueError(f"expected a name between braces, such as {{team}}, got {text!r}")
        if len(wild) > _MOST_WILD:
            raise ValueError(f"expected a pattern with {_MOST_WILD} places for anything at most, got {text!r}")
        ends = [place.start() for place in wild[1:]] + [len(text)]
        parts = [re.escape(text[: wild[0].start()] if wild else text)]
        for place, end in zip(wild, ends if wild else [], strict=True):
            last, literal = place is wild[-1], re.escape(text[place.end() : end])
            # Each place but the last takes as little as it can and gives nothing back, so no text takes long to match.
            taken = _anything(place, "" if last else "?") + literal
            parts.append(taken if last or not literal else f"(?>{taken})")
        try:
            return cls(text, re.compile("".join(parts), re.IGNORECASE | re.DOTALL))
        except re.error as error:
            raise ValueError(f"expected a pattern, got {text!r}: {error}") from error

    @property
    def names(self) -> frozenset[str]:
        """The names of what it captures."""
        return frozenset(self.regex.groupindex)

    def match(self, value: str) -> Mapping[str, str] | None:
        """What is captured where the whole value matches, or None where it does not."""
        found = self.regex.fullmatch(value)
        return found.groupdict() if found else None


def _anything(place: re.Match[str], greed: str) -> str:
    if place[0] == "*":
        return f".*{greed}"
    if not place[1].isidentifier():
        raise ValueError(f"expected a name between braces, such as {{team}}, got {place[0]}")
    return f"(?P<{place[1]}>.+{greed})"


@dataclass(frozen=True, slots=True)
class Template:
    """A value with parts to insert: `{name}`, a trait or what a pattern captured, and `${path}`, found by JMESPath."""

    text: str
    paths: Mapping[str, ParsedResult]

    @classmethod
    def of(cls, text: str) -> "Template":
        """Read a template.

        Raises:
            ValueError: a JMESPath expression in it is malformed.
        """
        if "{" in (left := _INSERTED.sub("", text)) or "}" in left:
            raise ValueError(f"expected {{name}} or ${{path}}, got {text!r}")
        paths = {found["path"] for found in _INSERTED.finditer(text) if found["path"] is not None}
        return cls(text, {path: compile_path(path) for path in paths})

    @property
    def names(self) -> frozenset[str]:
        """The names that it inserts."""
        return frozenset(found["name"] for found in _INSERTED.finditer(self.text) if found["name"] is not None)

    @property
    def varies(self) -> bool:
        """Whether anything is inserted into it."""
        return bool(_INSERTED.search(self.text))

    def fill(self, known: Mapping[str, str], payload: RawPayload) -> str | None:
        """The value, or None where a part of it is not known."""
        missing = False

        def insert(found: re.Match[str]) -> str:
            nonlocal missing
            name, path = found["name"], found["path"]
            value = known.get(name) if path is None else _text(self.paths[path], payload.json)
            missing = missing or value is None
            return value or ""

        filled = _INSERTED.sub(insert, self.text)
        return None if missing else filled


def compile_path(text: str) -> ParsedResult:
    """Read a JMESPath expression.

    Raises:
        ValueError: it is malformed.
    """
    try:
        # Of an empty text the library makes an expression that finds everything.
        expression = jmespath.compile(text or "|")
        expression.search({})
    except _ONLY_WITH_DATA:
        return expression
    except (JMESPathError, ArithmeticError, RecursionError, TypeError, ValueError) as error:
        shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
        raise ValueError(f"expected a JMESPath expression, got {shown!r}") from error
    return expression


def search(path: ParsedResult, payload: object) -> object:
    """What an expression finds in a payload; None where it does not apply to it."""
    try:
        return path.search(payload)
    except (JMESPathError, ArithmeticError, TypeError, ValueError):
        return None


def _text(path: ParsedResult, payload: object) -> str | None:
    match search(path, payload):
        case str() as text:
            return text
        case bool() as truth:
            return str(truth).lower()
        case int() | float() as number:
            return str(number)
        case _:
            return None
