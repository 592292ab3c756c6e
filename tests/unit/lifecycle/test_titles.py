"""Titles that differ only in case, spacing, punctuation or variant forms of characters are equal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.titles import title_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Answer from the cache", "answer  FROM the Cache"),
        ("Answer from the cache", "[Answer] from: the-cache!"),
        ("Straße", "STRASSE"),
        ("ﬁrst caché", "First cache\u0301"),
        ("x² + 1", "X2 1"),
        ("कि", " कि "),
    ],
)
def test_titles_that_differ_only_in_form_are_equal(one: str, other: str) -> None:
    assert title_key(one) == title_key(other) is not None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cache", "caches"),
        ("cache 1", "cache 2"),
        ("no cache", "nocache"),
        ("C++ cache", "C# cache"),
        ("C cache", "C# cache"),
        ("की", "क"),
    ],
)
def test_titles_that_differ_in_a_letter_or_a_word_are_not_equal(one: str, other: str) -> None:
    assert title_key(one) != title_key(other)


@pytest.mark.parametrize("title", ["", "  ", "…?!", "🚀", "+ #"])
def test_a_title_without_letters_and_digits_equals_no_other_title(title: str) -> None:
    assert title_key(title) is None


@given(st.text())
def test_titles_that_differ_only_in_case_are_equal(title: str) -> None:
    assert title_key(title.casefold()) == title_key(title)
