"""Options that several commands share."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

import click

from service.lifecycle.durations import parse_duration
from service.lifecycle.fields import FIELDS
from service.lifecycle.nearest import expected_one_of


class _Time(click.DateTime):
    """A time, or how long ago it was, such as `2d`. The help shows `TIME`, because the list of formats is too long."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        if (ago := _ago(value)) is not None:
            return datetime.now(UTC).replace(microsecond=0) - ago
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(
                "expected a time such as 2026-01-31 or 2026-01-31 14:00, or how long ago it was, such as 2d, "
                f"got {value!r}",
                param,
                ctx,
            )

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        del param, ctx
        return "TIME"


def _ago(written: str) -> timedelta | None:
    """How long ago a time was; None if the text is not a duration."""
    if written.strip().lower() == "yesterday":
        return timedelta(days=1)
    try:
        span = parse_duration(written)
    except ValueError:
        return None
    return span if isinstance(span, timedelta) else None


_CLOCKS = ("%H:%M", "%H:%M:%S", "%H:%M%z", "%H:%M:%S%z", "%H:%M:%S.%f%z")
TIME = _Time(["%Y-%m-%d", *(f"%Y-%m-%d{between}{clock}" for between in "T " for clock in _CLOCKS)])
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def in_utc(written: datetime | None) -> datetime | None:
    """A time from the command line, converted to UTC. A time without an offset is in UTC."""
    if written is None:
        return None
    return written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)


class Whole(click.IntRange):
    """A whole number. The help and the errors name the allowed numbers in words."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            of = "of " if self.max is None else ""
            self.fail(f"expected a whole number {of}{self._describe_range()}, got {value!r}", param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        del param, ctx
        return "NUMBER"

    def _describe_range(self) -> str:
        # Click calls this method for the help of an option.
        return f"{self.min} or more" if self.max is None else f"from {self.min} to {self.max}"


class DeliveryId(click.ParamType[UUID]):
    """The id of a delivery."""

    name = "id"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> UUID:
        try:
            return value if isinstance(value, UUID) else UUID(value)
        except ValueError:
            self.fail(
                f"expected the id of a delivery, as `loopgauge deliveries list` shows it, got {value!r}", param, ctx
            )


class OneOf(click.Choice[str]):
    """One of some words, in upper or lower case. A wrong word is refused with the nearest one.

    For other words that people use, `also` has the word to propose.
    """

    def __init__(self, words: Iterable[str], also: Mapping[str, str] = MappingProxyType({})) -> None:
        self._also = also
        super().__init__([str(word) for word in words], case_sensitive=False)

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        del ctx
        return expected_one_of(str(value), list(self.choices), self._also)


class Url(click.ParamType[str]):
    """The address of a page on the web."""

    name = "url"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if (address := FIELDS["url"].normalise(value)) is None or re.search(r"\s", address):
            self.fail(f"expected {FIELDS['url'].expects}", param, ctx)
        return address
