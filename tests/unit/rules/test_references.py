"""Keys of tickets are found in branches, titles and messages."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.references import Ref
from service.providers import REFERENCES
from service.providers.jira.references import REFERENCES as JIRA
from service.rules.references import KeyFinder

GRAMMARS = {"jira": JIRA}
ANY = KeyFinder.of([], GRAMMARS)
NAMED = KeyFinder.of(["ML", "ops"], GRAMMARS)


@pytest.mark.parametrize(
    "text",
    [
        "ML-12",
        "ML-12: cache answers",
        "ML-12 cache answers",
        "[ML-12] cache answers",
        "(ML-12)",
        "cache answers (ML-12).",
        "exp/ML-12",
        "exp/ML-12-cache",
        "exp/ML-12_cache",
        "feature-ML-12",
        "ML-12/cache",
        "see https://acme.atlassian.net/browse/ML-12?focusedId=1",
        "line\nML-12\nline",
        "ML-12,ML-12",
        "#ML-12",
    ],
)
def test_a_key_that_is_a_word_of_its_own_is_found(text: str) -> None:
    assert ANY.find(text) == {Ref("jira:ML-12")}


def test_all_keys_of_a_text_are_found() -> None:
    assert ANY.find("ML-12, OPS-3 and A1_B-7") == {Ref("jira:ML-12"), Ref("jira:OPS-3"), Ref("jira:A1_B-7")}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ML",
        "ML-",
        "ML12",
        "ML 12",
        "ML_12",
        "ML--12",
        "A-1",
        "1A-1",
        "_ML-12",
        "aML-12",
        "ml-12",
        "Ml-12",
        "utf8-1x",
        "UTF8-1x",
        "ML-0",
        "ML-012",
        "ML-12x",
        "ML-1234567890",
        "ML-٤",
        "ML-one",
        "X" * 31 + "-1",
    ],
)
def test_a_text_that_only_resembles_a_key_is_not_found(text: str) -> None:
    assert ANY.find(text) == frozenset()


@pytest.mark.parametrize("text", ["ML-12", "ml-12", "Ml-12", "exp/ml-12-cache", "ml-12_cache"])
def test_a_key_of_a_listed_project_is_found_in_any_case(text: str) -> None:
    assert NAMED.find(text) == {Ref("jira:ML-12")}


def test_the_names_of_the_listed_projects_may_be_in_any_case() -> None:
    assert NAMED.find("OPS-3 and ops-4") == {Ref("jira:OPS-3"), Ref("jira:OPS-4")}


@pytest.mark.parametrize(
    "text", ["UTF-8", "SHA-256", "html-12", "ml-0", "ml-012", "ml-12x", "xml-12", "mlops-12", "-12"]
)
def test_a_malformed_key_or_a_key_of_a_project_that_is_not_listed_is_not_found(text: str) -> None:
    assert NAMED.find(text) == frozenset()


def test_the_name_of_a_listed_project_is_not_read_as_a_pattern() -> None:
    assert KeyFinder.of(["M.", "(", "*"], GRAMMARS).find("ML-12 M.-1") == {Ref("jira:M.-1")}


@pytest.mark.parametrize(
    "text",
    [
        "lc-12",
        "lc-12: cache answers",
        "Fix lc-12",
        "[lc-12] cache answers",
        "exp/lc-12-cache",
        "exp/lc-12_cache",
        "feature-lc-12",
        "someone/lc-12/cache",
        "Lc-12",
        "lC-12 LC-13",
        "LC-12 and lc-12",
        "utf-8-lc-12",
    ],
)
def test_a_key_in_small_letters_may_name_a_ticket(text: str) -> None:
    assert ANY.find_loose(text) == {Ref("jira:lc-12")}
    assert ANY.is_loose(Ref("jira:lc-12"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "LC-12", "v-2", "x-1", "lc-0", "lc-012", "lc-12x", "lc12", "lc_12", "_lc-12", "lc-1234567890", "lc-one"),
        *("utf-8", "Utf-8", "sha-256", "covid-19", "gpt-4", "iso-8601", "rfc-9110", "aes-256", "cve-2024", "pep-8"),
    ],
)
def test_well_known_words_and_malformed_keys_name_no_ticket_in_small_letters(text: str) -> None:
    assert ANY.find_loose(text) == frozenset()


def test_keys_in_small_letters_name_no_ticket_of_other_projects_than_the_rules_file_lists() -> None:
    assert NAMED.find_loose("lc-12 ml-12") == frozenset()
    assert NAMED.find("lc-12 ml-12") == {Ref("jira:ML-12")}


@pytest.mark.parametrize(
    "reference", ["jira:LC-12", "github:acme/app#45", "key:lc-12", "run:lc-12", "branch:acme/app@lc-12"]
)
def test_a_reference_in_its_canonical_form_is_not_loose(reference: str) -> None:
    assert not ANY.is_loose(Ref(reference))


TEXTS = st.text() | st.text(alphabet="ML-012 /_xé٤\n", max_size=40)


@given(TEXTS)
def test_the_key_of_every_found_reference_is_in_the_text(text: str) -> None:
    for found in ANY.find(text) | NAMED.find(text):
        assert REFERENCES.parse(found) == found
        assert found.removeprefix("jira:") in text.upper()


@given(TEXTS, st.integers(1, 999_999_999))
def test_a_key_between_spaces_is_found_in_every_text(text: str, number: int) -> None:
    assert Ref(f"jira:ML-{number}") in NAMED.find(f"{text} ml-{number} {text}")
