"""The conclusion of an experiment: which one is current, and its outcome and failure category."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from service.lifecycle.declarations import CurrentValue, current_values, latest
from service.lifecycle.events import Concluded, Declaration, LifecycleEvent, Reopened, Shown
from service.lifecycle.fields import FieldName
from service.lifecycle.shown import reopenings
from service.lifecycle.taxonomy import FailureCategory, Outcome


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The current conclusion, if there is one, and the time of the last reopening that took effect."""

    concluded: Concluded | None
    reopened_at: datetime | None


def find_conclusion(events: Sequence[LifecycleEvent]) -> Conclusion:
    """Find the current conclusion, and the last reopening that took effect. The events must be in order of time."""
    reopened = frozenset(reopenings(events))
    concluded: Concluded | None = None
    reopened_at: datetime | None = None
    # The conclusion before a reopening that only a state shows. If a later state shows the item closed since then, this
    # conclusion counts again.
    before: Conclusion | None = None
    # The final statuses that the ticket has entered since the last reopening. A reopening takes effect if the ticket
    # leaves one of them, or if the event names no status.
    entered: set[str] = set()
    for event in events:
        match event:
            case Concluded(status=status):
                concluded, before = concluded or event, None
                entered.add(status)
            case Reopened(left=left) if concluded and (not left or left in entered):
                concluded, reopened_at, before = None, event.occurred_at, None
                entered.clear()
            case Shown(is_open=True, occurred_at=at) if concluded and at in reopened and concluded.occurred_at < at:
                before = Conclusion(concluded, reopened_at)
                concluded, reopened_at = None, at
            case Shown(is_open=False) if before:
                concluded, reopened_at, before = before.concluded, before.reopened_at, None
            case _:
                pass
    return Conclusion(concluded, reopened_at)


def classify(
    conclusion: Conclusion, declarations: Sequence[Declaration]
) -> tuple[Outcome | None, FailureCategory | None]:
    """The outcome and the failure category of the current conclusion.

    The outcome is None if there is no conclusion. The category is None unless the outcome is *failed*.
    """
    if conclusion.concluded is None:
        return None, None
    declared = latest(values_since_reopening(conclusion, declarations, "outcome"))
    categorised = latest(values_since_reopening(conclusion, declarations, "failure_category"))
    if declared:
        outcome = Outcome(declared.value)
    elif conclusion.concluded.outcome is not None:
        outcome = conclusion.concluded.outcome
    else:
        outcome = Outcome.FAILED if categorised else Outcome.UNDECLARED
    if outcome is not Outcome.FAILED:
        return outcome, None
    return outcome, FailureCategory(categorised.value) if categorised else FailureCategory.UNCLASSIFIED


def values_since_reopening(
    conclusion: Conclusion, declarations: Sequence[Declaration], field: FieldName
) -> list[CurrentValue]:
    """The current values of a field that were declared after the last reopening. Labels that were added before the
    reopening count too, because the subject still has them.
    """
    reopened_at = conclusion.reopened_at
    return [
        value
        for value in current_values(declarations, field)
        if reopened_at is None or value.channel == "label" or value.since > reopened_at
    ]
