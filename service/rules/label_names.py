"""Find labels whose names are misspelt: no rule reads them, but they are near a label that a rule reads.

The comparison is strict, because labels such as `experience` and `disk:full` have a meaning of their own: the name may
differ by a letter or two, and the value must be one that the field accepts, or near to one.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

from service.lifecycle.fields import FIELDS, FieldName
from service.lifecycle.nearest import distance, expected_one_of, suggest
from service.lifecycle.teams import names_account
from service.rules.patterns import Pattern, Template

# GitLab's scopes have two colons, and Chinese and Japanese keyboards have a wide one.
_COLONS = re.compile("::|\uff1a")
_SEPARATED = re.compile(r"\s*(?P<separator>[/\\=|.,;_~>\u2013\u2014-]{1,3}|(?<=\s)|(?=\s))\s*(?P<value>\S.*)")
_LONGEST = 60
_SHORTEST = 4
_LONG = 9
_LONG_VALUE = 6
_MOST_EDITS = 2


@dataclass(frozen=True, slots=True)
class LabelPattern:
    """A pattern for labels, as a rule has it.

    Attributes:
        providers: the providers whose deliveries the rule can match; empty for every provider.
        marks: whether the rule marks experiments.
        values: the templates of the fields that the rule declares.
    """

    pattern: Pattern
    providers: frozenset[str]
    marks: bool
    values: Mapping[FieldName, Template]


@dataclass(frozen=True, slots=True)
class LabelNames:
    """The labels that rules read."""

    patterns: tuple[LabelPattern, ...] = ()

    def explain(self, provider: str, label: str) -> str:
        """Say which label is probably meant by one that no rule reads. The text is empty if no label is near."""
        if len(label) > _LONGEST or any(one.pattern.match_label(label) is not None for one in self.patterns):
            return ""
        usable = [one for one in self.patterns if not one.providers or provider in one.providers]
        name, colon, value = (part.strip().lower() for part in _COLONS.sub(":", label).partition(":"))
        if colon:
            return next(_explain_value(usable, name, value), "")
        return next(chain(_explain_word(usable, name), _explain_separator(usable, name)), "")


def _explain_separator(patterns: Iterable[LabelPattern], label: str) -> Iterator[str]:
    """Find a label that has another separator than a colon, such as `outcome/failed` or `failure intelligent`.

    A name that takes any value, as in `team:…`, is read before a slash or an equals sign only: `team-lead` is a word.
    """
    # Most labels begin like no pattern, and each delivery may list many labels.
    alike = [one for one in patterns if label.startswith(one.pattern.text[:_SHORTEST].lower())]
    for expected, choices in _by_name(alike).items():
        found = _SEPARATED.fullmatch(label.removeprefix(expected)) if label.startswith(expected) else None
        if found is None:
            continue
        value = found["value"].strip()
        meant = next((choice for choice in choices if _is_same(value, choice)), "")
        if not choices and found["separator"] in ("/", "="):
            meant = "…" if names_account(value) else value
        if meant:
            yield f"did you mean {expected}:{meant}?"


def _is_same(value: str, choice: str) -> bool:
    """Whether a value is a choice, or misspells a long one."""
    return value == choice or (len(choice) >= _LONG_VALUE and distance(value, choice, 1) <= 1)


def _explain_word(patterns: Iterable[LabelPattern], word: str) -> Iterator[str]:
    for one in patterns:
        text = one.pattern.text.lower()
        if one.marks and _is_literal(text) and ":" not in text and _is_near(word, text):
            yield f"did you mean {text}?"


def _explain_value(patterns: Iterable[LabelPattern], name: str, value: str) -> Iterator[str]:
    for expected, choices in _by_name(patterns).items():
        if name == expected:
            if not value:
                yield expected_one_of("", choices) if choices else "a value is missing after the colon"
            elif near := next(
                (choice for choice in choices if distance(value, choice, _MOST_EDITS) <= _MOST_EDITS), ""
            ):
                yield f"did you mean {expected}:{near}?"
        elif (_is_near if choices else _has_same_letters)(name, expected):
            shown = "…" if names_account(value) else value
            meant = suggest(value, choices) if choices else shown
            if meant:
                yield f"did you mean {expected}:{meant}?"


def _by_name(patterns: Iterable[LabelPattern]) -> dict[str, tuple[str, ...]]:
    """The names before a colon in the labels of rules, each with its accepted values: none if it accepts any value."""
    found: dict[str, tuple[str, ...]] = {}
    for one in patterns:
        name, colon, rest = one.pattern.text.lower().partition(":")
        if colon and _is_literal(name) and rest:
            found[name] = (*found.get(name, ()), *((rest,) if _is_literal(rest) else _choices(one, rest)))
    return found


def _choices(one: LabelPattern, captured: str) -> tuple[str, ...]:
    fields = [FIELDS[field] for field, template in one.values.items() if template.text.lower() == captured]
    return next((field.data.choices for field in fields if field.data), ())


def _is_literal(text: str) -> bool:
    return not set("*{") & set(text)


def _is_near(word: str, expected: str) -> bool:
    """Whether a word misspells another. A longer word, as in `experimental`, does not, but a plural does."""
    if len(expected) < _SHORTEST or (word.startswith(expected) and word != f"{expected}s"):
        return False
    most = _MOST_EDITS if len(expected) >= _LONG else 1
    return distance(word, expected, most) <= most


def _has_same_letters(word: str, expected: str) -> bool:
    """Whether a word has the letters of another in another order, or one of them too often or too seldom.

    This strict comparison is for labels that accept any value, such as `team:…`: `term` differs from `team` by one
    letter, but is a word of its own.
    """
    near = len(expected) >= _SHORTEST and word[:1] == expected[:1] and distance(word, expected, 1) <= 1
    return near and set(word) <= set(expected)
