"""A request that is refused is answered in plain English."""

from typing import Annotated, Any, Literal, get_args
from uuid import UUID

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core.core_schema import ErrorType

from service.api.http.invalid_fields import describe_invalid
from service.api.http.timestamps import Timestamp


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = ""


@pytest.mark.parametrize(
    ("accepted", "value", "message"),
    [
        (Literal["open", "concluded"], "opne", "expected one of open, concluded; did you mean open?"),
        (AwareDatetime, "yesterday", "expected a time with its offset, such as 2026-03-01T00:00:00Z"),
        (AwareDatetime, "2026-03-01T00:00:00", "expected a time with its offset, such as 2026-03-01T00:00:00Z"),
        (Annotated[int, Field(ge=1)], 0, "expected 1 or more"),
        (Annotated[int, Field(le=500)], 501, "expected 500 or less"),
        (Timestamp, "1960-01-01T00:00:00Z", "expected a time from 1970 on and before 3000"),
        (int, "many", "expected a whole number"),
        (bool, "perhaps", "expected true or false"),
        (UUID, "45", "expected a UUID, such as 0f6ad4c5-6f0c-5d3f-9a5e-0f8f0a3f4a11"),
        (Annotated[str, Field(min_length=1)], "", "expected text, but it is empty"),
        (Annotated[str, Field(pattern="^a$")], "", "expected text, but it is empty"),
        (Annotated[str, Field(min_length=3)], "ab", "expected text with a length of 3 or more"),
        (Annotated[list[int], Field(min_length=1)], [], "expected a list of 1 or more"),
        (Annotated[list[int], Field(max_length=1)], [1, 2], "expected a list of 1 or less"),
        (list[int], "1", "expected a list"),
        (
            Annotated[str, Field(pattern="^a$")],
            "b",
            "expected text in the form that the documentation of this field shows",
        ),
        (_Body, {"nam": ""}, "is not a property of this request"),
        (_Body, [], "expected a JSON object"),
    ],
)
def test_a_refused_value_is_described_in_plain_english(accepted: Any, value: object, message: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(accepted).validate_python(value)
    [invalid] = refused.value.errors()
    assert describe_invalid(invalid) == message


@pytest.mark.parametrize("kind", get_args(ErrorType))
def test_no_kind_of_error_is_described_in_the_words_of_pydantic(kind: str) -> None:
    error = {
        "type": kind,
        "msg": "Input should be pydantic",
        "input": "x",
        "ctx": {"expected": "'a' or 'b'", "ge": 1, "le": 2},
    }
    message = describe_invalid(error)
    assert "pydantic" not in message or kind == "value_error"
    assert message.startswith(("expected ", "is not ")) or kind == "value_error"


def test_a_message_of_our_own_loses_the_prefix_of_pydantic() -> None:
    assert describe_invalid({"type": "value_error", "msg": "Value error, expected a window"}) == "expected a window"
