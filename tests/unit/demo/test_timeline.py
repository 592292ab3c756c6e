"""The timeline is reproducible and in chronological order, and names no real person."""

import json
import random
import re
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest

from service.demo.organisation import SILENT, SILENT_SINCE, SOURCES, TEAMS
from service.demo.plan import title
from service.demo.post import Post
from service.demo.timeline import history, live

START = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
WEEKS = timedelta(weeks=8)
_TIME = re.compile(r"20[0-9]{2}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}")


def past(seed: int = 1, span: timedelta = WEEKS) -> list[Post]:
    return list(history(START, span, random.Random(seed)))


def going_on(count: int, pace: float = 1.0) -> list[Post]:
    return list(islice(live(START, WEEKS, pace, random.Random(1)), count))


def test_the_same_seed_gives_the_same_past() -> None:
    assert past(1) == past(1)
    assert [post.body for post in past(2)] != [post.body for post in past(1)]


def test_the_past_is_in_chronological_order_and_ends_before_the_start() -> None:
    times = [post.at for post in past()]
    assert times == sorted(times)
    assert times[0] >= START - WEEKS
    assert times[-1] < START


def test_the_live_part_is_in_chronological_order_and_the_same_for_the_same_seed() -> None:
    posts = going_on(200)
    assert posts == going_on(200)
    times = [post.at for post in posts]
    assert times == sorted(times)
    assert times[0] > START


@pytest.mark.parametrize("pace", [0.01, 1.0, 100.0])
def test_no_delivery_contains_a_time_after_the_time_at_which_it_is_sent(pace: float) -> None:
    told = [(post, latest) for post in [*past(), *going_on(300, pace)] if (latest := _latest(post))]
    assert len(told) > 500
    assert [post for post, latest in told if latest > post.at] == []


def _latest(post: Post) -> datetime | None:
    """The latest time in the body of a request."""
    texts = _TIME.findall(post.body.decode())
    return max((datetime.fromisoformat(text).replace(tzinfo=UTC) for text in texts), default=None)


def test_twice_the_pace_sends_the_live_part_in_half_the_time() -> None:
    slow, fast = going_on(100, 1.0), going_on(100, 2.0)
    assert (fast[-1].at - START) == pytest.approx((slow[-1].at - START) / 2, abs=timedelta(milliseconds=1))


def test_one_source_stopped_sending_weeks_ago_and_stays_silent() -> None:
    posts = past(span=timedelta(weeks=26))
    last = {source: max(post.at for post in posts if post.source == source) for source in SOURCES}
    assert last.pop(SILENT) < START - SILENT_SINCE
    assert min(last.values()) > START - timedelta(days=4)
    assert SILENT not in {post.source for post in going_on(500)}


def test_some_deliveries_are_sent_twice_and_one_is_forged() -> None:
    posts = past()
    bodies = [(post.source, post.body) for post in posts]
    assert len(bodies) - len(set(bodies)) > 10
    assert sum(post.forged for post in posts) == 1


def test_only_the_team_that_repeats_itself_reuses_a_title() -> None:
    first_sixty = {team.name: len({title(team, number) for number in range(60)}) for team in TEAMS}
    assert first_sixty == {team.name: 9 if team.name == "growth" else 60 for team in TEAMS}


def test_the_deliveries_name_only_one_fictitious_account_and_one_fictitious_organisation() -> None:
    names = set()
    for post in past():
        assert b"@" not in post.body.replace(b"git@github.com", b"")
        names |= set(_names(json.loads(post.body)))
    assert names == {"octo-dev", "acme"}


def _names(value: object) -> list[str]:
    """The values of all fields that name people or organisations."""
    if isinstance(value, list):
        return [name for one in value for name in _names(one)]
    if not isinstance(value, dict):
        return []
    own = [str(value[key]) for key in ("login", "username", "displayName") if key in value]
    return own + [name for one in value.values() for name in _names(one)]
