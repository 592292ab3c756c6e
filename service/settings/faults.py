"""The faults of settings, each with the variable, the expected value and, if known, the remedy."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic_core import ErrorDetails

from service.lifecycle.nearest import suggest
from service.rules.validation import MISSING, expect_one_of
from service.settings.masking import mask_password, refuse

PREFIX = "LOOPGAUGE_"
NESTING = "__"


_FILES: Mapping[str, str] = {".env": ".env", "secrets directory": "the secrets directory"}
"""The words for the origins that are files. A message names no other origin."""


@dataclass(frozen=True, slots=True)
class SettingFault:
    """One fault of the settings.

    Attributes:
        setting: the variable, or the file that cannot be read.
        origin: where the wrong value comes from, if it comes from one place.
    """

    setting: str
    message: str
    origin: str = ""

    def __str__(self) -> str:
        place = f" in {_FILES[self.origin]}" if self.origin in _FILES else ""
        return f"{self.setting}{place}{' ' if self.message.startswith('is ') else ': '}{self.message}"


class InvalidSetting(Exception):
    """Settings are invalid. The message is one line with every fault."""

    def __init__(self, faults: Sequence[SettingFault]) -> None:
        self.faults = faults
        super().__init__("; ".join(map(str, faults)))


def variable_of(path: Iterable[int | str]) -> str:
    """The variable of a setting. Indices are left out, because the values of a list are one variable."""
    return PREFIX + NESTING.join(str(part).upper() for part in path if not isinstance(part, int))


def not_a_setting(similar: str) -> str:
    """The problem with a variable that is not a setting.

    Args:
        similar: the variable that is probably meant, or an empty text.
    """
    return "is not a setting" + (f"; did you mean {similar}?" if similar else "")


def explain(error: ErrorDetails, known: Iterable[str] = (), root: tuple[str, ...] = ()) -> str:
    """The problem with a value that pydantic refused.

    Args:
        known: the accepted names, from which to suggest one for a refused name.
        root: the path that precedes the path of the error.
    """
    match error["type"]:
        case "fault":
            return str(error["ctx"]["message"])
        case "missing":
            return MISSING
        case "extra_forbidden":
            *place, name = error["loc"]
            similar = suggest(str(name), list(known))
            return not_a_setting(variable_of([*root, *place, similar]) if similar else "")
        case "model_type" | "dict_type" | "model_attributes_type":
            return _explain_nested([variable_of([*root, *error["loc"], name]) for name in known], error["input"])
        case "literal_error":
            return str(expect_one_of(re.findall("'(.*?)'", error["ctx"]["expected"]), mask_password(error["input"])))
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
        case kind:
            expected = _EXPECTED.get(kind, "another kind of value").format_map(error.get("ctx", {}))
            return (
                f"expected {expected}" if _is_secret([*root, *error["loc"]]) else str(refuse(expected, error["input"]))
            )


_EXPECTED: Mapping[str, str] = {
    "string_type": "a text",
    "string_too_short": "a value that is not empty",
    "too_short": "a value that is not empty",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller number",
    "int_from_float": "a whole number",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "at most {le}",
}
"""The expected value by the kind of a pydantic error."""


def _is_secret(path: Sequence[int | str]) -> bool:
    """Whether the value at a path is a secret, or contains one."""
    return path[0] in _SECRET or (path[0] == "sources" and path[-1] != "provider")


_SECRET = ("database_url", "api_tokens", "metrics_token")


def _explain_nested(variables: Sequence[str], given: object) -> str:
    """The problem with a value in place of a mapping.

    Args:
        variables: the variables of the values in the mapping; none if the mapping can only be written as JSON.
    """
    if not variables:
        return str(refuse('JSON such as {"default": "14d", "search": "7d"}', given))
    *most, last = variables
    return f"is not a setting of its own; set {', '.join(most)} or {last}"
