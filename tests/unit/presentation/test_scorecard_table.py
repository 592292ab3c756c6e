"""The terminal shows a scorecard in words and numbers with sample sizes, and fits its lines to the width."""

import re
from datetime import timedelta

import click
import pytest

from service.metrics.terms import Terms
from service.metrics.view import ORGANISATION, View
from service.presentation.scorecard_table import table
from service.queries.history import view_as_of
from service.scorecard.compiling import compile_scorecard
from service.scorecard.example import example
from service.scorecard.figure import Scorecard
from service.scorecard.rows import Rows
from tests.support.builders import terms
from tests.support.portfolios import NOW, Portfolio, portfolios


def card(portfolio: Portfolio, given: Terms, team: str = ORGANISATION) -> Scorecard:
    view = View.of(portfolio.experiments, given, NOW)
    return compile_scorecard(team, Rows(view), Rows(view_as_of(view, NOW - given.windows[0].length)))


def line(shown: str, label: str) -> str:
    (row,) = [text for text in click.unstyle(shown).splitlines() if text.strip().startswith(label)]
    return re.sub(" +", " ", row).strip()


def test_a_row_shows_a_value_in_words_and_numbers_with_its_sample_size() -> None:
    shown = table(example(), 80)
    assert line(shown, "median") == "median about 5 days (5.0 d) n 15"
    assert line(shown, "the default threshold") == "the default threshold about two weeks (14.0 d)"
    assert line(shown, "biggest group") == "biggest group intelligent n 8"
    assert line(shown, "intelligent") == "intelligent 4 (27 % of answers) n 15"


def test_each_question_of_the_scorecard_has_a_heading() -> None:
    for heading in (
        "How long from the idea",
        "When did someone last share",
        "Edmondson's groups of failures",
        "Bold or safe?",
    ):
        assert heading in table(example(), 80)


def test_a_row_without_a_value_shows_why_the_value_is_missing() -> None:
    shown = table(card(Portfolio((), terms("90d")), terms("90d")), 80)
    assert line(shown, "median") == "median none answered"
    assert "No experiment yet. " in shown


def test_a_row_shows_the_previous_value_and_the_direction_of_the_change() -> None:
    shown = example().model_dump()
    shown["loops"]["open"] |= {"value": 4, "previous": {"value": 3, "n": 3}}
    shown["loops"]["repeated"] |= {"value": 2, "previous": {"value": 3, "n": 3}}
    shown["idea_to_answer"]["median"] |= {"value": 86400.0, "previous": {"value": 86401.0, "n": 3}}
    printed = table(Scorecard.model_validate(shown), 80)
    assert line(printed, "open").endswith("↑ was 3")
    assert line(printed, "repeated").endswith("↓ was 3")
    assert line(printed, "median").endswith("as before")


def test_the_scorecard_of_the_organisation_lists_the_teams_and_the_scorecard_of_a_team_does_not() -> None:
    (portfolio,) = portfolios(seed=3, many=1)
    given = terms("90d")
    organisation = card(portfolio, given)
    assert f"--team with one of {', '.join(organisation.teams)}" in " ".join(
        click.unstyle(table(organisation, 80)).split()
    )
    assert "--team" not in table(card(portfolio, given, organisation.teams[0]), 80)


@pytest.mark.parametrize("width", [40, 80, 93, 300])
def test_no_line_is_wider_than_the_terminal_if_the_terminal_has_80_columns_or_more(width: int) -> None:
    for portfolio in (Portfolio((), terms("90d")), *portfolios(seed=5, many=40)):
        given = terms("90d", min_sample=portfolio.terms.min_sample, forgotten_after=timedelta(days=3))
        for shown in (table(card(portfolio, given), width), table(example(), width)):
            for text in click.unstyle(shown).splitlines():
                assert len(text) <= max(80, min(width, 100)), text


def test_a_median_above_the_threshold_has_another_colour() -> None:
    shown = example().model_dump()
    shown["idea_to_answer"]["median"]["value"] = 15 * 86400.0
    over = table(Scorecard.model_validate(shown), 80)
    assert "\x1b[32mabout 5 days" in table(example(), 80)
    assert "\x1b[33mabout 5 days" in over
