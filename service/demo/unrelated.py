"""Deliveries that are not about experiments."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from service.demo.organisation import TEAMS, Team
from service.demo.payloads import github, gitlab, jira
from service.demo.payloads.github import Issue
from service.demo.payloads.jira import DONE, IN_PROGRESS, Ticket
from service.demo.post import Post, sha_of
from service.demo.trackers.steps import run_of

_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
# Number unrelated issues and tickets so that no experiment's issue, pull request or ticket has the same number.
_FIRST_NUMBER = 102
_APART = 4
_SPRINT_WEEKS = 2


def unrelated_deliveries(start: datetime, span: timedelta) -> Iterator[Post]:
    """All unrelated deliveries in the span of time before the demo starts, in any order."""
    begin = start - span
    yield github.ping(begin)
    yield _forged(start)
    for team in TEAMS:
        for week in range(span // timedelta(weeks=1)):
            monday = begin + timedelta(weeks=week) + _HOUR
            yield from _chores(team, week, monday)
            yield from _work_on_main(team, week, monday)


def _forged(start: datetime) -> Post:
    """A delivery from a sender that does not know the secret."""
    issue = Issue(repository=TEAMS[0].project, number=1, title="Not ours", created_at=start - _DAY, labels=[])
    return replace(issue.event("opened", start - _DAY), forged=True)


def _chores(team: Team, week: int, monday: datetime) -> Sequence[Post]:
    """Work that is not marked as an experiment."""
    match team.tracker:
        case "github":
            return _issue(team, week, monday)
        case "jira":
            return _ticket(team, week, monday)
        case "gitlab":
            return [gitlab.wiki_page(team.project, f"Week {week}", monday)]


def _issue(team: Team, week: int, monday: datetime) -> Sequence[Post]:
    number = _FIRST_NUMBER + _APART * week
    issue = Issue(
        repository=team.project, number=number, title="Update the licences", created_at=monday, labels=["chore"]
    )
    opened = issue.event("opened", monday)
    thanked = issue.comment("Thank you!", monday + _HOUR)
    # loopgauge ignores a command whose author is not a member of the project.
    outside = issue.comment("/experiment conclude worked", monday + 2 * _HOUR, association="NONE")
    issue.closed_at, issue.reason = monday + _DAY, "completed"
    return [opened, thanked, outside, issue.event("closed", monday + _DAY), github.star(team.project, monday + _DAY)]


def _ticket(team: Team, week: int, monday: datetime) -> Sequence[Post]:
    key = f"{team.key}-{_FIRST_NUMBER + 3 * week}"
    ticket = Ticket(
        key=key, summary="Renew the certificate", type="Bug", component=team.name.title(), created_at=monday, labels=[]
    )
    sprint = [jira.sprint_started(f"{team.key} {week}", monday)] if week % _SPRINT_WEEKS == 0 else []
    return [
        ticket.created(),
        ticket.moved(IN_PROGRESS, monday + _HOUR),
        ticket.moved(DONE, monday + _DAY, "Done"),
        *sprint,
    ]


def _work_on_main(team: Team, week: int, monday: datetime) -> Iterator[Post]:
    """A commit that belongs to no experiment, and a run on it. One run in four fails."""
    at, head = monday + 2 * _DAY, sha_of(team.project, "main", week)
    message = "Update dependencies"
    if team.tracker == "gitlab":
        yield gitlab.push(team.project, "main", head, message, at)
    else:
        yield github.push(team.project, "main", head, message, at)
    yield from run_of(team, "main", head, message, at + _DAY / 2, succeeded=week % 4 != 0)
