"""The glossary defines exactly the values, populations and acts that the code has."""

import re
from enum import StrEnum
from functools import cached_property

import pytest

from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk, State
from service.metrics.view import Cohorts, View
from tests.support.documents import read_page

_PAGE = read_page("concepts.md")


def _first_column(heading: str) -> list[str]:
    """The first column of the table with this heading, without its code marks."""
    [table] = re.findall(rf"^\| {heading} \|.*\n\|---.*\n((?:\|.*\n)+)", _PAGE, re.MULTILINE)
    return [row.split("|")[1].strip().strip("`") for row in table.splitlines()]


@pytest.mark.parametrize(
    ("heading", "words"),
    [("state", State), ("outcome", Outcome), ("failure category", FailureCategory), ("risk", Risk)],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_the_page_defines_every_word_of_a_vocabulary_and_no_other(heading: str, words: type[StrEnum]) -> None:
    assert _first_column(heading) == [word.value for word in words]


def test_the_page_defines_every_population_and_no_other() -> None:
    populations = [
        name
        for name, member in vars(View).items()
        if isinstance(member, cached_property) and member.func.__annotations__["return"] == Cohorts
    ]
    assert len(populations) > 5
    assert sorted(_first_column("population")) == sorted(populations)
