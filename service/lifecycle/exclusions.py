"""Exclusions: subjects that were marked as experiments and are excluded from metrics."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.lifecycle.declarations import current_values, declarations_in, latest
from service.lifecycle.events import Declaration, Declared, LifecycleEvent, Withdrawn

UNMARKED = "unmarked"
"""The reason for excluding a subject whose mark as an experiment was withdrawn."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """The exclusion of a subject from metrics.

    Attributes:
        reason: `unmarked`, or the declared reason, such as `duplicate` or `deleted`.
        since: the beginning of the exclusion, UTC.
    """

    reason: str
    since: datetime


def find_exclusion(own: Iterable[LifecycleEvent]) -> Exclusion | None:
    """Find a subject's exclusion in the subject's own events. Return None if the subject is not excluded.

    - A subject that is marked as an experiment is excluded if a reason is declared.
    - A subject that is no longer marked is excluded as `unmarked`. The exception is a branch for which a pull request
      was opened: the pull request continues the experiment, so the branch is not excluded.
    - A subject that was never marked is not excluded.

    The subject's links are not considered. The caller must ignore the exclusion of a subject that has a marked
    ancestor: this subject is evidence for another experiment.
    """
    declarations = declarations_in(own)
    stated = latest(current_values(declarations, "excluded"))
    if current_values(declarations, "experiment"):
        return Exclusion(stated.value, stated.first) if stated else None
    # On channel `branch`, a mark is withdrawn when a pull request is opened for the branch. Among withdrawals with
    # equal times, this one counts as the last, so that the branch is not excluded.
    last = max(
        _withdrawn_marks(declarations), key=lambda mark: (mark.occurred_at, mark.channel == "branch"), default=None
    )
    if last is None or last.channel == "branch":
        return None
    return Exclusion(UNMARKED, last.occurred_at)


def _withdrawn_marks(declarations: Iterable[Declaration]) -> Iterator[Withdrawn]:
    """For each channel and label that marked the subject, the last withdrawal that ended this mark, if any."""
    by_mark: defaultdict[tuple[str, str], list[Declaration]] = defaultdict(list)
    for declaration in declarations:
        if declaration.field == "experiment":
            by_mark[declaration.channel, declaration.label].append(declaration)
    for statements in by_mark.values():
        if withdrawn := _last_effective(sorted(statements, key=_order)):
            yield withdrawn


def _last_effective(statements: Sequence[Declaration]) -> Withdrawn | None:
    """The last withdrawal that ended a mark, or None if no withdrawal ended one."""
    marked, effective = False, None
    for statement in statements:
        if isinstance(statement, Withdrawn) and marked:
            effective = statement
        marked = isinstance(statement, Declared)
    return effective


def _order(statement: Declaration) -> tuple[datetime, int]:
    # Tie-break: of statements with equal times, overheard declarations come first, then withdrawals, then the other
    # declarations. So a withdrawal ends an overheard mark, and a mark that was not overheard outlasts a withdrawal.
    overheard = isinstance(statement, Declared) and statement.overheard
    return statement.occurred_at, 0 if overheard else 1 if isinstance(statement, Withdrawn) else 2
