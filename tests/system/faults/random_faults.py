"""Faults at random times: killed and frozen processes, and a full disk."""

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import TypeAlias

from tests.support.pgbouncer import PgBouncer
from tests.system.faults.fleet import Member, Postgres

_SHORTEST, _LONGEST = 1.0, 6.0
# This is longer than the service waits for PostgreSQL to write a batch, so that some batches go to the spool.
_LONGEST_OUTAGE = 10.0
_FILE_SIZES = (0, 4096, 100_000)

Undo: TypeAlias = Callable[[], object]


class Tormentor:
    """Inject one fault after another, in random order. Each kind of fault occurs once before any kind is repeated.

    Args:
        rng: chooses the faults and their times. The work that a fault interrupts depends also on the speed of the
            machine, so two runs with the same seed may have different results.
        apis: the API processes. The last API gets the full disk, so it must not be the process that starts PostgreSQL:
            PostgreSQL would inherit the limit on the size of files that simulates the full disk.
        gap: seconds between two faults, on average.
        pooler: the PgBouncer in front of PostgreSQL. If there is one, the faults are kills of it and of processes of
            the service, because nothing restarts PostgreSQL then.
    """

    def __init__(
        self,
        rng: random.Random,
        apis: Sequence[Member],
        workers: Sequence[Member],
        postgres: Postgres,
        gap: float,
        pooler: PgBouncer | None = None,
    ) -> None:
        self._rng = rng
        self._apis = apis
        self._workers = workers
        self._postgres = postgres
        self._gap = gap
        self._over = threading.Event()
        self._pending: list[tuple[float, Undo]] = []
        self._thread = threading.Thread(target=self._run, name="tormentor")
        self._deck: list[str] = []
        self._faults: dict[str, Callable[[], None]] = {
            "API killed": lambda: self._one(self._apis).kill(),
            "worker killed": lambda: self._one(self._workers).kill(),
        }
        self._faults |= self._further_faults() if pooler is None else {"PgBouncer killed": pooler.restart}
        self.done: Counter[str] = Counter(dict.fromkeys(self._faults, 0))
        self.broken: list[BaseException] = []
        """Errors of the tormentor itself."""

    def _further_faults(self) -> dict[str, Callable[[], None]]:
        return {
            "PostgreSQL killed": self._postgres.kill,
            "PostgreSQL's child killed": lambda: self._postgres.kill_one(self._rng),
            "API frozen": lambda: self._freeze(self._one(self._apis)),
            "worker frozen": lambda: self._freeze(self._one(self._workers)),
            "PostgreSQL frozen": self._freeze_postgres,
            "postmaster frozen": lambda: self._freeze_postgres(only_postmaster=True),
            "disk full and PostgreSQL frozen": self._fill_disk,
        }

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Inject no further fault, and undo the faults that still last."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            self._torment()
        except BaseException as error:
            self.broken.append(error)
            raise
        finally:
            for _, undo in self._pending:
                undo()

    def _torment(self) -> None:
        due = time.monotonic() + self._rng.uniform(0, self._gap)
        while not self._over.wait(0.02):
            now = time.monotonic()
            over = [entry for entry in self._pending if entry[0] <= now]
            self._pending = [entry for entry in self._pending if entry[0] > now]
            for _, undo in over:
                undo()
            if now >= due:
                self._strike()
                due = time.monotonic() + self._rng.uniform(0.3, 1.7) * self._gap

    def _strike(self) -> None:
        if not self._deck:
            self._deck = self._rng.sample(list(self._faults), len(self._faults))
        kind = self._deck.pop()
        self._faults[kind]()
        self.done[kind] += 1

    def _one(self, members: Sequence[Member]) -> Member:
        return self._rng.choice(members)

    def _later(self, undo: Undo, longest: float = _LONGEST) -> None:
        self._pending.append((time.monotonic() + self._rng.uniform(_SHORTEST, longest), undo))

    def _freeze(self, member: Member) -> None:
        pid = member.pid
        member.signal(signal.SIGSTOP, pid)
        self._later(lambda: member.signal(signal.SIGCONT, pid))

    def _freeze_postgres(self, *, only_postmaster: bool = False) -> None:
        stack = ExitStack()
        stack.enter_context(self._postgres.frozen(only_postmaster=only_postmaster))
        self._later(stack.close, _LONGEST_OUTAGE)

    def _fill_disk(self) -> None:
        """Simulate a full disk for the last API, and freeze PostgreSQL, so that this API needs its spool."""
        member = self._apis[-1]
        pid = member.pid
        member.limit_files(self._rng.choice(_FILE_SIZES), pid)
        self._freeze_postgres()
        self._later(lambda: member.limit_files(None, pid), _LONGEST_OUTAGE)
