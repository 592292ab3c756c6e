"""The scorecard of a team and a window, compiled from the projected experiments."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from difflib import get_close_matches

from service.lifecycle.errors import UnknownTeam
from service.lifecycle.teams import fold_team
from service.metrics.terms import Terms, Window
from service.metrics.view import ORGANISATION, OTHER_TEAMS, View
from service.pipeline.snapshot import ExperimentCache
from service.queries.history import view_as_of
from service.scorecard.compiling import compile_scorecard
from service.scorecard.figure import Scorecard
from service.scorecard.rows import Rows
from service.storage.database import Database

_LISTED_TEAMS = 20
_CACHED_WINDOWS = 4


@dataclass(frozen=True, slots=True)
class _CachedRows:
    """The rows of all teams for one window, and for the window before it."""

    today: Rows
    before: Rows
    until: datetime
    """The time at which the rows expire."""


class Scorecards:
    """Compiles scorecards for any team and window, and caches the rows that scorecards of one window share.

    Args:
        terms: the thresholds and limits of the metrics; each scorecard has its own window.
        clock: returns the current time in UTC.
        lifetime: how long rows are cached at least. Rows that take more than half of this time to compute are cached
            for twice the time that they took.
    """

    def __init__(self, database: Database, terms: Terms, clock: Callable[[], datetime], lifetime: timedelta) -> None:
        self._database = database
        self._terms = terms
        self._clock = clock
        self._lifetime = lifetime
        self._cache = ExperimentCache()
        self._widest = terms.longest_window
        self._rows: dict[timedelta, _CachedRows] = {}

    async def scorecard(self, team: str, window: Window) -> Scorecard:
        """Compile the scorecard of a team, given by its name or its label value.

        With many experiments, this blocks the event loop for seconds: call it in a separate process. The caller must
        wait for the scorecard before the next call, because concurrent calls would change one cache.

        Raises:
            UnknownTeam: no experiment belongs to this team, or its experiments are in the row `_other`.
            DatabaseUnavailable: the experiments cannot be read.
        """
        rows = self._rows.pop(window.length, None)
        if rows is None or not rows.today.view.now <= self._clock() < rows.until:
            rows = await self._read(window)
        # Insert the window at the end, so that the least recently used window is evicted first.
        self._rows[window.length] = rows
        while len(self._rows) > _CACHED_WINDOWS:
            del self._rows[next(iter(self._rows))]
        return compile_scorecard(_row(team, rows.today.view, self._terms), rows.today, rows.before)

    async def _read(self, window: Window) -> _CachedRows:
        # Read the experiments of the widest window so far: after reading those of a narrower window, the cache would
        # lack experiments that the next call needs.
        self._widest = max(self._widest, window.length)
        reach = replace(self._terms, windows=(Window("", self._widest),))
        try:
            async with self._database.read_transaction() as connection:
                began = self._clock()
                view = await self._cache.view(connection, reach, began, began - window.length)
        except Exception:
            # Drop the cache: the next connection may reach a server restored from a backup. There, a changed row can
            # have the version that the cache knows, and the cache would not notice the change.
            self._cache = ExperimentCache()
            raise
        # Read the clock again: an experiment that changed between `began` and the read would otherwise lie in the
        # future.
        now = self._clock()
        # Give the same teams rows of their own as in the metrics, now and one window ago. Each row then compares a team
        # with itself, or the other teams with the same teams.
        view = View(view.experiments, self._terms, now).with_windows(window)
        today, before = Rows(view), Rows(view_as_of(view, now - window.length, view.own_rows))
        # Before reading `ready`, compute the populations that the rows of all teams share: the lifetime of the rows
        # depends on the duration of this work.
        compile_scorecard(ORGANISATION, today, before)
        ready = self._clock()
        return _CachedRows(today, before, until=ready + max(self._lifetime, 2 * (ready - began)))


def _row(team: str, view: View, terms: Terms) -> str:
    """The value of the label `team` in the row of a team, which is given by its name or by this value."""
    name = fold_team(team)
    if name == ORGANISATION or name in view.teams:
        return name
    if any(experiment.team == name for experiment in view.present):
        setting = f"LOOPGAUGE_MAX_TEAMS={terms.max_teams}"
        raise UnknownTeam(f"the team {name} has no row of its own, because of {setting}; ask for {OTHER_TEAMS}")
    raise UnknownTeam(f"no experiment belongs to the team {name}; {_suggest(name, view.teams)}")


def _suggest(name: str, teams: Sequence[str]) -> str:
    if not teams:
        return "there are no experiments yet"
    if close := get_close_matches(name, teams, n=3):
        return f"did you mean {' or '.join(close)}?"
    more = f" and {len(teams) - _LISTED_TEAMS} more" if len(teams) > _LISTED_TEAMS else ""
    return f"teams are {', '.join(teams[:_LISTED_TEAMS])}{more}"
