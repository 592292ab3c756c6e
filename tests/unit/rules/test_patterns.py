"""Patterns match values, and templates insert values into texts."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.rules.patterns import Pattern, Template, compile_path, search
from tests.support.builders import raw_payload


def matches(pattern: str, value: str) -> bool:
    return Pattern.of(pattern).match(value) is not None


def filled(template: str, payload: Any = None, **known: str) -> str | None:
    return Template.of(template).fill(known, raw_payload(payload))


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("experiment", "experiment"),
        ("experiment", "EXPERIMENT"),
        ("EXPERIMENT", "experiment"),
        ("ÜBER", "über"),
        ("exp/*", "exp/cache"),
        ("exp/*", "exp/"),
        ("exp/*", "Exp/a/b"),
        ("*", ""),
        ("*", "a\nb"),
        ("*cache*", "the cache is cold"),
        ("a*b*c", "a--b--c"),
        ("a.c", "a.c"),
        ("[ab]", "[AB]"),
        ("(a|b)", "(a|b)"),
        ("a+", "a+"),
        ("^a$", "^a$"),
        ("\\d", "\\d"),
        ("$", "$"),
        ("", ""),
    ],
)
def test_a_pattern_matches_a_whole_value_in_any_case(pattern: str, value: str) -> None:
    assert matches(pattern, value)


@pytest.mark.parametrize(
    ("pattern", "value"),
    [
        ("experiment", "experiments"),
        ("experiment", "my experiment"),
        ("experiment", "experiment\n"),
        ("exp/*", "feature/exp/cache"),
        ("exp/*", "exp"),
        ("a.c", "abc"),
        ("[ab]", "a"),
        ("\\d", "1"),
        ("a?", ""),
        ("", " "),
        ("team:{team}", "team:"),
        ("{team}", ""),
    ],
)
def test_a_pattern_does_not_match_a_different_value(pattern: str, value: str) -> None:
    assert not matches(pattern, value)


@pytest.mark.parametrize(
    ("pattern", "value", "captured"),
    [
        ("experiment", "experiment", {}),
        ("exp/*", "exp/cache", {}),
        ("team:{team}", "Team:Search", {"team": "Search"}),
        ("{team}", "ML: Platform", {"team": "ML: Platform"}),
        ("acme/{team}-*", "acme/search-index", {"team": "search"}),
        ("{owner}/{name}", "acme/app", {"owner": "acme", "name": "app"}),
    ],
)
def test_a_capture_keeps_the_case_of_the_text(pattern: str, value: str, captured: dict[str, str]) -> None:
    assert Pattern.of(pattern).match(value) == captured


def test_the_names_of_a_pattern_are_the_names_of_its_captures() -> None:
    assert Pattern.of("{owner}/*-{name}").names == {"owner", "name"}
    assert Pattern.of("exp/*").names == frozenset()


@pytest.mark.parametrize(
    ("pattern", "complaint"),
    [
        ("{}", "expected a name between braces"),
        ("{", "expected a name between braces"),
        ("a}", "expected a name between braces"),
        ("team:{team-name}", "expected a name between braces"),
        ("team:{1st}", "expected a name between braces, such as {team}, got {1st}"),
        ("{a}{a}", "expected a pattern, got '{a}{a}'"),
    ],
)
def test_a_pattern_with_a_malformed_capture_is_refused(pattern: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=re.escape(complaint)):
        Pattern.of(pattern)


@given(st.text())
def test_any_text_is_read_as_a_pattern_or_refused_with_an_error_that_shows_the_expected_form(text: str) -> None:
    try:
        said = Pattern.of(text).text
    except ValueError as error:
        said = str(error)
    assert said == text or said.startswith("expected a ")


@given(st.text().filter(lambda text: not set(text) & set("{}*")))
def test_a_pattern_without_wildcards_matches_only_its_own_text(text: str) -> None:
    assert matches(text, text)
    assert not matches(text, text + "x")
    assert matches(f"*{text}*", f"before {text} after")


_PARTS = st.lists(st.sampled_from(["*", "{p}", "{q}", "a", "b"]), min_size=1, max_size=6, unique=True)
_BACKTRACKING = {"*": ".*?", "{p}": "(?P<p>.+?)", "{q}": "(?P<q>.+?)"}


@given(_PARTS, st.text("ab", max_size=8))
def test_a_pattern_matches_and_captures_as_one_that_tries_every_length_of_each_wildcard(
    parts: list[str], value: str
) -> None:
    found = re.fullmatch("".join(_BACKTRACKING.get(part, part) for part in parts), value)
    assert Pattern.of("".join(parts)).match(value) == (found.groupdict() if found else None)


@pytest.mark.parametrize("pattern", ["*****x", "{a}{b}{c}{d}{e}x", "*a*a*a*a*x"])
def test_a_long_value_is_matched_in_linear_time(pattern: str) -> None:
    # A pattern that tries every length of each wildcard would take hours.
    assert not matches(pattern, "a" * 10_000)


PAYLOAD = {
    "text": "worked",
    "empty": "",
    "true": True,
    "false": False,
    "null": None,
    "int": 12,
    "zero": 0,
    "float": 1.5,
    "list": ["a", "b"],
    "object": {"value": "failed"},
}


@pytest.mark.parametrize(
    ("template", "value"),
    [
        ("search", "search"),
        ("", ""),
        ("{team}", "Search"),
        ("{team}-{area}", "Search-index"),
        ("${text}", "worked"),
        ("${empty}", ""),
        ("${true}", "true"),
        ("${false}", "false"),
        ("${int}", "12"),
        ("${zero}", "0"),
        ("${float}", "1.5"),
        ("${object.value}", "failed"),
        ("${list[0]}", "a"),
        ("${list | length(@)}", "2"),
        ("${null || text}", "worked"),
        ("{team}: ${text}", "Search: worked"),
        ("$5", "$5"),
    ],
)
def test_a_template_inserts_named_values_and_values_from_the_payload(template: str, value: str) -> None:
    assert filled(template, PAYLOAD, team="Search", area="index") == value


@pytest.mark.parametrize(
    "template",
    ["{unknown}", "{team}{unknown}", "${unknown}", "${null}", "${list}", "${object}", "${text.a}", "${length(int)}"],
)
def test_a_template_has_no_value_if_a_part_is_missing_or_is_a_list_or_an_object(template: str) -> None:
    assert filled(template, PAYLOAD, team="Search") is None


def test_an_inserted_text_is_not_expanded() -> None:
    assert filled("{team}", PAYLOAD, team="${text}{team}") == "${text}{team}"


def test_a_template_without_a_path_does_not_read_the_payload() -> None:
    assert Template.of("{team}").fill({"team": "search"}, raw_payload(b"no JSON")) == "search"


def test_the_names_of_a_template_are_the_names_of_the_values_that_it_inserts() -> None:
    assert Template.of("{team} ${issue.key} {area}").names == {"team", "area"}


@pytest.mark.parametrize("template", ["${}", "${ }", "${issue..key}", "${[}", "${a b}", "${no(a)}"])
def test_a_template_with_a_malformed_path_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="expected a JMESPath expression"):
        Template.of(template)


@pytest.mark.parametrize("path", ["", " ", "a.", "a..b", "[", "a[?b", "f(", "a b", "'open", '"open', "#"])
def test_a_malformed_path_is_refused_with_an_error_of_one_line(path: str) -> None:
    with pytest.raises(ValueError, match="expected a JMESPath expression") as refused:
        compile_path(path)
    assert len(str(refused.value).splitlines()) == 1


def test_a_path_that_is_nested_too_deeply_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a JMESPath expression"):
        compile_path("(" * 100_000)


@pytest.mark.parametrize("path", ["length(int)", "sum(list)", "abs(text)", "sort_by(list, &a)", "join('', int)"])
def test_a_path_with_a_function_that_does_not_apply_to_the_value_finds_nothing(path: str) -> None:
    assert search(compile_path(path), PAYLOAD) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=3),
    max_leaves=8,
)
PATHS = st.sampled_from(
    ["a", "a.b", "a[0]", "a[].b", "a == b", "a < b", "length(a)", "sum(a)", "max(a)", "sort(@)", "ceil(a)", "keys(a)"]
)


@given(JSON, PATHS)
def test_a_template_has_a_text_or_no_value_for_any_payload(payload: Any, path: str) -> None:
    value = filled(f"${{{path}}}", payload)
    assert value is None or isinstance(value, str)


@pytest.mark.parametrize("template", ["${issue", "{a b}", "{", "a}", "{team-name}"])
def test_a_template_with_a_malformed_name_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"expected \{name\} or"):
        Template.of(template)


def test_a_path_that_raises_an_error_on_a_payload_finds_nothing() -> None:
    assert search(compile_path("a[::0]"), {"a": [1, 2]}) is None
