"""A field of another type than usual fails no document that does not need the field."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from service.deliveries.decoding import Number, decode
from service.deliveries.delivery import UnreadableDelivery


class Named(msgspec.Struct):
    name: str


class Author(msgspec.Struct):
    title: str | None = None
    key: str | None = None


class Item(msgspec.Struct):
    number: Number
    id: str | None = None
    labels: list[Named] | None = None
    words: list[str] | None = None
    author: Author | None = None
    author_name: Named | None = None
    closed_at: datetime | None = None
    updated: str | None = None
    open: bool = False
    size: int | None = None


def item(**fields: Any) -> Item:
    return decode(json.dumps({"number": 7, **fields}).encode(), Item)


def names(*words: str) -> list[Named]:
    return [Named(word) for word in words]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"id": 10042}, {"id": "10042"}),
        ({"id": 10042.0}, {"id": "10042"}),
        ({"id": 1.5}, {"id": "1.5"}),
        ({"id": {"name": "Done", "id": 3}}, {"id": "Done"}),
        ({"number": "45"}, {"number": 45}),
        ({"number": 45.0}, {"number": 45}),
        ({"size": " 12 "}, {"size": 12}),
        (
            {"labels": ["bug", {"name": "experiment"}, "team:search"]},
            {"labels": names("bug", "experiment", "team:search")},
        ),
        ({"labels": "bug, experiment"}, {"labels": names("bug", "experiment")}),
        ({"labels": [{"name": 2026}, {"name": "a"}]}, {"labels": names("2026", "a")}),
        ({"words": [{"name": "bug"}, {"title": "a"}, 7, "b"]}, {"words": ["bug", "a", "7", "b"]}),
        ({"words": "bug,experiment"}, {"words": ["bug", "experiment"]}),
        ({"author": "ML"}, {"author": Author("ML", "ML")}),
        ({"author_name": "Spike"}, {"author_name": Named("Spike")}),
        ({"open": "true"}, {"open": True}),
        ({"open": "False"}, {"open": False}),
        ({"closed_at": 1772528400}, {"closed_at": datetime(2026, 3, 3, 9, tzinfo=UTC)}),
        ({"closed_at": 1772528400000}, {"closed_at": datetime(2026, 3, 3, 9, tzinfo=UTC)}),
        ({"updated": 1772528400000}, {"updated": "2026-03-03T09:00:00+00:00"}),
    ],
)
def test_a_field_of_another_type_is_converted_if_its_meaning_is_clear(
    fields: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert item(**fields) == Item(**{"number": 7, **expected})


@pytest.mark.parametrize(
    "name", ["id", "labels", "words", "author", "author_name", "closed_at", "updated", "open", "size"]
)
@pytest.mark.parametrize(
    "value", [[[]], {}, {"a": 1}, True, 7, -1, 1.5, 10**40, 1e300, "", " ", None, [None], [{}], [[7]]]
)
def test_any_other_value_is_left_out(name: str, value: Any) -> None:
    read = item(**{name: value})
    assert read.number == 7
    assert type(getattr(read, name)) in (type(None), str, list, bool, int, Author)


@pytest.mark.parametrize("value", [[], {}, True, 7, 1.5])
def test_no_value_of_another_type_becomes_a_malformed_time(value: Any) -> None:
    assert item(updated=value, closed_at=value) == Item(7)


def test_an_object_that_lacks_what_it_needs_is_left_out() -> None:
    assert item(author_name={}, labels=[{}, {"name": None}, {"name": "a"}, {"title": "b"}]) == Item(
        7, labels=names("a")
    )


@pytest.mark.parametrize("labels", [[7] * 100_000, [{}] * 100_000, ["a", {}] * 50_000])
def test_a_long_list_of_another_type_is_repaired_at_once(labels: list[Any]) -> None:
    assert set(map(str, item(labels=labels).labels or ())) <= {"Named(name='a')", "Named(name='7')"}


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"number": {}}, r"expected a whole number, got an object - at `\$\.number`"),
        ({"number": True, "id": 5}, r"expected a whole number, got true or false - at `\$\.number`"),
        ({"number": "#7", "labels": [[]]}, r"expected a whole number, got text - at `\$\.number`"),
        ({"number": -1, "id": 5}, r"`\$\.number`"),
        ({"closed_at": "yesterday", "id": 5}, r"`\$\.closed_at`"),
    ],
)
def test_the_error_names_the_needed_field_and_not_a_field_that_was_repaired(
    fields: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(UnreadableDelivery, match=f"^a field is missing or malformed: .*{complaint}"):
        item(**fields)


class Inner(msgspec.Struct):
    sha: str


class Middle(msgspec.Struct):
    head: Inner


class Outer(msgspec.Struct):
    change: Middle


def test_the_error_of_a_field_that_its_object_needs_names_this_field() -> None:
    with pytest.raises(UnreadableDelivery, match=r"expected text, got a list - at `\$\.change\.head\.sha`"):
        decode(b'{"change": {"head": {"sha": []}}}', Outer)
