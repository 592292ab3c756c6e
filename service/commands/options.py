"""Options that several commands share."""

from datetime import UTC, datetime

import click

TIME = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def in_utc(written: datetime | None) -> datetime | None:
    """A time from the command line, converted to UTC. A time without an offset is in UTC."""
    if written is None:
        return None
    return written.replace(tzinfo=UTC) if written.tzinfo is None else written.astimezone(UTC)
