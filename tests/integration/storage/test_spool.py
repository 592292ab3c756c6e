"""The spool keeps deliveries on disk, or raises an error that says why it cannot."""

import json
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from service.deliveries.delivery import Delivery
from service.storage.spool import FILE, Spool
from service.storage.spool_file import SpoolUnavailable
from tests.support.builders import at, github

_ANY = github("ping", b'{"zen": "\xc3\xa9"}').delivery(at(2))


def _numbered(number: int, **changed: Any) -> Delivery:
    return replace(_ANY, provider_id=f"{number}", received_at=at(2) + timedelta(seconds=number), **changed)


def _ids(*deliveries: Delivery) -> set[object]:
    return {delivery.id for delivery in deliveries}


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    made = Spool(tmp_path / "data" / "spool")
    yield made
    made.close()


def _file(tmp_path: Path) -> Path:
    return tmp_path / "data" / "spool" / FILE


def test_no_file_exists_before_the_first_delivery(spool: Spool, tmp_path: Path) -> None:
    assert not spool.exists
    assert (spool.count(), spool.read_oldest(10)) == (0, [])
    spool.close()
    assert list(tmp_path.iterdir()) == []
    spool.add([_ANY])
    assert spool.exists


def test_a_directory_may_start_with_a_tilde(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    spool = Spool(Path("~/data/spool"))
    spool.add([_ANY])
    spool.close()
    assert _file(tmp_path).is_file()


def test_a_redelivery_is_added_once(spool: Spool) -> None:
    assert spool.add([_ANY]) == {_ANY.id}
    assert spool.add([_ANY, _numbered(1), _numbered(1)]) == {_numbered(1).id}
    assert spool.add([_ANY]) == frozenset()
    assert spool.count() == 2


def test_the_same_delivery_id_from_two_sources_is_two_deliveries(spool: Spool) -> None:
    assert len(spool.add([_ANY, replace(_ANY, source="github_2")])) == 2


def test_a_batch_with_an_invalid_delivery_is_not_added(spool: Spool) -> None:
    # SQLite rejects a lone surrogate.
    with pytest.raises(UnicodeEncodeError):
        spool.add([_numbered(1), replace(_numbered(2), provider="\ud800"), _numbered(3)])
    assert spool.count() == 0
    assert spool.add([_numbered(1), _numbered(3)]) == _ids(_numbered(1), _numbered(3))


def test_deliveries_are_read_in_the_order_of_arrival(spool: Spool) -> None:
    order = [3, 1, 2, 5, 4]
    for number in order:
        spool.add([_numbered(number)])
    assert spool.read_oldest(3) == [_numbered(3), _numbered(1), _numbered(2)]
    spool.remove([_numbered(1).id, _numbered(3).id])
    spool.add([_numbered(3)])
    assert spool.read_oldest(10) == [_numbered(number) for number in (2, 5, 4, 3)]


def test_a_delivery_is_read_unchanged(spool: Spool) -> None:
    odd = [
        replace(
            _ANY, body=bytes(range(256)) * 500, headers={"x": 'quo"te\\ {}', "empty": "", "é": "\u2028", "n": "\0"}
        ),
        replace(_ANY, provider_id="nul \0 and 'quotes' and é", source="github_2", body=b""),
        replace(_ANY, provider_id="", headers={}, received_at=at(3) + timedelta(microseconds=1)),
    ]
    spool.add(odd)
    assert spool.read_oldest(10) == odd


def test_fewer_deliveries_but_at_least_one_are_read_if_their_bodies_are_large(spool: Spool) -> None:
    spool.add([_numbered(number, body=bytes(20_000_000)) for number in range(3)])
    assert [one.provider_id for one in spool.read_oldest(50)] == ["0"]
    spool.add([_numbered(9, body=bytes(50_000_000))])
    spool.remove([_numbered(number).id for number in range(3)])
    assert [one.provider_id for one in spool.read_oldest(50)] == ["9"]


def test_a_quarantined_delivery_stays_and_blocks_no_other(spool: Spool) -> None:
    spool.add([_numbered(1), _numbered(2)])
    spool.quarantine(_numbered(1).id, "refused")
    assert spool.read_oldest(10) == [_numbered(2)]
    assert spool.count() == 2
    assert spool.add([_numbered(1)]) == frozenset()


def test_another_spool_on_the_same_directory_has_the_deliveries(tmp_path: Path) -> None:
    Spool(tmp_path).add([_numbered(1)])
    first = Spool(tmp_path)
    assert first.add([_numbered(1), _numbered(2)]) == {_numbered(2).id}
    first.close()
    assert Spool(tmp_path).read_oldest(10) == [_numbered(1), _numbered(2)]


def test_concurrent_threads_on_one_file_neither_lose_nor_duplicate_deliveries(tmp_path: Path) -> None:
    spools = [Spool(tmp_path), Spool(tmp_path)]
    kept: list[object] = []
    moved: list[str] = []
    full = threading.Event()

    def keep(spool: Spool, numbers: range) -> None:
        for number in numbers:
            kept.extend(spool.add([_numbered(number), _numbered(number + 1)]))

    def move(spool: Spool) -> None:
        while (taken := spool.read_oldest(7)) or not full.is_set():
            moved.extend(one.provider_id for one in taken)
            spool.remove([one.id for one in taken])
            # SQLite has no queue for its lock: a thread that retries without a pause would starve the others.
            time.sleep(0.005)

    keepers = [
        threading.Thread(target=keep, args=(spools[place % 2], range(50 * place, 50 * place + 50)))
        for place in range(4)
    ]
    movers = [threading.Thread(target=move, args=(spools[0],))]
    for thread in [*keepers, *movers]:
        thread.start()
    for thread in keepers:
        thread.join()
    full.set()
    movers[0].join()
    assert {str(number) for number in range(201)} == set(moved)
    # `add` returns a delivery as new only if the spool does not contain it. The delivery must therefore be moved once
    # for each time that `add` has returned it.
    assert len(kept) == len(moved)
    assert spools[1].count() == 0


_BEGIN = """\
import json, os, resource, signal, sys
from dataclasses import replace
from pathlib import Path
from service.storage.spool import Spool
from service.storage.spool_file import SpoolUnavailable
from tests.support.builders import at, github

def numbered(number, **changed):
    return replace(github("ping", b"{}").delivery(at(2)), provider_id=str(number), **changed)

def attempt(what):
    try:
        return what()
    except SpoolUnavailable as error:
        return f"unavailable: {error}"

directory = Path(sys.argv[1])
"""
_MOUNT = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs -o size=64m none "$0" && exec "$@"')
"""The beginning of a command line that mounts a small disk on a directory and runs the rest of the line there."""


def _program(text: str, *arguments: object, on: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run a program on a spool, in a process of its own."""
    command = [*on, sys.executable, "-c", _BEGIN + text, *map(str, arguments)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)


def _answers(text: str, *arguments: object, on: tuple[str, ...] = ()) -> Any:
    """Run a program, and return its output, which is JSON."""
    ended = _program(text, *arguments, on=on)
    assert ended.returncode == 0
    return json.loads(ended.stdout)


def test_deliveries_survive_the_kill_of_their_process(tmp_path: Path) -> None:
    program = """
spool = Spool(directory)
for number in range(30):
    spool.add([numbered(number)])
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert _program(program, tmp_path).returncode == -signal.SIGKILL
    assert [one.provider_id for one in Spool(tmp_path).read_oldest(100)] == [str(number) for number in range(30)]


def test_processes_that_create_the_file_at_once_share_it(tmp_path: Path) -> None:
    program = """
sys.stdin.read()
spool = Spool(directory)
for number in range(5):
    spool.add([numbered(f"{sys.argv[2]}-{number}")])
"""
    command = [sys.executable, "-c", _BEGIN + program, str(tmp_path)]
    waiting, begin = os.pipe()
    processes = [subprocess.Popen([*command, str(which)], stdin=waiting) for which in range(4)]
    os.close(waiting)
    os.close(begin)
    assert [process.wait(60) for process in processes] == [0, 0, 0, 0]
    assert Spool(tmp_path).count() == 20


def _is_unavailable(spool: Spool, path: Path, because: str) -> None:
    for use in (lambda: spool.add([_ANY]), spool.check_writable, lambda: spool.remove([])):
        with pytest.raises(SpoolUnavailable) as refused:
            use()
        assert str(path) in str(refused.value)
        assert because in str(refused.value)


def test_an_unusable_directory_is_an_error_until_it_is_repaired(spool: Spool, tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    _is_unavailable(spool, _file(tmp_path), "Not a directory")
    assert spool.count() == 0
    (tmp_path / "data").unlink()
    assert spool.add([_ANY]) == {_ANY.id}


def test_a_file_that_is_not_a_database_is_an_error_and_stays_unchanged(spool: Spool, tmp_path: Path) -> None:
    file = _file(tmp_path)
    file.parent.mkdir(parents=True)
    file.write_bytes(b"somebody's notes\n" * 1000)
    _is_unavailable(spool, file, "file is not a database")
    for look in (spool.count, lambda: spool.read_oldest(1)):
        with pytest.raises(SpoolUnavailable):
            look()
    assert file.read_bytes() == b"somebody's notes\n" * 1000
    file.unlink()
    assert spool.add([_ANY]) == {_ANY.id}


def test_a_file_that_another_process_keeps_locked_is_an_error(
    spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.storage.spool_file._BUSY_SECONDS", 0.1)
    spool.add([_numbered(1)])
    spool.close()
    other = sqlite3.connect(_file(tmp_path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    _is_unavailable(spool, _file(tmp_path), "database is locked")
    other.execute("COMMIT")
    other.close()
    assert spool.add([_numbered(1), _numbered(2)]) == {_numbered(2).id}


def test_a_deleted_directory_is_created_again(spool: Spool, tmp_path: Path) -> None:
    spool.add([_numbered(1)])
    shutil.rmtree(tmp_path / "data")
    # Deliveries written to the deleted file would be acknowledged and lost.
    assert spool.add([_numbered(2)]) == {_numbered(2).id}
    assert Spool(_file(tmp_path).parent).read_oldest(10) == [_numbered(2)]


def test_a_file_that_cannot_grow_is_an_error_until_it_can_grow_again(tmp_path: Path) -> None:
    program = """
spool = Spool(directory)
spool.add([numbered(1)])
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, most))
full = attempt(lambda: sorted(spool.add([numbered(2), numbered(3, body=os.urandom(1_000_000))])))
unready = attempt(spool.check_writable)
kept = attempt(lambda: [one.provider_id for one in spool.read_oldest(10)])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
spool.check_writable()
again = len(spool.add([numbered(2), numbered(3)]))
print(json.dumps([full, unready, kept, again, [one.provider_id for one in spool.read_oldest(10)]]))
"""
    full, unready, kept, again, all_kept = _answers(program, tmp_path)
    for refused in (full, unready):
        assert refused.startswith(f"unavailable: the spool {tmp_path / FILE} cannot be used: ")
    assert kept == ["1"]
    assert (again, all_kept) == (2, ["1", "2", "3"])


def test_a_read_only_directory_is_an_error_until_it_is_writable() -> None:
    # Root may write anywhere, so the program changes its user.
    program = """
Spool(directory).add([numbered(1)])
paths = [directory, *directory.iterdir()]
unprivileged = 65534
def become(user):
    if os.getuid() == 0:
        os.seteuid(user)
for path in paths:
    path.chmod(0o555 if path.is_dir() else 0o444)
become(unprivileged)
spool, fresh = Spool(directory), Spool(directory / "more")
answers = [attempt(lambda: len(spool.add([numbered(2)]))), attempt(spool.check_writable)]
answers.append(attempt(lambda: fresh.add([])))
become(0)
for path in paths:
    path.chmod(path.stat().st_mode | 0o700)
answers.append(len(spool.add([numbered(2)])))
print(json.dumps([*answers, [one.provider_id for one in spool.read_oldest(10)]]))
"""
    directory = Path(tempfile.mkdtemp(prefix="loopgauge-spool-"))
    directory.chmod(0o755)
    try:
        full, unready, fresh, again, all_kept = _answers(program, directory)
    finally:
        shutil.rmtree(directory)
    assert full.startswith(f"unavailable: the spool {directory / FILE} cannot be used: ")
    assert "readonly" in full
    assert unready == full
    assert fresh == (
        f"unavailable: the spool {directory / 'more' / FILE} cannot be used: "
        f"[Errno 13] Permission denied: '{directory / 'more'}'"
    )
    assert (again, all_kept) == (1, ["1", "2"])


def test_a_nearly_full_disk_is_not_written_to(spool: Spool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool.add([_numbered(1)])
    with monkeypatch.context() as nearly_full:
        nearly_full.setattr("service.storage.spool_file._SPARE_BYTES", 1 << 60)
        for use in (lambda: spool.add([_numbered(2)]), spool.check_writable):
            with pytest.raises(SpoolUnavailable, match=f"the spool {_file(tmp_path)} is full: .* MiB of its disk"):
                use()
        assert spool.read_oldest(10) == [_numbered(1)]
        spool.remove([_numbered(1).id])
    assert spool.add([_numbered(2)]) == {_numbered(2).id}


def _may_mount() -> bool:
    if shutil.which(_MOUNT[0]) is None:
        return False
    return subprocess.run([*_MOUNT, "/mnt", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.skipif(not _may_mount(), reason="only root may mount a small disk")
def test_a_disk_that_the_spool_has_filled_can_be_emptied(tmp_path: Path) -> None:
    program = """
spool = Spool(directory / "spool")
kept = 0
while not isinstance(full := attempt(lambda: spool.add([numbered(kept, body=os.urandom(1_000_000))])), str):
    kept += 1
unready = attempt(spool.check_writable)
moved = 0
while taken := spool.read_oldest(256):
    spool.remove([one.id for one in taken])
    moved += len(taken)
spool.check_writable()
again = len(spool.add([numbered(1)]))
print(json.dumps([kept, full, unready, moved, again]))
"""
    kept, full, unready, moved, again = _answers(program, tmp_path, on=(*_MOUNT, str(tmp_path)))
    assert kept > 10
    assert moved == kept
    assert again == 1
    for refused in (full, unready):
        assert refused.startswith(f"unavailable: the spool {tmp_path / 'spool' / FILE} is full: ")


def test_the_file_shrinks_when_no_delivery_waits(spool: Spool, tmp_path: Path) -> None:
    spool.add([_numbered(number, body=os.urandom(100_000)) for number in range(50)])
    spool.quarantine(_numbered(49).id, "refused")

    def size() -> int:
        return sum(path.stat().st_size for path in _file(tmp_path).parent.iterdir())

    assert size() > 5_000_000
    spool.remove([_numbered(number).id for number in range(48)])
    spool.remove([_numbered(48).id])
    assert size() < 300_000
    assert spool.count() == 1
    spool.add([_numbered(50)])
    assert spool.read_oldest(10) == [_numbered(50)]


def test_no_other_user_can_read_the_files_or_enter_the_directory(spool: Spool, tmp_path: Path) -> None:
    directory = _file(tmp_path).parent
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    _file(tmp_path).touch(0o644)
    spool.add([_ANY])
    modes = {path.name.removeprefix(FILE): stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()}
    assert modes == {"": 0o600, "-wal": 0o600, "-shm": 0o600}
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_an_emptied_file_is_removed(spool: Spool, tmp_path: Path) -> None:
    spool.add([_numbered(1), _numbered(2)])
    spool.remove([_numbered(1).id])
    assert spool.exists
    spool.remove([_numbered(2).id])
    assert list(_file(tmp_path).parent.iterdir()) == []
    assert (spool.count(), spool.read_oldest(10)) == (0, [])
    assert spool.add([_numbered(3)]) == {_numbered(3).id}


def test_a_file_that_only_a_check_has_created_is_removed(spool: Spool, tmp_path: Path) -> None:
    spool.check_writable()
    assert spool.exists
    spool.tidy()
    assert list(_file(tmp_path).parent.iterdir()) == []


def test_no_delivery_is_lost_if_another_process_removes_the_file(tmp_path: Path) -> None:
    first, second, third = (Spool(tmp_path) for _ in range(3))
    first.add([_numbered(1)])
    second.add([_numbered(1)])
    first.remove([_numbered(1).id])
    third.add([_numbered(2)])
    # The second process still has the removed file open. This process must not write to the removed file, nor remove
    # the log of the new file when it closes the removed one.
    second.close()
    assert (tmp_path / f"{FILE}-wal").stat().st_size > 0
    assert second.add([_numbered(3)]) == {_numbered(3).id}
    assert Spool(tmp_path).read_oldest(10) == [_numbered(2), _numbered(3)]


def test_a_delivery_is_added_to_the_new_file_if_its_process_waits_while_the_file_is_removed(tmp_path: Path) -> None:
    first, second = Spool(tmp_path), Spool(tmp_path)
    first.add([_numbered(1)])
    second.add([_numbered(1)])
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as remover:
        remover.execute("BEGIN IMMEDIATE")
        waiting = threading.Thread(target=second.add, args=([_numbered(2)],))
        waiting.start()
        # The thread has checked the path, and waits for the lock of the old file.
        time.sleep(0.5)
        for path in tmp_path.iterdir():
            path.unlink()
        remover.execute("ROLLBACK")
        waiting.join()
    assert Spool(tmp_path).read_oldest(10) == [_numbered(2)]


def test_quarantined_deliveries_end_with_their_retention(spool: Spool, tmp_path: Path) -> None:
    body = os.urandom(50_000)
    spool.add([_numbered(number, body=body) for number in range(4)])
    for number in (0, 1, 2):
        spool.quarantine(_numbered(number).id, "refused")
    with closing(sqlite3.connect(_file(tmp_path))) as connection:
        connection.execute("UPDATE spooled SET received_at = 'yesterday' WHERE provider_id = '1'")
        connection.commit()
    assert spool.delete_expired(at(2) + timedelta(seconds=1)) == 2
    assert (spool.count(), spool.read_oldest(10)) == (2, [_numbered(3, body=body)])
    assert spool.delete_expired(at(20)) == 1
    spool.remove([_numbered(3).id])
    assert not spool.exists


def test_a_corrupted_delivery_is_quarantined_and_blocks_no_other(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add([_numbered(1), _numbered(2), _numbered(3)])
    with closing(sqlite3.connect(tmp_path / FILE)) as connection:
        connection.execute("UPDATE spooled SET body = x'00112233' WHERE provider_id = '1'")
        connection.execute("UPDATE spooled SET received_at = 'yesterday' WHERE provider_id = '2'")
        connection.commit()
    assert spool.read_oldest(10) == [_numbered(3)]
    assert spool.read_oldest(10) == [_numbered(3)]
    assert spool.count() == 3


def test_checking_the_directory_creates_no_file(tmp_path: Path) -> None:
    Spool(tmp_path / "spool").check_directory()
    assert list((tmp_path / "spool").iterdir()) == []
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnavailable, match="file/spool"):
        Spool(tmp_path / "file" / "spool").check_directory()


def test_the_spool_is_unavailable_while_another_process_keeps_its_file_locked(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    spool.add([_numbered(1)])
    with closing(sqlite3.connect(tmp_path / FILE, isolation_level=None)) as frozen:
        frozen.execute("BEGIN IMMEDIATE")
        for other in (spool, Spool(tmp_path)):
            with pytest.raises(SpoolUnavailable, match="locked"):
                other.add([_numbered(2)])
        frozen.execute("ROLLBACK")
    assert spool.add([_numbered(2)]) == {_numbered(2).id}
