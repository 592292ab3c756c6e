"""A check of this machine's clock: with a wrong clock, the retention would delete data that is not old."""

from collections.abc import Callable
from datetime import datetime, timedelta

from service.lifecycle.durations import describe_duration
from service.storage import inbox
from service.storage.database import Database

_LARGEST_DIFFERENCE = timedelta(minutes=1)
_LONGEST_SILENCE = timedelta(days=7)


class ClockInDoubt(Exception):
    """This machine's clock may be wrong; the message says why, and what to do."""


async def check_clock(database: Database, clock: Callable[[], datetime]) -> datetime:
    """Compare this machine's clock with PostgreSQL's clock and with the newest delivery, and return the time.

    Raises:
        ClockInDoubt: the clocks differ by more than a minute, or the newest delivery was received more than a week ago.
        DatabaseUnavailable: PostgreSQL cannot be reached.
    """
    before = clock()
    async with database.transaction() as connection:
        theirs, newest = await inbox.read_clock(connection)
    now = clock()
    # PostgreSQL read its clock between these two times.
    difference = max(before - theirs, theirs - now)
    if difference > _LARGEST_DIFFERENCE:
        raise ClockInDoubt(
            f"the clocks of this machine and of PostgreSQL differ by {describe_duration(difference)}; synchronise them"
        )
    if newest is not None and now - newest > _LONGEST_SILENCE:
        raise ClockInDoubt(
            f"the newest delivery is {describe_duration(now - newest)} old; check the clock of this machine, or send a "
            "delivery, such as a test of a webhook"
        )
    return now
