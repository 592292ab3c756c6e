"""Compile: the scorecard of a team and a window, from the experiments as they were folded last."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches

from service.lifecycle.errors import UnknownTeam
from service.metrics.terms import Terms, Window
from service.metrics.view import ORGANISATION, OTHER_TEAMS, View
from service.pipeline.snapshot import ExperimentCache
from service.queries.history import view_as_of
from service.scorecard.compiling import compile_scorecard
from service.scorecard.figure import Scorecard
from service.scorecard.rows import Rows
from service.storage.database import Database

_NAMED = 20
_KEPT_WINDOWS = 4


@dataclass(frozen=True, slots=True)
class _Boards:
    """The figures of one window, for any team."""

    today: Rows
    before: Rows
    until: datetime
    """How long they are told."""


class Scorecards:
    """Scorecards of any team and window, from one memory.

    Args:
        terms: those of the figures, but for their windows.
        clock: the time now, UTC.
        kept: how long figures are told without being computed anew; where that takes long, for twice as long.
    """

    def __init__(self, database: Database, terms: Terms, clock: Callable[[], datetime], kept: timedelta) -> None:
        self._database = database
        self._terms = terms
        self._clock = clock
        self._kept = kept
        self._memory = ExperimentCache()
        self._widest = timedelta(0)
        self._boards: dict[timedelta, _Boards] = {}

    async def scorecard(self, team: str, window: Window) -> Scorecard:
        """The scorecard of a team by its name or the label value of its row; one at a time.

        It computes for as long as there is much to compute, and nothing else runs in the process meanwhile.

        Raises:
            UnknownTeam: nobody has proposed anything under this name.
            DatabaseUnavailable: the experiments cannot be read.
        """
        boards = self._boards.pop(window.length, None)
        if boards is None or not boards.today.view.now <= self._clock() < boards.until:
            boards = await self._read(window)
        # Those asked for last are kept.
        self._boards[window.length] = boards
        while len(self._boards) > _KEPT_WINDOWS:
            del self._boards[next(iter(self._boards))]
        return compile_scorecard(_row(team, boards.today.view, self._terms), boards.today, boards.before)

    async def _read(self, window: Window) -> _Boards:
        # What a wider window needs stays remembered: who asks for several in turn has nothing read twice.
        self._widest = max(self._widest, window.length)
        reach = replace(self._terms, windows=(Window("", self._widest),))
        try:
            async with self._database.read_transaction() as connection:
                began = self._clock()
                view = await self._memory.view(connection, reach, began, began - window.length)
        except Exception:
            # Another server may be there next time, on which the same version means something else.
            self._memory = ExperimentCache()
            raise
        # After reading, so that nothing that was read lies ahead of the moment that the figures are of.
        now = self._clock()
        view = View(view.experiments, replace(self._terms, windows=(window,)), now)
        today, before = Rows(view), Rows(view_as_of(view, now - window.length))
        # Compute the populations that the rows of all teams share, so that `ready` includes the time it takes.
        compile_scorecard(ORGANISATION, today, before)
        ready = self._clock()
        return _Boards(today, before, until=ready + max(self._kept, 2 * (ready - began)))


def _row(team: str, view: View, terms: Terms) -> str:
    """The row that a team's figures are in."""
    name = team.strip().lower()
    if name == ORGANISATION or name in view.teams:
        return name
    if any(experiment.team == name for experiment in view.present):
        setting = f"LOOPGAUGE_MAX_TEAMS={terms.max_teams}"
        raise UnknownTeam(f"the team {name} has no figures of its own beyond {setting}; ask for {OTHER_TEAMS}")
    raise UnknownTeam(f"no experiment is of the team {name}; {_instead(name, view.teams)}")


def _instead(name: str, teams: Sequence[str]) -> str:
    if not teams:
        return "there is no experiment at all yet"
    if close := get_close_matches(name, teams, n=3):
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(teams) - _NAMED} more" if len(teams) > _NAMED else ""
    return f"teams are {', '.join(teams[:_NAMED])}{more}"
