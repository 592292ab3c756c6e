"""The rows from which scorecards are compiled: one for each team and one for the organisation, over one window."""

from dataclasses import dataclass
from functools import cached_property

from service.metrics.cohort import Cohort
from service.metrics.repeated import count_repeats, repeats_by_row
from service.metrics.view import ORGANISATION, Cohorts, View


class Rows:
    """The rows of a view that has exactly one window."""

    def __init__(self, view: View) -> None:
        self.view = view
        (self.window,) = view.terms.windows

    def row(self, team: str) -> "Row":
        """The row with this value of the label `team`; an empty row if no such team exists."""
        return Row(self, team)

    @cached_property
    def repeats(self) -> dict[str, int]:
        """The number of repeats within the window, by the label value of the team."""
        repeats = repeats_by_row(self.view)
        return {team: count_repeats(times, self.window, self.view.now) for team, times in repeats.items()}


@dataclass(frozen=True, slots=True)
class Row:
    """One team or the organisation.

    Attributes:
        team: the value of the label `team`; `ORGANISATION` for all experiments.
    """

    rows: Rows
    team: str

    @property
    def view(self) -> View:
        """The view that contains the row."""
        return self.rows.view

    @property
    def exists(self) -> bool:
        """Whether the row has an experiment."""
        return bool(self.view.teams) if self.team == ORGANISATION else self.team in self.view.teams

    @property
    def repeats(self) -> int:
        """The number of repeats within the window; for the organisation, the sum over all teams."""
        repeats = self.rows.repeats
        return sum(repeats.values()) if self.team == ORGANISATION else repeats.get(self.team, 0)

    def cohort(self, population: Cohorts) -> Cohort:
        """The row's cohort in a population; an empty cohort if the row does not exist."""
        empty = Cohort(self.team, self.rows.window.label, self.view.now)
        return next((cohort for cohort in population if cohort.team == self.team), empty)
