"""Names of teams that people cannot tell apart are one team."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.lifecycle.events import Declared, Proposed
from service.lifecycle.experiment import fold
from service.lifecycle.references import Ref
from service.lifecycle.teams import fold_team, normalise_team, team_pattern
from tests.support.builders import at

LOOK_ALIKES = [
    "search",
    "Search",
    " search ",
    "se\u200barch",
    "search\ufeff",
    "\u202dsearch",
    "s\u00adearch",
    "search\ufe0f",
    "sear\u034fch",
    "\uff53\uff45\uff41\uff52\uff43\uff48",
    "\uff33earch",
    "search\u3000",
    "search\u2060\u00a0",
    "se\x01arch",
    "\x1bsearch",
    "sea\x7frch\x9b",
    "search\u2028",
    "\u2029search\n",
    "sea\u2065rch",
    "sea\ufff0rch",
    "sea\U000e0fffrch",
    "search\u2800",
]


@pytest.mark.parametrize("written", LOOK_ALIKES, ids=ascii)
def test_names_that_look_alike_are_one_team(written: str) -> None:
    assert normalise_team(written) == "search"


@pytest.mark.parametrize("space", ["  ", "\u2003", "\u00a0 ", "\u3000", "\t", "\n", "\r\n", "\u200b \u200b "])
def test_all_white_space_is_one_space(space: str) -> None:
    assert normalise_team(f"machine{space}learning") == "machine learning"


@given(st.text(max_size=40))
def test_no_name_acts_on_a_terminal(written: str) -> None:
    assert fold_team(written).isprintable() or not any(
        unicodedata.category(letter) in {"Cc", "Cf", "Zl", "Zp"} for letter in fold_team(written)
    )


def test_a_combined_and_a_composed_letter_are_one_letter() -> None:
    assert normalise_team("caf\u00e9") == normalise_team("cafe\u0301") == normalise_team("CAFE\u0301") == "caf\u00e9"


@pytest.mark.parametrize(
    "written",
    [
        "\u200b",
        "\u3164",
        "\uff3fother",
        "\u200b_org",
        "\uff20jane",
        "\ufe6bjane",
        "\uff3b\uff5ejane",
        "[\u200b~jane",
        "\x01_org",
        "\x1b",
    ],
    ids=ascii,
)
def test_a_name_that_looks_reserved_empty_or_like_an_account_is_refused(written: str) -> None:
    assert normalise_team(written) is None
    assert re.search(team_pattern(r"\s"), written) is None


@given(st.text(max_size=40))
def test_the_folded_form_of_a_name_is_its_own_folded_form(written: str) -> None:
    assert fold_team(fold_team(written)) == fold_team(written)


@given(
    st.text("abc_@[~ \x01\x1f\x7f\x85\u2028\u2800\ufff0\u200b\uff20\uff3f\uff3b\uff5e\u3164\u0301\ufe0f", max_size=8)
)
def test_each_name_that_the_pattern_accepts_is_a_team(written: str) -> None:
    if re.search(team_pattern(r"\s"), written):
        assert normalise_team(written) is not None


def test_a_name_that_an_earlier_release_stored_as_written_is_folded_too() -> None:
    root = Ref("github:acme/app#45")
    stated = Declared(root, at(2), "team", "se\u200barch", "label", label="team:se\u200barch")
    assert fold(root, [Proposed(root, at(1)), stated], []).team == "search"
