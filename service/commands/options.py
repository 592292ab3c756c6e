"""Options that several commands share."""

from collections.abc import Iterable
from datetime import UTC, datetime

import click

from service.lifecycle.nearest import expected_one_of


class _Time(click.DateTime):
    """A time. The help names the type in one word, because the formats would fill several lines."""

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:
        del param, ctx
        return "TIME"


TIME = _Time(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def in_utc(written: datetime | None) -> datetime | None:
    """A time from the command line, converted to UTC. A time without an offset is in UTC."""
    if written is None:
        return None
    return written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)


class OneOf(click.Choice[str]):
    """One of some words, in upper or lower case. A wrong word is refused with the nearest one."""

    def __init__(self, words: Iterable[str]) -> None:
        super().__init__([str(word) for word in words], case_sensitive=False)

    def get_invalid_choice_message(self, value: object, ctx: click.Context | None) -> str:
        del ctx
        return expected_one_of(str(value), list(self.choices))
