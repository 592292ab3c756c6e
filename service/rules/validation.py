"""A pydantic model that reports every fault of a value at once, in the words of a rules file's author."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError

from service.lifecycle.nearest import did_you_mean, suggest
from service.rules.faults import show_found
from service.rules.places import KEY, Path

Found: TypeAlias = tuple[Path, str]
"""The path to a wrong value, and the problem with this value."""

MISSING = "is missing"
_Item = TypeVar("_Item")


class Strict(BaseModel):
    """A mapping with known keys. The faults of its values do not hide each other.

    A subclass compares its values with each other in `check`. Validators of pydantic would do this only if every single
    value is valid.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    word: ClassVar[str] = "a key"
    """The word for a key in messages, with an article."""

    @model_validator(mode="wrap")
    @classmethod
    def _report_every_fault(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(value, dict):
            raise refusal([((), cls.explain_other(value))])
        misspelt = cls._find_misspelt(value)
        found: list[Found] = [((key, KEY), cls.explain_unknown(key)) for key in misspelt]
        try:
            # The value of a misspelt key is read too, as the value of the key that is meant.
            model = handler({misspelt.get(key, key): each for key, each in value.items()})
        except ValidationError as error:
            written = {meant: key for key, meant in misspelt.items()}
            for path, problem in map(cls._explain, error.errors(include_url=False)):
                first = [written.get(str(step), step) for step in path[:1]]
                found.append(((*first, *path[1:]), problem))
        if found:
            wrong = [path for path, _ in found]
            # Any fault of the remaining values would be a consequence of the faults found above.
            with suppress(ValidationError):
                found += handler(_without(value, wrong)).check(wrong)
        else:
            found = list(model.check(()))
        if found:
            raise refusal(cls.merge(value, found))
        return model

    @classmethod
    def _find_misspelt(cls, value: dict[str, Any]) -> dict[str, str]:
        """For each unknown key of the mapping, the key that is probably meant."""
        misspelt: dict[str, str] = {}
        for key in value:
            meant = "" if key in cls.model_fields else cls.meant(key)
            if meant and meant not in value and meant not in misspelt.values():
                misspelt[key] = meant
        return misspelt

    def check(self, wrong: Collection[Path]) -> Iterator[Found]:  # noqa: ARG002 - subclasses use it
        """Find values that do not fit each other.

        Args:
            wrong: the paths of values with faults of their own, which this mapping does not contain.
        """
        yield from ()

    @classmethod
    def merge(cls, value: dict[str, Any], found: Sequence[Found]) -> Sequence[Found]:  # noqa: ARG003 - subclasses use it
        """Combine faults that have one cause."""
        return found

    @classmethod
    def meant(cls, key: str) -> str:
        """The known key that is probably meant by an unknown key, or an empty text."""
        return suggest(key, cls.model_fields)

    @classmethod
    def explain_unknown(cls, key: str) -> str:
        """The problem with an unknown key."""
        return explain_unknown(key, cls.word, cls.model_fields, cls.meant(key))

    @classmethod
    def explain_other(cls, value: Any) -> str:
        """The problem with a value that is not a mapping."""
        return str(expect("a mapping", value))

    @classmethod
    def _explain(cls, details: ErrorDetails) -> Found:
        path = details["loc"]
        if details["type"] == "extra_forbidden":
            return (*path, KEY), cls.explain_unknown(str(path[-1]))
        return path, _in_words(details)


def explain_unknown(key: str, word: str, known: Iterable[str], meant: str) -> str:
    """The problem with an unknown key.

    Args:
        word: a noun for the known keys, with an article, such as `a condition`.
        known: the known keys.
        meant: the known key that is probably meant, or an empty text.
    """
    remedy = f"did you mean {meant}?" if meant else f"expected {list_choices(list(known))}"
    return f"{key or 'an empty text'} is not {word}; {remedy}"


def list_choices(choices: Sequence[str]) -> str:
    """The choices of a message, such as `one of a, b, c`."""
    return f"one of {', '.join(choices)}" if len(choices) > 1 else choices[0]


def expect(expected: str, found: object, hint: str = "") -> ValueError:
    """The error about a wrong value, with the expected and the found value."""
    return ValueError("; ".join(filter(None, (f"expected {expected}, got {show_found(found)}", hint))))


def expect_one_of(choices: Sequence[str], found: object) -> ValueError:
    """The error about a value that is none of the choices, with the nearest choice."""
    return expect(list_choices(choices), found, did_you_mean(found, choices) if isinstance(found, str) else "")


class WrongKey(ValueError):
    """A key of a mapping is wrong, whatever its value."""


def read_each(value: object, read: Callable[[str, object], _Item]) -> list[_Item]:
    """Read every key of a mapping with its value, and report the faults of all of them.

    Args:
        read: takes a key and its value; raises WrongKey or ValueError if one of the two is wrong.
    """
    if not isinstance(value, dict):
        raise expect("a mapping", value)
    items, found = list[_Item](), list[Found]()
    for key, each in value.items():
        try:
            items.append(read(key, each))
        except WrongKey as error:
            found.append(((key, KEY), str(error)))
        except ValueError as error:
            found.append(((key,), str(error)))
    if found:
        raise refusal(found)
    return items


def refusal(found: Iterable[Found]) -> ValidationError:
    """The error that reports faults."""
    return ValidationError.from_exception_data(
        "rules",
        [
            InitErrorDetails(type=PydanticCustomError("fault", "{message}", {"message": problem}), loc=path, input=None)
            for path, problem in found
        ],
    )


def _without(value: Any, wrong: Collection[Path]) -> Any:
    """A copy of a value without the parts at these paths, and without lists and mappings that become empty."""
    inside: dict[int | str, list[Path]] = {}
    for step, *rest in filter(None, wrong):
        inside.setdefault(step, []).append(tuple(rest))

    def keep(step: int | str, each: Any) -> bool:
        paths = inside.get(step, [])
        return not paths or not ({(), (KEY,)} & set(paths) or _without(each, paths) in ({}, []))

    match value:
        case dict():
            return {key: _without(each, inside.get(key, [])) for key, each in value.items() if keep(key, each)}
        case list():
            return [_without(each, inside.get(index, [])) for index, each in enumerate(value) if keep(index, each)]
        case _:
            # The file has a single value in place of a list or a mapping.
            return {} if inside else value


def _in_words(error: ErrorDetails) -> str:
    found = error["input"]
    match error["type"]:
        case "fault":
            return str(error["ctx"]["message"])
        case "missing":
            return MISSING
        case "list_type" | "tuple_type":
            return str(expect("a list", found, "write a dash before each item"))
        case "string_type":
            return str(expect("a text", found))
        case "none_required":
            return str(expect("no value", found, f"write {error['loc'][-1]} alone"))
        case "literal_error" | "enum":
            return str(expect_one_of(re.findall("'(.*?)'", error["ctx"]["expected"]), found))
        case "value_error":
            return error["msg"].removeprefix("Value error, ")
        case _:
            return str(expect("a value of another kind", found))
