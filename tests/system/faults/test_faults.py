"""Every accepted delivery is stored and counted once, whatever parts of the service fail meanwhile."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.pgbouncer import Mode
from tests.support.waiting import PATIENCE_SECONDS
from tests.system.faults.attacks import ATTACKS, attack
from tests.system.faults.busy import MOST_FOLDED, TOO_MANY_LINKS, keep_busy
from tests.system.faults.fuzz import fuzz
from tests.system.faults.long_run import ATTACKED_BYTES, CROWDED_BYTES, INFLIGHT_BYTES
from tests.system.faults.outage import Away, Cluster, crowd, outage
from tests.system.faults.trial import pooled_trial, trial


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory with a path short enough for a Unix socket. At the end, its logs are copied to `tmp_path`."""
    made = Path(tempfile.mkdtemp(prefix="loopgauge-faults-"))
    yield made
    for log in made.glob("*.log"):
        shutil.copy(log, tmp_path)
    shutil.rmtree(made)


def test_no_accepted_delivery_is_lost_or_doubled_when_processes_are_killed_and_frozen(directory: Path) -> None:
    outcome = trial(seed=20, seconds=32, count=60, gap=2, directory=directory)
    assert outcome.wrong() == {}
    assert outcome.sent.refused > 0
    assert all(outcome.faults.values())


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_no_accepted_delivery_is_lost_or_doubled_when_processes_are_killed_behind_a_pooler(
    directory: Path, mode: Mode
) -> None:
    outcome = pooled_trial(seed=7, seconds=8, count=16, gap=1, directory=directory, mode=mode)
    assert outcome.wrong() == {}
    assert all(outcome.faults.values())


@pytest.mark.parametrize("away", [Cluster.frozen, Cluster.killed])
def test_deliveries_during_an_outage_of_postgresql_are_accepted_and_counted_after_it(
    directory: Path, away: Away
) -> None:
    seen = outage(directory, away, seconds=12, rate=200, patience=PATIENCE_SECONDS, answer_seconds=PATIENCE_SECONDS)
    assert seen.offered.others == {}
    assert len(seen.offered.acknowledged) > 2000
    assert seen.stored == seen.counted == len(seen.offered.acknowledged)


@pytest.mark.parametrize("away", [Cluster.frozen, Cluster.killed, Cluster.pooler_killed])
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_deliveries_behind_a_pooler_are_accepted_during_an_outage_and_counted_after_it(
    directory: Path, away: Away, mode: Mode
) -> None:
    seen = outage(
        directory, away, seconds=8, rate=100, patience=PATIENCE_SECONDS, answer_seconds=PATIENCE_SECONDS, mode=mode
    )
    assert seen.offered.others == {}
    assert len(seen.offered.acknowledged) > 800
    assert seen.stored == seen.counted == len(seen.offered.acknowledged)


def test_slow_unsigned_bodies_neither_fill_the_memory_nor_keep_honest_senders_out(
    directory: Path, database_url: str
) -> None:
    seen = crowd(directory, database_url, seconds=12, inflight=INFLIGHT_BYTES, dribbled=2 * INFLIGHT_BYTES)
    assert seen.dribbled["bytes"] > 2 * INFLIGHT_BYTES
    assert set(seen.honest) == {202}
    assert seen.memory < CROWDED_BYTES


def test_random_requests_get_answers_without_faults_and_keep_no_memory(directory: Path) -> None:
    fuzzed = fuzz(directory, seed=3, seconds=10)
    assert not any(fuzzed.problems().values()), fuzzed.problems()
    assert {"counted", "ignored", "failed"} <= {reason.partition(":")[0] for reason in fuzzed.verdicts}


def test_attacks_on_the_http_server_neither_fill_the_memory_nor_keep_honest_senders_out(
    directory: Path, database_url: str
) -> None:
    seen = attack(directory, database_url, seconds=12)
    assert seen.ended.keys() == ATTACKS.keys()
    assert set(seen.statuses) == {"202"}
    assert seen.stored == seen.acknowledged > 0
    assert seen.memory < ATTACKED_BYTES
    # However many requests are malformed, a line a minute says so.
    assert seen.lines < 10


def test_neither_dense_links_nor_a_busy_subject_keep_honest_deliveries_waiting(directory: Path) -> None:
    seen = keep_busy(directory, seconds=20, tickets=1000, repetitions=1000, patience=PATIENCE_SECONDS)
    print(f"slowest answer to an honest sender: {seen.honest.slowest:.2f} s")
    assert seen.honest.others == seen.attack.others == {}
    assert len(seen.honest.acknowledged) >= 190
    assert len(seen.attack.acknowledged) >= 1990
    assert seen.projected == len(seen.honest.acknowledged)
    assert (seen.holders, seen.fell) == (1, [])
    assert TOO_MANY_LINKS in seen.reasons
    assert seen.folded < MOST_FOLDED
