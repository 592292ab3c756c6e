"""The scorecard in the terminal: words before numbers, the sample beside each, and nothing beyond the width."""

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
    (found,) = [one for one in click.unstyle(shown).splitlines() if one.strip().startswith(label)]
    return re.sub(" +", " ", found).strip()


def test_a_figure_stands_in_words_and_numbers_with_its_sample() -> None:
    shown = table(example(), 80)
    assert line(shown, "half of the answers within") == "half of the answers within about 5 days (5.0 d) n 15"
    assert line(shown, "the default threshold") == "the default threshold about two weeks (14.0 d)"
    assert line(shown, "the biggest") == "the biggest intelligent n 8"
    assert line(shown, "intelligent") == "intelligent 4 (27 % of answers) n 15"


def test_each_question_has_its_heading() -> None:
    for asked in (
        "How long from the idea",
        "When did someone last share",
        "Which of Edmondson's groups",
        "Bold or safe?",
    ):
        assert asked in table(example(), 80)


def test_a_figure_that_is_withheld_says_why_in_its_place() -> None:
    shown = table(card(Portfolio((), terms("90d")), terms("90d")), 80)
    assert line(shown, "half of the answers within") == "half of the answers within none answered"
    assert "No experiment is known yet: " in shown


def test_what_a_figure_was_stands_beside_it_with_the_way_that_it_went() -> None:
    shown = example().model_dump()
    shown["loops"]["open"] |= {"value": 4, "previous": {"value": 3, "n": 3}}
    shown["loops"]["repeated"] |= {"value": 2, "previous": {"value": 3, "n": 3}}
    shown["idea_to_answer"]["median"] |= {"value": 86400.0, "previous": {"value": 86401.0, "n": 3}}
    told = table(Scorecard.model_validate(shown), 80)
    assert line(told, "open").endswith("↑ was 3")
    assert line(told, "started again").endswith("↓ was 3")
    assert line(told, "half of the answers within").endswith("as before")


def test_the_organisations_names_the_teams_to_ask_for_and_a_teams_does_not() -> None:
    (portfolio,) = portfolios(seed=3, many=1)
    given = terms("90d")
    whole = card(portfolio, given)
    assert f"--team with one of {', '.join(whole.teams)}" in " ".join(click.unstyle(table(whole, 80)).split())
    assert "--team" not in table(card(portfolio, given, whole.teams[0]), 80)


@pytest.mark.parametrize("width", [40, 80, 93, 300])
def test_no_line_is_longer_than_the_terminal_is_wide_from_80_columns_on(width: int) -> None:
    for portfolio in (Portfolio((), terms("90d")), *portfolios(seed=5, many=40)):
        given = terms("90d", min_sample=portfolio.terms.min_sample, forgotten_after=timedelta(days=3))
        for shown in (table(card(portfolio, given), width), table(example(), width)):
            for one in click.unstyle(shown).splitlines():
                assert len(one) <= max(80, min(width, 100)), one


def test_over_the_threshold_a_time_has_another_colour_than_within() -> None:
    shown = example().model_dump()
    shown["idea_to_answer"]["median"]["value"] = 15 * 86400.0
    over = table(Scorecard.model_validate(shown), 80)
    assert "\x1b[32mabout 5 days" in table(example(), 80)
    assert "\x1b[33mabout 5 days" in over
