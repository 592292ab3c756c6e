"""The registry describes every field that an event can declare."""

import re
from typing import get_args

import pytest

from service.lifecycle.fields import DATA_PROPERTIES, FIELDS, FieldName


def test_every_field_that_people_can_declare_is_registered() -> None:
    # Only payloads tell that a change is an outsider's.
    assert set(FIELDS) == set(get_args(FieldName)) - {"outsider"}


def test_no_two_fields_share_a_property_of_event_data() -> None:
    names = [data.name for data in DATA_PROPERTIES.values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("field", "value", "stored"),
    [
        ("experiment", " True ", "true"),
        ("experiment", "false", None),
        ("excluded", " Out of scope ", "Out of scope"),
        ("excluded", "False", None),
        ("title", " Cache ", "Cache"),
        ("title", " ", None),
        ("url", " HTTPS://wiki.example.com ", "HTTPS://wiki.example.com"),
        ("url", "ftp://wiki.example.com", None),
        ("team", " Search ", "search"),
        ("team", "_org", None),
        ("team", "", None),
        ("team", "x" * 100, "x" * 100),
        ("team", "x" * 101, None),
        ("team", "@jane", None),
        ("team", "jane@acme.example", None),
        ("team", "[~jane]", None),
        ("team", "[infra]", "[infra]"),
        ("url", "https://user:pw@wiki.example.com/@page?to=a@b", "https://wiki.example.com/@page?to=a@b"),
        ("shared", "HTTPS://user@wiki.example.com/45", "HTTPS://wiki.example.com/45"),
        (
            "title",
            "Try http://user:p@w@wiki.example.com and ssh://git@host/x",
            "Try http://wiki.example.com and ssh://host/x",
        ),
        ("risk", " Bold", "bold"),
        ("risk", "reckless", None),
        ("outcome", "Failed", "failed"),
        ("outcome", "undeclared", None),
        ("failure_category", "BASIC", "basic"),
        ("failure_category", "unclassified", None),
        ("shared", "true", "true"),
        ("shared", "", None),
    ],
)
def test_a_field_normalises_the_values_that_it_accepts_and_refuses_others(
    field: FieldName, value: str, stored: str | None
) -> None:
    assert FIELDS[field].normalise(value) == stored


@pytest.mark.parametrize(
    ("name", "accepted"),
    [
        ("search", True),
        (" [infra] a[b", True),
        ("@jane", False),
        ("jane@acme.example", False),
        ("[~jane]", False),
        ("a [[~jane", False),
    ],
)
def test_the_pattern_of_a_team_in_event_data_excludes_accounts(name: str, *, accepted: bool) -> None:
    assert bool(re.search(DATA_PROPERTIES["team"].pattern, name)) is accepted


@pytest.mark.parametrize(
    ("field", "expects"),
    [
        ("risk", "bold or safe"),
        ("outcome", "worked, failed, inconclusive or abandoned"),
        ("failure_category", "intelligent, basic or complex"),
    ],
)
def test_a_field_with_fixed_values_names_the_values(field: FieldName, expects: str) -> None:
    assert FIELDS[field].expects == expects
