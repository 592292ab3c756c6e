"""Patterns that match traits, and templates that build values."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from unicodedata import normalize

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError
from jmespath.parser import ParsedResult

from service.deliveries.payload import RawPayload

_SPECIAL = re.compile(r"\*|\{(\w*)\}")
_MOST_WILD = 5
SCOPE = "::"
"""The separator of a scope and its value in a label of GitLab."""
# An expression that fails with this error on an empty payload may still work on a real payload.
_ONLY_WITH_DATA = JMESPathTypeError
_LONGEST_SHOWN = 80
_INSERTED = re.compile(r"\$\{(?P<path>[^}]*)\}|\{(?P<name>\w*)\}")


# NFKC turns the acute accent into a space and a combining accent, so replace the apostrophes first.
_APOSTROPHES = str.maketrans(dict.fromkeys("\u2019\u2018\u02bc\u00b4\u2032\u02b9`", "'"))


LONGEST_WORDS = 255
"""The maximum length of a status, or of another word of a tracker, to compare with words."""


def unify(words: str) -> str:
    """A tracker's word, such as a status, in one spelling: one kind of apostrophe, single spaces, Unicode's NFKC."""
    return " ".join(normalize("NFKC", words.translate(_APOSTROPHES)).split())


@lru_cache(maxsize=1024)
def fold(words: str) -> str:
    """A tracker's word, such as a status, in the spelling by which it is compared: without case and apostrophes."""
    return unify(words).replace("'", "").casefold()


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text to compare values with, ignoring case. `*` matches any text; `{name}` matches and captures any text
    that is not empty.
    """

    text: str
    regex: re.Pattern[str]

    @classmethod
    def of(cls, text: str) -> "Pattern":
        """Parse a pattern.

        Raises:
            ValueError: a name is malformed or a duplicate, or there are too many wildcards.
        """
        wild = list(_SPECIAL.finditer(text))
        if "{" in (left := _SPECIAL.sub("", text)) or "}" in left:
            raise ValueError(f"expected a name between braces, such as {{team}}, got {text!r}")
        if len(wild) > _MOST_WILD:
            raise ValueError(f"expected a pattern with at most {_MOST_WILD} wildcards, got {text!r}")
        names = [place[1] for place in wild if place[1]]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"expected a pattern, got {text!r}; it captures {twice[0]} twice")
        ends = [place.start() for place in wild[1:]] + [len(text)]
        parts = [re.escape(text[: wild[0].start()] if wild else text)]
        for place, end in zip(wild, ends if wild else [], strict=True):
            last, literal = place is wild[-1], re.escape(text[place.end() : end])
            # A wildcard ends at the first occurrence of the literal after it. If the next wildcard follows without a
            # literal between the two, the first wildcard matches as little as possible. The atomic group `(?>…)`
            # prevents backtracking to a later end: that could not help, because the next wildcard matches any text. The
            # last wildcard needs no group, because its literal is at the end of the value.
            taken = _anything(place, "" if last else "?") + literal
            parts.append(taken if last else f"(?>{taken})")
        try:
            return cls(text, re.compile("".join(parts), re.IGNORECASE | re.DOTALL))
        except re.error as error:
            raise ValueError(f"expected a pattern, got {text!r}: {error}") from error

    @property
    def is_literal(self) -> bool:
        """Whether the pattern has no wildcard."""
        return _SPECIAL.search(self.text) is None

    @property
    def names(self) -> frozenset[str]:
        """The names that the pattern captures."""
        return frozenset(self.regex.groupindex)

    def match(self, value: str) -> Mapping[str, str] | None:
        """The captured texts by name, or None if the whole value does not match."""
        found = self.regex.fullmatch(value)
        return found.groupdict() if found else None

    def match_label(self, label: str) -> Mapping[str, str] | None:
        """Like `match`, but read GitLab's scoped label `team::search` as `team:search`, unless the pattern has `::`."""
        return self.match(label if SCOPE in self.text else label.replace(SCOPE, ":"))


def _anything(place: re.Match[str], greed: str) -> str:
    if place[0] == "*":
        return f".*{greed}"
    if not place[1].isidentifier():
        raise ValueError(f"expected a name between braces, such as {{team}}, got {place[0]}")
    return f"(?P<{place[1]}>.+{greed})"


@dataclass(frozen=True, slots=True)
class Template:
    """A text with insertions: `{name}` inserts a trait or a capture, `${path}` the result of a JMESPath expression."""

    text: str
    paths: Mapping[str, ParsedResult]

    @classmethod
    def of(cls, text: str) -> "Template":
        """Parse a template.

        Raises:
            ValueError: a name or a JMESPath expression is malformed.
        """
        if "{" in (left := _INSERTED.sub("", text)) or "}" in left:
            raise ValueError(f"expected {{name}} or ${{path}}, got {text!r}")
        paths = {found["path"] for found in _INSERTED.finditer(text) if found["path"] is not None}
        return cls(text, {path: compile_path(path) for path in paths})

    @property
    def names(self) -> frozenset[str]:
        """The names of the inserted traits and captures."""
        return frozenset(found["name"] for found in _INSERTED.finditer(self.text) if found["name"] is not None)

    @property
    def varies(self) -> bool:
        """Whether the template has insertions."""
        return bool(_INSERTED.search(self.text))

    def fill(self, known: Mapping[str, str], payload: RawPayload) -> str | None:
        """The text with all insertions filled, or None if an insertion has no value."""
        missing = False

        def insert(found: re.Match[str]) -> str:
            nonlocal missing
            name, path = found["name"], found["path"]
            value = known.get(name) if path is None else _text(self.paths[path], payload)
            missing = missing or value is None
            return value or ""

        filled = _INSERTED.sub(insert, self.text)
        return None if missing else filled


def compile_path(text: str) -> ParsedResult:
    """Compile a JMESPath expression.

    Raises:
        ValueError: the expression is malformed.
    """
    try:
        # jmespath accepts an empty expression, which returns the whole payload. Compile `|` instead, so that jmespath
        # refuses the expression.
        expression = jmespath.compile(text or "|")
        expression.search({})
    except _ONLY_WITH_DATA:
        return expression
    except (JMESPathError, ArithmeticError, RecursionError, TypeError, ValueError) as error:
        shown = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
        raise ValueError(f"expected a JMESPath expression, got {shown!r}") from error
    return expression


def search(path: ParsedResult, payload: object) -> object:
    """The result of an expression on a payload, or None if the expression does not fit the payload."""
    try:
        return path.search(payload)
    except (JMESPathError, ArithmeticError, TypeError, ValueError):
        return None


def find(path: ParsedResult, payload: RawPayload) -> object:
    """Like `search`, but search the payload of a delivery only once for each expression."""
    return payload.find(path.expression, partial(search, path))


def _text(path: ParsedResult, payload: RawPayload) -> str | None:
    match find(path, payload):
        case str() as text:
            return text
        case bool() as truth:
            return str(truth).lower()
        case int() | float() as number:
            return str(number)
        case _:
            return None
