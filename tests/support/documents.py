"""The documentation: its pages, and the examples in them that tests run."""

import re

from tests.support.paths import DOCS, README

PAGES = sorted([README, *DOCS.rglob("*.md")])


def read_page(name: str) -> str:
    """The text of a page in `docs/`."""
    return (DOCS / name).read_text()


def example(name: str) -> str:
    """The text of the only example with this name in the README and in `docs/`."""
    pattern = re.compile(rf"^<!-- example: {re.escape(name)} -->\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    [text] = [found for page in PAGES for found in pattern.findall(page.read_text())]
    assert isinstance(text, str)
    return text
