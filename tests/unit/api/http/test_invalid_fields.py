"""A request that is refused is answered in plain English."""

from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

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
        (Annotated[str, Field(min_length=1)], "", "expected text with a length of 1 or more"),
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


def test_a_message_of_our_own_loses_the_prefix_of_pydantic() -> None:
    assert describe_invalid({"type": "value_error", "msg": "Value error, expected a window"}) == "expected a window"
