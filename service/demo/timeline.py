"""The timeline: the organisation's past deliveries and its live deliveries, in order of time."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from random import Random  # noqa: TID251 - only for the type hint

from service.demo.organisation import SILENT, SILENT_SINCE, TEAMS, Team
from service.demo.plan import Plan, draw
from service.demo.post import Post
from service.demo.trackers import TRACKERS
from service.demo.unrelated import unrelated_deliveries

# The time from a team's last idea to the start of the demo, as a fraction of the time between two ideas.
_LAST_IDEA = 0.4
_JITTER = 0.1
# One delivery in 50 is sent twice, as if its tool retried after a timeout.
_RETRIED_EVERY = 50
_REDELIVERED_AFTER = timedelta(minutes=5)
_SECONDS_IN_AN_HOUR = 3600


def history(start: datetime, span: timedelta, dice: Random) -> Iterator[Post]:
    """The deliveries in the span of time before the demo starts, in order of time.

    Args:
        start: when the demo starts, UTC, in whole seconds.
    """
    of_teams = [post for team in TEAMS for post in _past(team, start, span, dice)]
    posts = [post for post in [*of_teams, *unrelated_deliveries(start, span)] if start - span <= post.at < start]
    silent_since = start - min(SILENT_SINCE, span / 2)
    sent = [post for post in posts if post.source != SILENT or post.at < silent_since]
    yield from sorted(_with_retries(sent, start), key=lambda post: post.at)


def live(start: datetime, span: timedelta, pace: float, dice: Random) -> Iterator[Post]:
    """An endless sequence of the deliveries after the demo starts, each with the time at which to send it.

    `pace` sets how fast deliveries follow each other: an experiment that lasts days by the times in its payloads is
    sent within minutes. The last delivery of an experiment is sent at the time in its payload, and each earlier
    delivery is sent after the time in its payload.

    Args:
        span: the length of the history. New ideas are numbered after the last idea of the history.
        pace: the hours of simulated time that pass in a second of real time; at least 1/3600.
    """
    speed = pace * _SECONDS_IN_AN_HOUR
    ideas = heapq.merge(*(_ideas(team, start, span, speed) for team in TEAMS if team.goes_on))
    waiting: list[tuple[datetime, int, Post]] = []
    tickets = count()
    for begins_at, team_name, number in ideas:
        while waiting and waiting[0][0] <= begins_at:
            yield heapq.heappop(waiting)[2]
        team = next(team for team in TEAMS if team.name == team_name)
        for post in _paced(team, draw(team, number, dice), begins_at, speed):
            heapq.heappush(waiting, (post.at, next(tickets), post))


def deliveries_of(team: Team, plan: Plan, idea_at: datetime) -> list[Post]:
    """The deliveries of one experiment, in order of time."""
    steps = TRACKERS[team.tracker](team, plan)
    steps_at: list[tuple[timedelta, Callable[[datetime], list[Post]]]] = [(timedelta(0), steps.propose)]
    steps_at += [(plan.started, steps.start)] if plan.started is not None else []
    steps_at += [(at, partial(steps.run, succeeded=succeeded)) for at, succeeded in plan.runs]
    if plan.first_ended is not None:
        steps_at += [(plan.first_ended, steps.close), (plan.first_ended * 1.1, steps.reopen)]
    later = ((plan.ended, steps.conclude), (plan.shared, steps.share), (plan.shipped, steps.ship))
    steps_at += [(at, step) for at, step in later if at is not None]
    posts = [post for at, step in sorted(steps_at, key=lambda step: step[0]) for post in step(idea_at + at)]
    return sorted(posts, key=lambda post: post.at)


def ideas_in(team: Team, span: timedelta) -> int:
    """The number of ideas that a team has in a span of time."""
    return int(span / team.every + 0.5)


def _past(team: Team, start: datetime, span: timedelta, dice: Random) -> Iterator[Post]:
    ideas = ideas_in(team, span)
    for number in range(ideas):
        ago = team.every * (ideas - 1 - number + _LAST_IDEA + dice.uniform(-_JITTER, _JITTER))
        yield from deliveries_of(team, draw(team, number, dice), start - ago)


def _with_retries(posts: Sequence[Post], start: datetime) -> Iterator[Post]:
    for place, post in enumerate(posts):
        yield post
        again_at = post.at + _REDELIVERED_AFTER
        if place % _RETRIED_EVERY == _RETRIED_EVERY - 1 and again_at < start and not post.forged:
            yield replace(post, at=again_at)


def _ideas(team: Team, start: datetime, span: timedelta, speed: float) -> Iterator[tuple[datetime, str, int]]:
    """For each new idea of a team: the idea's time, the team's name, and the idea's number."""
    first = ideas_in(team, span)
    for place in count():
        yield start + team.every * (place + 1 - _LAST_IDEA) / speed, team.name, first + place


def _paced(team: Team, plan: Plan, begins_at: datetime, speed: float) -> Iterator[Post]:
    """The deliveries of an experiment, each with the time at which to send it."""
    length = deliveries_of(team, plan, begins_at)[-1].at - begins_at
    idea_at = begins_at + length / speed - length
    for post in deliveries_of(team, plan, idea_at):
        yield replace(post, at=begins_at + (post.at - idea_at) / speed)
