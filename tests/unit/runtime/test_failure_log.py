"""The log has a line for each change of state, and one a minute while an outage lasts."""

from service.runtime.failure_log import FailureLog


def test_a_cause_is_logged_once_a_minute_for_all_work_that_fails_with_it() -> None:
    now = 0.0
    log = FailureLog(lambda: now)
    logged = []
    for now in range(0, 180, 5):
        logged += [(now, work) for work in ("interpret", "project") if log.record_failure(work, "PostgreSQL is away")]
    assert logged == [(0, "interpret"), (60, "interpret"), (120, "interpret")]


def test_another_cause_is_logged_at_once() -> None:
    log = FailureLog(lambda: 0.0)
    assert [log.record_failure("project", cause) for cause in ("away", "locked", "away")] == [True, True, False]


def test_the_end_is_logged_once_when_all_work_succeeds_again() -> None:
    log = FailureLog(lambda: 0.0)
    for work in ("interpret", "project"):
        log.record_failure(work, "away")
    steps = ("interpret", "interpret", "project", "project")
    assert [log.record_success(work) for work in steps] == [False, False, True, False]


def test_a_failure_after_a_success_is_logged_at_once() -> None:
    log = FailureLog(lambda: 0.0)
    log.record_failure("project", "away")
    log.record_success("project")
    assert log.record_failure("project", "away")
