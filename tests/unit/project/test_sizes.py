"""The first pages that people read are short, and the picture in the README has a text that says what it shows."""

import re

import pytest

from tests.support.paths import README, REPOSITORY

_KILOBYTE = 1000
_LIMITS = {"README.md": 9 * _KILOBYTE, "CONTRIBUTING.md": 4 * _KILOBYTE}
_PICTURE = 250 * _KILOBYTE


@pytest.mark.parametrize("name", _LIMITS)
def test_a_first_page_is_short(name: str) -> None:
    assert (REPOSITORY / name).stat().st_size <= _LIMITS[name]


def test_pictures_are_small() -> None:
    pictures = list((REPOSITORY / "docs" / "pictures").iterdir())
    assert pictures
    assert [picture.name for picture in pictures if picture.stat().st_size > _PICTURE] == []


def test_the_picture_of_the_readme_exists_and_its_text_says_what_it_shows() -> None:
    [(text, path)] = re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", README.read_text())
    assert (README.parent / path).is_file()
    assert len(text.split()) > 10
