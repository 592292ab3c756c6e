"""The problem with a field of a request in plain English, instead of pydantic's words."""

import re
from collections.abc import Mapping
from typing import Any

from service.lifecycle.events import EARLIEST, LATEST
from service.lifecycle.nearest import expected_one_of

_TIME = "expected a time with its offset, such as 2026-03-01T00:00:00Z"
_OUT_OF_RANGE = f"expected a time from {EARLIEST.year} on and before {LATEST.year}"
_FIXED: Mapping[str, str] = {
    "missing": "expected a value, but there is none",
    "extra_forbidden": "is not a property of this request",
    "string_type": "expected text",
    "json_invalid": "expected JSON",
    "model_type": "expected a JSON object",
    "model_attributes_type": "expected a JSON object",
    "dict_type": "expected a JSON object",
    "list_type": "expected a list",
}
_IN_DOCUMENTATION = "the form that the documentation of this field shows"
_BOUNDS: Mapping[str, tuple[str, str]] = {
    "greater_than_equal": ("ge", "expected {} or more"),
    "less_than_equal": ("le", "expected {} or less"),
    "greater_than": ("gt", "expected more than {}"),
    "less_than": ("lt", "expected less than {}"),
    "string_too_short": ("min_length", "expected text with a length of {} or more"),
    "string_too_long": ("max_length", "expected text with a length of {} or less"),
    "too_short": ("min_length", "expected a list of {} or more"),
    "too_long": ("max_length", "expected a list of {} or less"),
}
_OWN = ("", "value_error", "described")
"""The kinds of errors whose messages this service words itself."""


def describe_invalid(invalid: Mapping[str, Any]) -> str:
    """The problem that an error of pydantic reports. The message never quotes the refused value."""
    kind, context = str(invalid.get("type", "")), invalid.get("ctx", {})
    if kind in _OWN:
        return str(invalid["msg"]).removeprefix("Value error, ")
    if kind in _FIXED:
        return _FIXED[kind]
    if invalid.get("input") == "" and kind.startswith(("string_", "too_short")):
        return "expected text, but it is empty"
    if kind in _BOUNDS and _BOUNDS[kind][0] in context:
        name, sentence = _BOUNDS[kind]
        bound = str(context[name])
        # Pydantic writes the bound of a time as the source code of Python.
        return _OUT_OF_RANGE if bound.startswith("datetime.") else sentence.format(bound)
    if kind == "literal_error":
        return expected_one_of(str(invalid.get("input", "")), re.findall("'(.*?)'", context["expected"]))
    return _of_type(kind)


def _of_type(kind: str) -> str:
    """The expected type of a value. Pydantic's own words about any other kind of error are not shown."""
    if kind.startswith(("datetime_", "timezone_")):
        return _TIME
    if kind.startswith("int_"):
        return "expected a whole number"
    if kind.startswith("bool_"):
        return "expected true or false"
    if kind.startswith("uuid_"):
        return "expected a UUID, such as 0f6ad4c5-6f0c-5d3f-9a5e-0f8f0a3f4a11"
    if kind.startswith("string_"):
        return f"expected text in {_IN_DOCUMENTATION}"
    return f"expected a value in {_IN_DOCUMENTATION}"
