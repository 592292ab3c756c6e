"""Fit a document to a type although some of its fields have other types than usual. Pure.

Versions of a tool, and the templates that people write, differ in the types of fields: an id may be a number or a text,
and a label may be an object or a text. A field of another type is converted if its meaning is clear. Otherwise it is
left out, and so is each object that needs it. A document is repaired only after it could not be decoded, so a document
of the usual types costs no more.
"""

import re
from datetime import UTC, datetime
from typing import TypeVar

import msgspec

_MOST_REPAIRS = 50
_STEP = re.compile(r"\.([^.\[\]]+)|\[([0-9]+)\]")
_MISMATCH = re.compile(r"Expected `([^`]+)`, got `[a-z]+`")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_NUMBER = re.compile(r"-?[0-9]{1,18}")
# Fields with a time as a text. A number in such a field is not the text of a time.
_TIME = re.compile(r".*(?:_at|date|created|updated|timestamp)")
# The members of an object that can stand for it as a text, and that a text can stand for.
_NAMES = ("name", "title", "key")
_EARLIEST_SECONDS, _LATEST_SECONDS = 10**9, 10**10
_EARLIEST_MILLISECONDS, _LATEST_MILLISECONDS = 10**12, 10**13
_LARGEST = 10**18
_ABSENT, _MALFORMED = object(), object()
_Document = TypeVar("_Document")


def fit(document: object, expected: type[_Document]) -> _Document:
    """Convert the JSON values of a document to a type, and repair the fields that do not fit. Changes the document.

    Raises:
        msgspec.ValidationError: a needed field is missing or malformed.
    """
    causes: dict[str, str] = {}
    for _ in range(_MOST_REPAIRS):
        try:
            return msgspec.convert(document, expected)
        except msgspec.ValidationError as error:
            _repair(document, str(error), causes)
    return msgspec.convert(document, expected)


def _repair(document: object, problem: str, causes: dict[str, str]) -> None:
    """Repair the field that a problem names.

    Args:
        causes: for each removed field, by its path, the problem that led to its removal.

    Raises:
        msgspec.ValidationError: the field cannot be repaired.
    """
    text, _, end = problem.partition(" - at `")
    path = end.removesuffix("`") or "$"
    missing = _MISSING.fullmatch(text)
    cause = causes.get(f"{path}.{missing[1]}", problem) if missing else problem
    match _find(document, path):
        case dict() as fields, str() as name:
            repaired = _replace(fields[name], text, name)
            if repaired is _ABSENT:
                causes[path] = cause
            _put(fields, name, repaired, cause)
        case list() as elements, int() as index:
            _repair_list(elements, index, text, cause)
        case _:
            raise msgspec.ValidationError(cause)


def _find(document: object, path: str) -> tuple[object, str | int] | None:
    """The container of the value at a path, and the name or index of the value. None if the path is not supported."""
    steps = [name or int(index) for name, index in _STEP.findall(path)]
    value, container = document, None
    for step in steps:
        container = value
        match container, step:
            case dict(), str() if step in container:
                value = container[step]
            case list(), int() if step < len(container):
                value = container[step]
            case _:
                return None
    return (container, steps[-1]) if steps else None


def _put(fields: dict[str, object], name: str, value: object, cause: str) -> None:
    if value is _MALFORMED:
        raise msgspec.ValidationError(cause)
    if value is _ABSENT:
        del fields[name]
    else:
        fields[name] = value


def _repair_list(elements: list[object], first: int, text: str, cause: str) -> None:
    """Repair all elements that have the problem of the first one, so that a long list takes one repair."""
    missing, kind = _MISSING.fullmatch(text), type(elements[first])

    def has_problem(element: object) -> bool:
        if missing:
            return isinstance(element, dict) and missing[1] not in element
        return type(element) is kind

    repaired = [_replace(element, text, "") if has_problem(element) else element for element in elements]
    if _MALFORMED in repaired:
        raise msgspec.ValidationError(cause)
    elements[:] = [element for element in repaired if element is not _ABSENT]


def _replace(value: object, text: str, field: str) -> object:
    """Return the replacement of a value that does not fit.

    Returns:
        `_ABSENT` to leave the value out; `_MALFORMED` if its type is right and its content is wrong.
    """
    mismatch = _MISMATCH.fullmatch(text)
    if mismatch:
        return _convert(value, frozenset(mismatch[1].split(" | ")), field)
    return _ABSENT if _MISSING.fullmatch(text) or (isinstance(value, str) and not value.strip()) else _MALFORMED


def _convert(value: object, expected: frozenset[str], field: str) -> object:
    match value:
        case str() if value.strip():
            return _convert_text(value.strip(), expected)
        case int() | float() if not isinstance(value, bool) and abs(value) < _LARGEST:
            return _convert_number(value, expected, field)
        case dict() if "str" in expected and not _TIME.fullmatch(field):
            named = (value.get(name) for name in _NAMES)
            return next((name for name in named if isinstance(name, str) and name), _ABSENT)
        case _:
            return _ABSENT


def _convert_text(text: str, expected: frozenset[str]) -> object:
    if "object" in expected:
        return dict.fromkeys(_NAMES, text)
    if "array" in expected:
        return [part.strip() for part in text.split(",") if part.strip()]
    if "int" in expected and _NUMBER.fullmatch(text):
        return int(text)
    if "bool" in expected and text.lower() in ("true", "false"):
        return text.lower() == "true"
    return _ABSENT


def _convert_number(number: float, expected: frozenset[str], field: str) -> object:
    whole = int(number) if float(number).is_integer() else None
    if "datetime" in expected or ("str" in expected and _TIME.fullmatch(field)):
        at = unix_time(number)
        return _ABSENT if at is None else at.isoformat()
    if "int" in expected and whole is not None:
        return whole
    return str(number if whole is None else whole) if "str" in expected else _ABSENT


def unix_time(number: float) -> datetime | None:
    """The time between 2001 and 2286 that a number of seconds or milliseconds since 1970 states; None for others."""
    if _EARLIEST_MILLISECONDS <= number < _LATEST_MILLISECONDS:
        number /= 1000
    return datetime.fromtimestamp(number, UTC) if _EARLIEST_SECONDS <= number < _LATEST_SECONDS else None
