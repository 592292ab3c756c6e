"""The terminal shows a scorecard in figures with sample sizes, and fits its lines to the width."""

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import click
import pytest

from service.lifecycle.experiment import Experiment
from service.lifecycle.taxonomy import FailureCategory, Outcome, Risk
from service.metrics.terms import Terms
from service.metrics.view import ORGANISATION, View
from service.presentation.scorecard_table import table
from service.queries.history import view_as_of
from service.scorecard.compiling import compile_scorecard
from service.scorecard.example import example
from service.scorecard.figure import Scorecard
from service.scorecard.rows import Rows
from tests.support.builders import experiment, terms
from tests.support.paths import DOCS
from tests.support.portfolios import NOW, Portfolio, portfolios


def card(portfolio: Portfolio, given: Terms, team: str = ORGANISATION) -> Scorecard:
    view = View.of(portfolio.experiments, given, NOW)
    return compile_scorecard(team, Rows(view), Rows(view_as_of(view, NOW - given.windows[0].length)))


def lines(shown: str, label: str) -> list[str]:
    """The lines that begin with a label, with single spaces."""
    found = [text for text in click.unstyle(shown).splitlines() if text.strip().startswith(label)]
    return [re.sub(" +", " ", text).strip() for text in found]


def line(shown: str, label: str) -> str:
    return lines(shown, label)[0]


def section(shown: str, title: str) -> list[str]:
    """The lines of a section, with single spaces."""
    after = click.unstyle(shown).partition(f"\n{title}\n")[2].partition("\n\n")[0]
    return [re.sub(" +", " ", text).strip() for text in after.splitlines()]


def test_a_duration_is_a_figure_beside_the_threshold() -> None:
    shown = table(example(), 80)
    assert line(shown, "default threshold") == "default threshold 14 days"
    assert line(shown, "median") == "median 5 days, threshold 14 days n 15"
    assert line(shown, "p90") == "p90 8.6 days, threshold 14 days n 15"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (9.94 * 86400, "9.9 days, threshold 10 days"),
        (9.96 * 86400, "just under 10 days, threshold 10 days"),
        (10 * 86400, "10 days, threshold 10 days"),
        (10.04 * 86400, "just over 10 days, threshold 10 days"),
        (12.3 * 86400, "12.3 days, threshold 10 days"),
    ],
)
def test_no_text_is_the_same_on_both_sides_of_the_threshold(seconds: float, text: str) -> None:
    shown = example().model_dump()
    shown["idea_to_answer"]["threshold"] = {"seconds": 10 * 86400, "words": "10 days"}
    shown["idea_to_answer"]["median"]["value"] = seconds
    assert line(table(Scorecard.model_validate(shown), 80), "median").removeprefix("median ").startswith(text)


@pytest.mark.parametrize(
    ("threshold", "seconds", "text"),
    [
        ("2 days", 2 * 86400 - 90, "just under 2 days, threshold 2 days"),
        ("2 days", 2 * 86400 + 90, "just over 2 days, threshold 2 days"),
        ("1 hour", 3599, "just under 1 hour, threshold 1 hour"),
    ],
)
def test_a_duration_near_the_threshold_has_the_unit_of_the_threshold(threshold: str, seconds: float, text: str) -> None:
    shown = example().model_dump()
    shown["idea_to_answer"]["threshold"] = {
        "seconds": {"2 days": 172_800, "1 hour": 3600}[threshold],
        "words": threshold,
    }
    shown["idea_to_answer"]["median"]["value"] = seconds
    assert line(table(Scorecard.model_validate(shown), 80), "median").removeprefix("median ").startswith(text)


def test_a_previous_number_has_its_own_population() -> None:
    shown = example().model_dump()
    shown["loops"]["overdue"]["previous"] |= {"value": 3, "n": 9}
    assert line(table(Scorecard.model_validate(shown), 80), "overdue") == "overdue 4 of 5 open was 3 of 9"
    shown["loops"]["overdue"]["previous"] |= {"value": 4, "n": 5}
    assert line(table(Scorecard.model_validate(shown), 80), "overdue") == "overdue 4 of 5 open as before"


def test_the_advice_about_a_single_team_names_it() -> None:
    shown = table(example().model_copy(update={"teams": ("search",)}), 80)
    assert "For a single team, add --team search." in click.unstyle(shown).splitlines()
    shown = table(example().model_copy(update={"teams": ("data platform", "search")}), 80)
    assert "For a single team, add --team with one of 'data platform', search." in click.unstyle(shown).splitlines()


def test_the_name_of_a_team_does_not_control_the_terminal() -> None:
    evil = "a\x1b]0;b\x07\x9b2J\u202e"
    organisation = table(example().model_copy(update={"teams": ("search", evil)}), 80)
    of_team = table(example().model_copy(update={"team": evil}), 80)
    for shown in (organisation, of_team):
        assert click.unstyle(shown).replace("\n", "").isprintable()
        assert "a\ufffd]0;b\ufffd\ufffd2J\ufffd" in shown


def test_a_number_of_experiments_names_its_population_and_has_no_sample_size() -> None:
    shown = table(example(), 80)
    assert line(shown, "biggest group") == "biggest group intelligent"
    assert line(shown, "intelligent") == "intelligent 27 % (4 of 15 answered)"
    assert line(shown, "failed") == "failed 8 of 15 answered"
    assert line(shown, "overdue") == "overdue 4 of 5 open"
    assert line(shown, "open") == "open 5"
    assert line(shown, "share of bold") == "share of bold 50 %, both alike n 16"


def test_a_quantile_that_is_not_reached_says_so() -> None:
    assert "p90 not reached within the time observed" in lines(table(example(), 80), "p90")


def test_a_group_of_values_has_one_line_if_little_is_known() -> None:
    (portfolio,) = portfolios(seed=3, many=1)
    given = terms("90d")
    few = replace(portfolio, experiments=portfolio.experiments[:1])
    shown = table(card(few, given), 80)
    assert section(shown, "How long from the idea to knowing whether it worked?") == [
        "default threshold 14 days",
        "not known yet none proposed",
    ]
    assert section(shown, "Which of Edmondson's groups of failures is the biggest?") == ["biggest group none failed"]
    assert section(shown, "Bold or safe?") == ["not known yet none proposed"]


_BY_THRESHOLD = "How long from the idea to knowing whether it worked?"
_GROUPS = "Which of Edmondson's groups of failures is the biggest?"


def _concluded(number: int, outcome: Outcome, category: FailureCategory | None = None, **given: Any) -> Experiment:
    return experiment(
        f"key:{number}",
        title=f"Idea {number}",
        idea_at=NOW - timedelta(days=9),
        concluded_at=NOW - timedelta(days=1),
        outcome=outcome,
        failure_category=category,
        **given,
    )


def _table(*experiments: Experiment) -> str:
    given = terms("90d")
    return table(card(Portfolio(experiments, given), given), 80)


_OPEN = experiment("key:9", title="An open idea", idea_at=NOW - timedelta(days=2))
_FAILED = _concluded(1, Outcome.FAILED, FailureCategory.INTELLIGENT)


def test_an_open_experiment_alone_has_no_row_about_answers_or_failures_that_could_be_read_as_zero() -> None:
    shown = _table(_OPEN)
    assert section(shown, _BY_THRESHOLD)[1:] == ["not known yet none answered, and only 1 proposed, fewer than 5"]
    assert section(shown, "When did someone last share a failed experiment?") == [
        "last failure shared none yet; none failed in 90d",
        "learnings shared 0",
        "failed none answered",
    ]
    assert section(shown, _GROUPS) == ["biggest group none failed"]
    assert line(shown, "abandoned of concluded") == "abandoned of concluded none concluded"
    assert "A median or share of fewer than 5 experiments" in shown
    # No row has a sample or a previous value, so no line explains them.
    assert not [text for text in click.unstyle(shown).splitlines() if text.startswith(("n:", "was:"))]


def test_the_biggest_group_of_a_few_failures_says_how_few_they_are() -> None:
    shown = _table(_FAILED)
    assert section(shown, _GROUPS) == ["biggest group intelligent (only 1 failed)", "intelligent 1 of 1 failed"]
    assert line(shown, "last failure shared") == "last failure shared no failed experiment has been shared yet"
    assert line(shown, "overdue") == "overdue none open"
    assert line(shown, "forgotten") == "forgotten none open"
    assert section(shown, _BY_THRESHOLD)[1:] == ["not known yet only 1 answered and 1 proposed, fewer than 5"]


def test_three_experiments_are_counted_and_give_no_median_and_no_share() -> None:
    basic = _concluded(2, Outcome.FAILED, FailureCategory.BASIC, risk=Risk.BOLD, shared_at=NOW - timedelta(hours=3))
    shown = _table(_OPEN, _FAILED, basic)
    assert section(shown, _GROUPS) == [
        "biggest groups intelligent and basic (only 2 failed)",
        "intelligent 1 of 2 failed",
        "basic 1 of 2 failed",
    ]
    assert section(shown, "Bold or safe?") == [
        "share of bold only 1 declared bold or safe, fewer than 5",
        "bold 1 of 3 proposed",
        "safe 0 of 3 proposed",
        "undeclared 2 of 3 proposed",
        "wait before start fewer than 5 experiments for each value",
    ]
    assert section(shown, _BY_THRESHOLD)[1:] == ["not known yet only 2 answered and 3 proposed, fewer than 5"]
    assert "%" not in shown
    assert line(shown, "overdue") == "overdue 0 of 1 open"


def test_the_terms_in_the_rows_are_explained_if_a_row_uses_them() -> None:
    enough = [_concluded(number, Outcome.WORKED) for number in range(5)]
    old = experiment("key:old", title="Old", idea_at=NOW - timedelta(days=190), concluded_at=NOW - timedelta(days=100))
    with_sample, with_previous = (click.unstyle(_table(*found)) for found in (enough, [*enough, old]))
    assert "n: the number of experiments behind a value.\n" in with_sample
    assert "n: the number of experiments behind a value; was: the value 90d earlier.\n" in with_previous
    assert "A median or share of fewer" not in with_sample


@pytest.mark.parametrize(
    ("today", "before", "shown"),
    [
        (["intelligent"], None, ["biggest group intelligent"]),
        (["intelligent"], ["intelligent"], ["biggest group intelligent as before"]),
        (["intelligent"], ["basic"], ["biggest group intelligent", "90d earlier basic"]),
        (
            ["intelligent", "basic"],
            ["intelligent"],
            ["biggest groups intelligent and basic", "90d earlier intelligent"],
        ),
        (
            ["intelligent"],
            ["intelligent", "basic", "complex"],
            ["biggest group intelligent", "90d earlier intelligent, basic and complex"],
        ),
        (None, ["basic", "complex"], ["biggest group none failed", "90d earlier basic and complex"]),
    ],
)
def test_groups_that_were_the_biggest_earlier_have_a_line_of_their_own(
    today: list[str] | None, before: list[str] | None, shown: list[str]
) -> None:
    document = example().model_dump()
    reason = None if today else "none failed"
    document["failures"]["biggest"] |= {"value": today, "reason": reason, "previous": {"value": before, "n": 9}}
    printed = table(Scorecard.model_validate(document), 80)
    assert section(printed, "Which of Edmondson's groups of failures is the biggest?")[: len(shown)] == shown
    assert len(lines(printed, "90d earlier")) == len(shown) - 1


def test_missing_values_beside_known_ones_share_one_line() -> None:
    assert line(table(example(), 100), "not known yet") == (
        "not known yet answer to shared, first result to shipped: fewer than 5 experiments"
    )


def test_the_documentation_shows_the_example() -> None:
    page = (DOCS / "scorecard.md").read_text("utf-8")
    assert f"```\n{click.unstyle(table(example(), 80))}\n```\n" in page


def test_each_question_of_the_scorecard_has_a_heading() -> None:
    for heading in (
        "How long from the idea",
        "When did someone last share",
        "Edmondson's groups of failures",
        "Bold or safe?",
    ):
        assert heading in table(example(), 80)


def test_a_row_without_a_value_shows_why_the_value_is_missing() -> None:
    shown = example().model_dump()
    shown["idea_to_answer"]["median"] |= {"value": None, "n": 4, "reason": "only 4 answered, fewer than 5"}
    shown["idea_to_answer"]["median"]["previous"] |= {"value": 86400.0, "n": 9}
    printed = table(Scorecard.model_validate(shown), 80)
    assert line(printed, "median") == "median only 4 answered, fewer than 5; was 24 hours"


def test_a_scorecard_without_experiments_says_where_to_look() -> None:
    assert click.unstyle(table(card(Portfolio((), terms("90d")), terms("90d")), 80)).splitlines()[1:] == [
        "No experiment yet. `loopgauge deliveries list` shows what arrived."
    ]


def test_the_previous_value_of_a_share_is_a_share() -> None:
    shown = example().model_dump()
    intelligent = shown["failures"]["categories"][0]
    intelligent["share_of_answered"]["previous"] |= {"value": 0.45, "n": 20}
    intelligent["count"]["previous"] |= {"value": 9, "n": 12}
    shown["loops"]["abandoned"]["previous"] |= {"value": 0.1, "n": 20}
    printed = table(Scorecard.model_validate(shown), 80)
    assert line(printed, "intelligent").endswith("↓ was 45 %")
    assert line(printed, "abandoned").endswith("↑ was 10 %")


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
    organisation = organisation.model_copy(update={"teams": (*organisation.teams, "search")})
    assert f"--team with one of {', '.join(organisation.teams)}." in " ".join(
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


def test_a_value_and_a_previous_value_that_do_not_fit_have_two_lines_without_blanks_at_their_ends() -> None:
    shown = example().model_dump()
    categories = ["intelligent", "basic", "complex", "unclassified"]
    shown["failures"]["biggest"] |= {"value": categories, "previous": {"value": categories, "n": 9}}
    shown["idea_to_answer"]["median"]["previous"] |= {"value": 754.0, "n": 9}
    shown["team"] = " ".join(["a-team-with-a-long-name"] * 4)
    lines = click.unstyle(table(Scorecard.model_validate(shown), 80)).splitlines()
    assert max(map(len, lines)) <= 80
    assert [text for text in lines if text != text.rstrip()] == []
    assert lines[
        lines.index("  biggest groups           intelligent, basic, complex and unclassified") + 1
    ].split() == [
        "as",
        "before",
    ]


def test_a_median_above_the_threshold_has_another_colour() -> None:
    shown = example().model_dump()
    shown["idea_to_answer"]["median"]["value"] = 15 * 86400.0
    over = table(Scorecard.model_validate(shown), 80)
    assert "\x1b[32m5 days, threshold 14 days" in table(example(), 80)
    assert "\x1b[33m15 days, threshold 14 days" in over
