"""The faults of settings, each with the variable, the expected value and, if known, the remedy."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pydantic_core import ErrorDetails

from service.lifecycle.nearest import suggest
from service.rules.validation import MISSING, expect, expect_one_of

PREFIX = "LOOPGAUGE_"
NESTING = "__"


_FILES: Mapping[str, str] = {".env": ".env", "secrets directory": "the secrets directory"}
"""The words for the origins that are files. A fault without such words is in the environment or in an argument."""


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
        known: the names beside the refused name, from which to suggest one.
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
        case "too_short" | "string_too_short":
            return "expected a value that is not empty"
        case "model_type" | "dict_type" | "model_attributes_type":
            names = " and ".join(variable_of([*root, *error["loc"], name]) for name in known)
            return f"is not a setting of its own; set {names}" if names else "expected JSON"
        case "int_parsing" | "int_from_float":
            return str(expect("a whole number", error["input"]))
        case "bool_parsing":
            return str(expect("true or false", error["input"]))
        case "literal_error":
            return str(expect_one_of(re.findall("'(.*?)'", error["ctx"]["expected"]), error["input"]))
        case _:
            message = error["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            return message if message.startswith("expected") else f"expected {message}"
