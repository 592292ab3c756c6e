import pytest

from service.lifecycle.nearest import did_you_mean, expected_one_of, suggest
from service.lifecycle.taxonomy import OUTCOME_WORDS

CATEGORIES = ("intelligent", "basic", "complex")
OUTCOMES = ("worked", "failed", "inconclusive", "abandoned")


@pytest.mark.parametrize(
    ("word", "choices", "nearest"),
    [
        ("inteligent", CATEGORIES, "intelligent"),
        ("Inteligent", CATEGORIES, "intelligent"),
        (" BASICS ", CATEGORIES, "basic"),
        ("compelx", CATEGORIES, "complex"),
        ("fail", OUTCOMES, "failed"),
        ("abandonned", OUTCOMES, "abandoned"),
        ("blod", ("bold", "safe"), "bold"),
        ("failure-category", ("failure_category", "team"), "failure_category"),
        ("github_secret", ("GITHUB_SECRET", "PORT"), "GITHUB_SECRET"),
    ],
)
def test_a_misspelt_word_finds_its_neighbour(word: str, choices: tuple[str, ...], nearest: str) -> None:
    assert suggest(word, choices) == nearest


@pytest.mark.parametrize("word", ["", "  ", "x", "banana", "42", "intelligent" * 1000])
def test_a_word_without_a_neighbour_finds_nothing(word: str) -> None:
    assert suggest(word, CATEGORIES) == ""


def test_nothing_is_near_without_choices() -> None:
    assert suggest("basic", ()) == ""


def test_a_beginning_finds_the_one_choice_that_it_begins() -> None:
    assert suggest("inc", OUTCOMES) == "inconclusive"


def test_a_beginning_of_two_choices_finds_neither() -> None:
    assert suggest("con", ("concluded", "connected", "worked")) == ""


def test_the_question_names_the_nearest_choice() -> None:
    assert did_you_mean("inteligent", CATEGORIES) == "did you mean intelligent?"


def test_a_word_without_a_neighbour_gets_no_question() -> None:
    assert did_you_mean("banana", CATEGORIES) == ""


def test_the_message_lists_the_choices_and_asks() -> None:
    assert (
        expected_one_of("inteligent", CATEGORIES)
        == "expected one of intelligent, basic, complex; did you mean intelligent?"
    )


def test_a_word_without_a_neighbour_gets_only_the_list() -> None:
    assert expected_one_of("banana", CATEGORIES) == "expected one of intelligent, basic, complex"


def test_a_single_choice_is_not_called_one_of() -> None:
    assert expected_one_of("default", ("defaults",)) == "expected defaults; did you mean defaults?"


def test_another_word_for_a_choice_proposes_the_choice() -> None:
    assert expected_one_of("Success", OUTCOMES, OUTCOME_WORDS).endswith("; did you mean worked?")
    assert expected_one_of("cancelled", OUTCOMES, OUTCOME_WORDS).endswith("; did you mean abandoned?")
    assert not set(OUTCOME_WORDS) & set(OUTCOMES)
