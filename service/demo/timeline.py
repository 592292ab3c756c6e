"""What happens when: the organisation's past, in order of time, and how it goes on."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from random import Random  # noqa: TID251 - the type alone: the dice come in as a parameter

from service.demo.bycatch import bycatch
from service.demo.organisation import SILENT, SILENT_SINCE, TEAMS, Team
from service.demo.plan import Plan, draw
from service.demo.post import Post
from service.demo.trackers import TRACKERS

# How long before the demo starts a team had its last idea, in parts of the time between two.
_LAST_IDEA = 0.4
_JITTER = 0.1
# A post in so many is delivered twice, as by a tool that saw no answer in time.
_TWICE = 50
_REDELIVERED_AFTER = timedelta(minutes=5)
_SECONDS_IN_AN_HOUR = 3600


def history(start: datetime, span: timedelta, dice: Random) -> Iterator[Post]:
    """All that was delivered in the span of time before the start, in order of time.

    Args:
        start: when the demo starts, UTC, in whole seconds.
    """
    lived = [post for team in TEAMS for post in _past(team, start, span, dice)]
    posts = [post for post in [*lived, *bycatch(start, span)] if start - span <= post.at < start]
    silent_since = start - min(SILENT_SINCE, span / 2)
    heard = [post for post in posts if post.source != SILENT or post.at < silent_since]
    yield from sorted(_some_twice(heard, start), key=lambda post: post.at)


def live(start: datetime, span: timedelta, pace: float, dice: Random) -> Iterator[Post]:
    """All that is delivered from the start on, without an end, each at the moment when it is to be sent.

    New loops are played faster than they were lived, and dated back so that each ends when its last delivery is sent:
    whoever watches sees it go on, its stages are as long as ever, and nothing in it is in the future.

    Args:
        span: the length of the history, after which ideas are numbered on.
        pace: how many hours of the organisation's life pass in a second; at least as fast as life.
    """
    speed = pace * _SECONDS_IN_AN_HOUR
    ideas = heapq.merge(*(_ideas(team, start, span, speed) for team in TEAMS if team.goes_on))
    waiting: list[tuple[datetime, int, Post]] = []
    tickets = count()
    for begins_at, team_name, number in ideas:
        while waiting and waiting[0][0] <= begins_at:
            yield heapq.heappop(waiting)[2]
        team = next(team for team in TEAMS if team.name == team_name)
        for post in _played(team, draw(team, number, dice), begins_at, speed):
            heapq.heappush(waiting, (post.at, next(tickets), post))


def tell(team: Team, plan: Plan, idea_at: datetime) -> list[Post]:
    """All that is delivered of one idea, in order of time."""
    steps = TRACKERS[team.tracker](team, plan)
    told: list[tuple[timedelta, Callable[[datetime], list[Post]]]] = [(timedelta(0), steps.propose)]
    told += [(plan.started, steps.start)] if plan.started is not None else []
    told += [(at, partial(steps.run, succeeded=succeeded)) for at, succeeded in plan.runs]
    if plan.first_ended is not None:
        told += [(plan.first_ended, steps.close), (plan.first_ended * 1.1, steps.reopen)]
    later = ((plan.ended, steps.conclude), (plan.shared, steps.share), (plan.shipped, steps.ship))
    told += [(at, step) for at, step in later if at is not None]
    posts = [post for at, step in sorted(told, key=lambda one: one[0]) for post in step(idea_at + at)]
    return sorted(posts, key=lambda post: post.at)


def ideas_in(team: Team, span: timedelta) -> int:
    """How many ideas a team has in a span of time."""
    return int(span / team.every + 0.5)


def _past(team: Team, start: datetime, span: timedelta, dice: Random) -> Iterator[Post]:
    ideas = ideas_in(team, span)
    for number in range(ideas):
        ago = team.every * (ideas - 1 - number + _LAST_IDEA + dice.uniform(-_JITTER, _JITTER))
        yield from tell(team, draw(team, number, dice), start - ago)


def _some_twice(posts: Sequence[Post], start: datetime) -> Iterator[Post]:
    for place, post in enumerate(posts):
        yield post
        again_at = post.at + _REDELIVERED_AFTER
        if place % _TWICE == _TWICE - 1 and again_at < start and not post.forged:
            yield replace(post, at=again_at)


def _ideas(team: Team, start: datetime, span: timedelta, speed: float) -> Iterator[tuple[datetime, str, int]]:
    """When a team's new ideas are told, and their numbers."""
    first = ideas_in(team, span)
    for place in count():
        yield start + team.every * (place + 1 - _LAST_IDEA) / speed, team.name, first + place


def _played(team: Team, plan: Plan, begins_at: datetime, speed: float) -> Iterator[Post]:
    """What is delivered of an idea, each with the moment at which it is sent."""
    length = tell(team, plan, begins_at)[-1].at - begins_at
    idea_at = begins_at + length / speed - length
    for post in tell(team, plan, idea_at):
        yield replace(post, at=begins_at + (post.at - idea_at) / speed)
