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


class Pages:
    """A list that the service returns page by page. Iterate over it to read the documents of each page.

    Args:
        name: the member of a page that has the documents.
        most: the largest number of documents to read.

    Attributes:
        count: the number of documents that were read.
        more: whether the list has more documents than were read.
    """

    def __init__(self, client: Client, path: str, name: str, filters: Mapping[str, Any], most: int) -> None:
        self._client = client
        self._path = path
        self._name = name
        self._filters = {
            key: value.isoformat() if isinstance(value, datetime) else value for key, value in filters.items()
        }
        self._most = most
        self.count = 0
        self.more = False

    async def __aiter__(self) -> AsyncIterator[Sequence[bytes]]:
        cursor, earlier = None, set[str | None]()
        while self.count < self._most:
            limit = min(self._most - self.count, _PAGE)
            answer = await self._client.get(self._path, **self._filters, cursor=cursor, limit=limit)
            documents, cursor = self._decode(answer)
            self.count += len(documents)
            self.more = cursor is not None
            yield documents
            if cursor is None:
                return
            refuse_repetition(cursor, earlier, self._path)

    def _decode(self, answer: bytes) -> tuple[Sequence[bytes], str | None]:
        """The documents of a page, and the cursor of the next page."""
        try:
            page = msgspec.json.decode(answer, type=dict[str, msgspec.Raw])
            documents = msgspec.json.decode(page[self._name], type=list[msgspec.Raw])
            return [*map(bytes, documents)], msgspec.json.decode(page["next"], type=str | None)
        except (msgspec.DecodeError, KeyError):
            raise CommandFailed(f"{self._path} is answered with something else than a page of {self._name}") from None


def refuse_repetition(cursor: str, earlier: set[str | None], path: str) -> None:
    """Remember the cursor of the next page.

    Args:
        earlier: the cursors of the pages so far.

    Raises:
        CommandFailed: the service named this page before, so that the list would never end.
    """
    if cursor in earlier:
        raise CommandFailed(f"{path} repeats a page, so the list would never end; check what answers at this address")
    earlier.add(cursor)


def say_if_cut(pages: Pages) -> None:
    """Say on standard error that the list has more documents than were printed."""
    if pages.more:
        click.echo(f"{pages.count} shown; --all lists all", err=True)


async def print_json(pages: Pages) -> None:
    """Print the documents of all pages as one JSON array."""
    count = 0
    async for page in pages:
        for document in page:
            click.echo("," if count else "[")
            # Not `textwrap.indent`: it would also indent after the other line separators, which JSON texts may contain.
            click.echo("  " + indented(document).replace("\n", "\n  "), nl=False)
            count += 1
    click.echo("\n]" if count else "[]")
