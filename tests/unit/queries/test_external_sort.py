"""`SpillBuffer` sorts texts by their `place`, and writes texts to temporary files when its memory is full."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.queries.external_sort import SpillBuffer

ADDED = [((1, 4), b"d1 "), ((0, 2), b"b1 "), ((1, 3), b"c1 "), ((0, 2), b"b2 "), ((1, 4), b"d2 "), ((0, 1), b"a2 ")]


@pytest.mark.parametrize("room", [1, 7, 1000])
def test_texts_with_the_same_place_are_read_together_in_the_order_of_their_addition(room: int) -> None:
    with SpillBuffer(room) as gathering:
        for place, text in ADDED:
            gathering.add(place, text)
        assert b"".join(text for _, text in gathering.read()) == b"a2 b1 b2 c1 d1 d2 "


@given(st.lists(st.tuples(st.tuples(st.integers(0, 2), st.integers(0, 3)), st.binary(max_size=5))), st.integers(1, 20))
def test_all_added_texts_are_read_in_the_order_of_their_places(
    added: list[tuple[tuple[int, int], bytes]], room: int
) -> None:
    with SpillBuffer(room) as gathering:
        for place, text in added:
            gathering.add(place, text)
        read = list(gathering.read())
    assert [place for place, _ in read] == sorted(place for place, _ in read)
    # The sort is stable. Texts with the same place keep the order of their addition.
    whole = sorted(added, key=lambda part: part[0])
    assert b"".join(text for _, text in read) == b"".join(text for _, text in whole)


def test_an_error_is_raised_if_temporary_files_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    with SpillBuffer(1) as gathering, pytest.raises(OSError, match="missing"):
        gathering.add((0, 0), b"more than fits")
