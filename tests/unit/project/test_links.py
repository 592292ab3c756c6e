"""Every link in a Markdown file of the project leads to an existing file and heading."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY
from tests.support.prose import list_files

_FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MARKDOWN = [name for name in list_files([]) if name.endswith(".md")]


def _links(text: str) -> Iterator[str]:
    """Yield the target of each link that does not leave the repository."""
    for target in _LINK.findall(_FENCED.sub("", text)):
        if "://" not in target and not target.startswith("mailto:"):
            yield target


def _anchors(text: str) -> set[str]:
    """The anchors that GitHub makes of the headings."""
    headings = _HEADING.findall(_FENCED.sub("", text))
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _dead_links(file: Path) -> list[str]:
    dead = []
    for link in _links(file.read_text()):
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        if not target.exists() or (anchor and anchor not in _anchors(target.read_text())):
            dead.append(link)
    return dead


@pytest.mark.parametrize("name", MARKDOWN)
def test_every_link_leads_to_an_existing_file_and_heading(name: str) -> None:
    assert _dead_links(REPOSITORY / name) == []


def test_a_link_to_a_missing_file_or_heading_is_dead(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# A heading, with `code`\n")
    page = tmp_path / "page.md"
    page.write_text("# Top\n[1](#top) [2](other.md#a-heading-with-code) [3](gone.md) [4](other.md#gone) [5](#gone)\n")
    assert _dead_links(page) == ["gone.md", "other.md#gone", "#gone"]


def test_the_index_of_decisions_lists_every_decision_by_its_title() -> None:
    directory = REPOSITORY / "docs" / "adr"
    titles = {path.name: path.read_text().partition("\n")[0].removeprefix("# ") for path in directory.glob("0*.md")}
    index = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", (directory / "README.md").read_text(), re.MULTILINE)
    assert {file: f"{number}. {title}" for number, title, file in index} == titles
