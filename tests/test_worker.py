"""The worker's loops: what fails is tried again, less and less often."""

from datetime import datetime
from itertools import pairwise
from pathlib import Path

from service.worker import retry_seconds
from tests.test_process import serving


def test_the_pause_after_failures_doubles_up_to_five_seconds() -> None:
    assert [retry_seconds(failures) for failures in range(1, 7)] == [0.5, 1, 2, 4, 5, 5]
    assert retry_seconds(100_000) == 5


def test_while_the_database_is_away_work_is_tried_again_less_and_less_often(tmp_path: Path) -> None:
    tried: list[datetime] = []
    with serving("postgresql://nobody@127.0.0.1:1/nothing", tmp_path, ROLE="worker") as service:
        while len(tried) < 4:
            tried += [
                datetime.fromisoformat(entry["timestamp"])
                for entry in service.log()
                if entry["event"] == "work postponed" and entry["work"] == "interpret"
            ]
    pauses = [(later - earlier).total_seconds() for earlier, later in pairwise(tried[:4])]
    assert [pause >= at_least for pause, at_least in zip(pauses, [0.45, 0.95, 1.95], strict=True)] == [True] * 3
