"""A plan: the course of one experiment, drawn at random from its team's habits."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from random import Random  # noqa: TID251 - only for the type hint
from typing import TypeVar

from service.demo.organisation import Ending, Team

_Choice = TypeVar("_Choice", bound=str)
_LATEST_SHARE = 0.9
_REOPENS = 0.04
_SHIPS = 0.7
_RED = 0.35


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The course of one experiment. All times are measured from the experiment's idea.

    Attributes:
        number: the experiment's number among the team's experiments.
        started: the time of the start, or None if the experiment never starts.
        runs: for each run of continuous integration, the time when the run finishes, and whether it succeeds.
        ended: the time of the last conclusion, or None if the experiment is never concluded.
        category: the category of the failure; empty if the failure is unclassified or the experiment does not fail.
        first_ended: the time of the first conclusion, if the experiment is reopened later; otherwise None.
    """

    number: int
    title: str
    bold: bool
    started: timedelta | None
    runs: tuple[tuple[timedelta, bool], ...]
    ended: timedelta | None
    ending: Ending
    category: str
    first_ended: timedelta | None
    shared: timedelta | None
    shipped: timedelta | None


def draw(team: Team, number: int, dice: Random) -> Plan:
    """Draw the course of a team's experiment."""
    ending, bold = _choose(team.endings, dice), dice.random() < team.bold
    if team.slow_every and number % team.slow_every == team.slow_every - 1:
        ending, taken = "worked", _duration(team.slow_answer, 0.1, dice)
    else:
        taken = _duration(team.given_up if ending == "abandoned" else team.answered, team.spread, dice)
    picked_up = _duration(team.bold_picked_up if bold else team.picked_up, team.spread, dice)
    # Start in the first third of the time to the answer, even if the answer comes quickly.
    started = min(picked_up, taken / 3)
    ships = ending == "worked"
    answered = ending not in ("abandoned", "duplicate", "forgotten")
    return Plan(
        number=number,
        title=title(team, number),
        bold=bold,
        started=None if ending == "duplicate" else started,
        runs=_runs(started, taken, dice) if ending != "duplicate" else (),
        ended=None if ending == "forgotten" else taken,
        ending=ending,
        category=_choose(team.categories, dice) if ending == "failed" else "",
        first_ended=taken * 0.7 if answered and dice.random() < _REOPENS else None,
        shared=taken + _duration(timedelta(hours=30), 0.5, dice) if answered and dice.random() < team.shares else None,
        shipped=taken + _duration(timedelta(days=2), 0.5, dice) if ships and dice.random() < _SHIPS else None,
    )


def title(team: Team, number: int) -> str:
    """The title of an experiment. A team uses each of its titles once before it repeats any."""
    number = number % team.titles if team.titles else number
    verbs, things = len(team.verbs), len(team.things)
    again, place = divmod(number, verbs * things)
    verb = place % verbs
    thing = (place // verbs + verb) % things
    attempt = f", part {again + 1}" if again else ""
    return f"{team.verbs[verb]} {team.things[thing]}{attempt}"


def _runs(started: timedelta, taken: timedelta, dice: Random) -> tuple[tuple[timedelta, bool], ...]:
    """One or two runs between start and answer. About one run in three fails."""
    places = sorted(dice.uniform(0.1, _LATEST_SHARE) for _ in range(dice.randint(1, 2)))
    return tuple((started + (taken - started) * place, dice.random() >= _RED) for place in places)


def _duration(median: timedelta, spread: float, dice: Random) -> timedelta:
    """A duration with a log-normal distribution."""
    return median * math.exp(dice.gauss(0, spread))


def _choose(weights: Mapping[_Choice, float], dice: Random) -> _Choice:
    return dice.choices(list(weights), list(weights.values()))[0]
