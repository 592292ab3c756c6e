"""What was marked as an experiment and is left out of figures all the same: why, and since when."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from service.lifecycle.declarations import current_values, declarations_in, latest
from service.lifecycle.events import Declaration, Declared, LifecycleEvent, Withdrawn

UNMARKED = "unmarked"
"""The reason of what was an experiment until its mark was taken off."""


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A subject is left out of figures.

    Attributes:
        reason: `unmarked`, or what was stated, such as `duplicate` or `deleted`.
        since: since when it is left out, UTC.
    """

    reason: str
    since: datetime


def find_exclusion(own: Iterable[LifecycleEvent]) -> Exclusion | None:
    """Why and since when a subject's own events leave it out of figures, or None where they do not.

    What was never marked is not left out, nor is a branch that its change took the place of: there the experiment goes
    on. Whether the subject serves another experiment is the caller's to know; then it is evidence, and not left out.
    """
    declarations = declarations_in(own)
    stated = latest(current_values(declarations, "excluded"))
    if current_values(declarations, "experiment"):
        return Exclusion(stated.value, stated.first) if stated else None
    # Of two at once the branch's, whose experiment goes on.
    taken_off = max(_taken_off(declarations), key=lambda one: (one.occurred_at, one.channel == "branch"), default=None)
    if taken_off is None or taken_off.channel == "branch":
        return None
    return Exclusion(UNMARKED, taken_off.occurred_at)


def _taken_off(declarations: Iterable[Declaration]) -> Iterator[Withdrawn]:
    """Of each mark that was there, what took it off last."""
    by_mark: defaultdict[tuple[str, str], list[Declaration]] = defaultdict(list)
    for declaration in declarations:
        if declaration.field == "experiment":
            by_mark[declaration.channel, declaration.label].append(declaration)
    for statements in by_mark.values():
        if taken_off := _last_effective(sorted(statements, key=_order)):
            yield taken_off


def _last_effective(statements: Sequence[Declaration]) -> Withdrawn | None:
    """The last withdrawal that found the mark there."""
    marked, effective = False, None
    for statement in statements:
        if isinstance(statement, Withdrawn) and marked:
            effective = statement
        marked = isinstance(statement, Declared)
    return effective


def _order(statement: Declaration) -> tuple[datetime, int]:
    # At one instant a withdrawal ends what was only seen, and what was named comes after it.
    seen = isinstance(statement, Declared) and statement.overheard
    return statement.occurred_at, 0 if seen else 1 if isinstance(statement, Withdrawn) else 2
