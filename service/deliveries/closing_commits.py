"""Commits on the default branch whose messages close items. Pure."""

from collections.abc import Iterator
from datetime import datetime

from service.deliveries.decoding import is_commit
from service.deliveries.observation import Linked
from service.lifecycle.references import Ref, commit

CLOSING_WORDS = "closing words"
"""The channel of these links."""


def closing_links(sha: str, head: str | None, closed: frozenset[Ref], at: datetime) -> Iterator[Linked]:
    """Yield the links from a commit, and from the head of its push, to the items that the commit's message closes.

    The head is evidence too: CI runs on the head of a push, and its result is the first result of every commit below.
    Other branches say nothing yet, because a forge closes items by commits on the default branch alone.
    """
    if not closed or not is_commit(sha):
        return
    stated_by = commit(sha)
    heads = [commit(head)] if head is not None and is_commit(head) else []
    for evidence in dict.fromkeys([stated_by, *heads]):
        yield Linked(evidence, CLOSING_WORDS, stated_by, closed, at)
