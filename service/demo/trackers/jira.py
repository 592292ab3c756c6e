"""An experiment in Jira: a ticket, and a branch whose name contains the ticket's key."""

from datetime import datetime, timedelta

from service.demo.organisation import Team
from service.demo.payloads import github
from service.demo.payloads.jira import DONE, IN_PROGRESS, Ticket
from service.demo.plan import Plan
from service.demo.post import Post
from service.demo.trackers.steps import commit_of, marks, outcome_labels, run_of, slug

_MINUTE = timedelta(minutes=1)
_FIRST_NUMBER = 100


class JiraExperiment:
    """The steps of an experiment in Jira. The type of the ticket marks the experiment; its component names the team."""

    def __init__(self, team: Team, plan: Plan) -> None:
        self._team = team
        self._plan = plan
        self._key = f"{team.key}-{_FIRST_NUMBER + 3 * plan.number}"
        self._branch = f"feature/{self._key}-{slug(plan.title)}"
        self._built = ""
        self._ticket: Ticket | None = None

    @property
    def _created(self) -> Ticket:
        assert self._ticket is not None  # noqa: S101 - `propose` is called first
        return self._ticket

    def propose(self, at: datetime) -> list[Post]:
        risk = [mark for mark in marks(self._team, self._plan) if mark.startswith("risk:")]
        kind = "Spike" if self._plan.number % 3 == 0 else "Experiment"
        self._ticket = Ticket(
            key=self._key,
            summary=self._plan.title,
            type=kind,
            component=self._team.name.title(),
            created_at=at,
            labels=risk,
        )
        return [self._ticket.created()]

    def start(self, at: datetime) -> list[Post]:
        ticket = self._created
        return [ticket.assigned(at), ticket.moved(IN_PROGRESS, at + _MINUTE)]

    def run(self, at: datetime, *, succeeded: bool) -> list[Post]:
        self._built = commit_of(self._team, self._plan, at.isoformat())
        message = f"{self._key} {self._plan.title}"
        return run_of(self._team, self._branch, self._built, message, at, succeeded=succeeded)

    def close(self, at: datetime) -> list[Post]:
        return [self._created.moved(DONE, at, _RESOLUTIONS.get(self._plan.ending, "Done"))]

    def reopen(self, at: datetime) -> list[Post]:
        ticket = self._created
        return [
            ticket.moved(IN_PROGRESS, at),
            ticket.commented("Not so sure: the sample was too small.", at + _MINUTE),
        ]

    def conclude(self, at: datetime) -> list[Post]:
        labels = outcome_labels(self._plan)
        declared = [self._created.labelled(labels, at)] if labels else []
        return [*declared, *self.close(at + _MINUTE)]

    def share(self, at: datetime) -> list[Post]:
        return [self._created.labelled(["learning:shared"], at)]

    def ship(self, at: datetime) -> list[Post]:
        if not self._built:
            return []
        return [github.deployment_status(self._team.project, self._built, "production", at)]


_RESOLUTIONS = {"abandoned": "Won't Do", "duplicate": "Duplicate"}
