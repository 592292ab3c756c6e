"""Lists that the API returns page by page.

A command prints each page as it arrives, because all pages together may not fit into memory.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
import msgspec

from service.commands.client import Client, indented
from service.commands.running import CommandFailed

_PAGE = 500  # the largest page of the API


async def read_pages(
    client: Client, path: str, name: str, filters: Mapping[str, Any], most: int
) -> AsyncIterator[Sequence[bytes]]:
    """Read a list page by page, and yield the documents of each page.

    Args:
        name: the member of a page that has the documents.
        most: the largest number of documents to read.
    """
    cursor = None
    written = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in filters.items()}
    while most:
        answer = await client.get(path, **written, cursor=cursor, limit=min(most, _PAGE))
        try:
            page = msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
            documents = msgspec.json.decode(page[name], type=list[msgspec.Raw])
            cursor = msgspec.json.decode(page["next"], type=str | None)
        except (msgspec.DecodeError, KeyError):
            raise CommandFailed(f"{path} is answered with something else than a page of {name}") from None
        yield [bytes(document) for document in documents]
        most = most - len(documents) if cursor else 0


async def print_json(pages: AsyncIterator[Sequence[bytes]]) -> None:
    """Print the documents of all pages as one JSON array."""
    count = 0
    async for page in pages:
        for document in page:
            click.echo("," if count else "[")
            # Not `textwrap.indent`: it would also indent after the other line separators, which JSON texts may contain.
            click.echo("  " + indented(document).replace("\n", "\n  "), nl=False)
            count += 1
    click.echo("\n]" if count else "[]")
