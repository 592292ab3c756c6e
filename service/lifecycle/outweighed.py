"""Events that count for an experiment but have no effect on it now, because other events outweigh them.

Only `explain` uses these reasons: a fold needs none of them. Activity has no reason, because each event is activity.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from service.lifecycle.conclusion import find_conclusion, values_since_reopening
from service.lifecycle.declarations import CurrentValue, current_values, latest
from service.lifecycle.events import (
    Active,
    Concluded,
    Declaration,
    Declared,
    LifecycleEvent,
    Proposed,
    Refused,
    Reopened,
    Shipped,
    Shown,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.fields import FieldName
from service.lifecycle.grounds import Grounds
from service.lifecycle.taxonomy import Outcome

_LONGEST = 60
_UNTIL_REOPENED: frozenset[FieldName] = frozenset({"outcome", "failure_category"})
_WORDS = {
    "label": "by label",
    "type": "by issue type",
    "branch": "by branch name",
    "item": "by the item itself",
    "comment": "by comment",
    "api": "by hand or by API",
    "derived": "inferred",
}

_ABSENT = {"label": "absent from the labels", "type": "absent from the types"}


def explain_outweighed(grounds: Grounds, outcome: Outcome | None) -> Callable[[LifecycleEvent], str]:
    """A function that says why an event has no effect on an experiment; the text is empty if the event has one.

    Args:
        outcome: the outcome of the experiment, or None while it is open.
    """
    return _Outweighed(grounds, outcome).explain


@dataclass
class _Outweighed:
    grounds: Grounds
    outcome: Outcome | None

    def explain(self, event: LifecycleEvent) -> str:
        # If nothing proposed the experiment, the earliest event gives the time of the idea.
        gives_idea = self.grounds.proposed is None and event.occurred_at == self.grounds.idea_at
        return "" if gives_idea else self._explain(event)

    def _explain(self, event: LifecycleEvent) -> str:
        match event:
            case Proposed():
                return _since("it has been proposed", self.grounds.proposed, event)
            case Started():
                return self._explain_start(event)
            case Signalled():
                return self._explain_signal(event)
            case Concluded():
                return self._explain_conclusion(event)
            case Reopened():
                return self._explain_reopening(event)
            case Shipped():
                return self._explain_early(event) or _since("it has been shipped", self.grounds.shipped, event)
            case Declared():
                return self._explain_value(event)
            case Withdrawn():
                made = (event.field, event.value, event.channel, event.label) in self._declared
                return "" if made else "nothing had stated the value, so there was nothing to withdraw"
            case Active() | Refused() | Shown():
                return ""

    def _explain_early(self, event: Signalled | Shipped) -> str:
        early = event.occurred_at < self.grounds.idea_at
        return f"it is before the idea at {_format(self.grounds.idea_at)}" if early else ""

    def _explain_start(self, event: Started) -> str:
        proposed, started = self.grounds.proposed, self.grounds.started
        if event is started or event == started:
            return ""
        if event in self.grounds.root_events and proposed and proposed.occurred_at == event.occurred_at:
            return "a start at the moment of the proposal does not count"
        return _since("it has been started", started, event)

    def _explain_signal(self, event: Signalled) -> str:
        if event in (self.grounds.signalled, self.grounds.started):
            return ""
        concluded = self.grounds.conclusion.concluded
        first = self._explain_early(event) or _since("it has had its first result", self.grounds.signalled, event)
        if first or concluded is None:
            return first
        return f"it was concluded at {_format(concluded.occurred_at)}, before this result"

    def _explain_conclusion(self, event: Concluded) -> str:
        concluded, reopened_at = self.grounds.conclusion.concluded, self.grounds.conclusion.reopened_at
        if event == concluded:
            return ""
        if concluded is None or (reopened_at is not None and event.occurred_at <= reopened_at):
            return f"it was reopened at {_format(reopened_at)}" if reopened_at else ""
        # At the time of a state that shows the item open, a conclusion keeps this state from reopening the experiment.
        others = [other for other in self._turns if other != event]
        decides = find_conclusion(others) != self.grounds.conclusion
        return "" if decides else _since("it has been concluded", concluded, event)

    def _explain_reopening(self, event: Reopened) -> str:
        if event not in self._turns:
            return ""
        place = self._turns.index(event)
        before, after = find_conclusion(self._turns[:place]), find_conclusion(self._turns[: place + 1])
        if after != before:
            return ""
        return "it was open" if before.concluded is None else "the status that it left was not final"

    @cached_property
    def _turns(self) -> list[LifecycleEvent]:
        others = Proposed | Started | Signalled | Shipped | Active | Declared | Withdrawn
        return [event for event in self.grounds.decisive if not isinstance(event, others)]

    def _explain_value(self, event: Declared) -> str:
        values = self._values(event.field)
        counting = latest(values)
        if counting and any((one.value, one.channel) == (event.value, event.channel) for one in values):
            if counting.value != event.value:
                return f"{_shorten(counting.value)}, stated {_say(counting)}, outweighs it"
            failed = event.field != "failure_category" or self.outcome in (None, Outcome.FAILED)
            return "" if failed else f"only a failed experiment has a category, and the outcome is {self.outcome}"
        return self._explain_ended(event)

    def _explain_ended(self, event: Declared) -> str:
        """Say what ended a value that is no longer current."""
        statement = (event.field, event.value, event.channel, event.label)
        later = (one for one in self._withdrawn.get(statement, ()) if one.occurred_at >= event.occurred_at)
        if withdrawn := min(later, key=lambda one: one.occurred_at, default=None):
            return self._explain_withdrawn(withdrawn)
        reopened_at = self.grounds.conclusion.reopened_at
        if event.field in _UNTIL_REOPENED and reopened_at and event.occurred_at <= reopened_at:
            return f"it was reopened at {_format(reopened_at)}"
        newer = self._last.get((event.field, event.channel))
        if event.channel != "label" and newer and newer.value != event.value:
            return f"{_shorten(newer.value)} replaced it at {_format(newer.occurred_at)}"
        return ""

    def _explain_withdrawn(self, withdrawn: Withdrawn) -> str:
        at = _format(withdrawn.occurred_at)
        if withdrawn in self._counted:
            return f"it was withdrawn at {at}"
        # No delivery reports the withdrawal: a state that a later payload shows implies it.
        absent = _ABSENT.get(withdrawn.channel, "withdrawn")
        return f"it is {absent} as of {at}"

    @cached_property
    def _counted(self) -> frozenset[LifecycleEvent]:
        return frozenset(self.grounds.counted)

    def _values(self, field: FieldName) -> list[CurrentValue]:
        if field not in self._current:
            declarations = self.grounds.declarations
            self._current[field] = (
                values_since_reopening(self.grounds.conclusion, declarations, field)
                if field in _UNTIL_REOPENED
                else current_values(declarations, field)
            )
        return self._current[field]

    @cached_property
    def _current(self) -> dict[FieldName, list[CurrentValue]]:
        return {}

    @cached_property
    def _declared(self) -> set[tuple[str, str, str, str]]:
        return {_statement(event) for event in self.grounds.declarations if isinstance(event, Declared)}

    @cached_property
    def _withdrawn(self) -> dict[tuple[str, str, str, str], list[Withdrawn]]:
        found: defaultdict[tuple[str, str, str, str], list[Withdrawn]] = defaultdict(list)
        for event in self.grounds.declarations:
            if isinstance(event, Withdrawn):
                found[_statement(event)].append(event)
        return found

    @cached_property
    def _last(self) -> dict[tuple[FieldName, str], Declared]:
        """The newest declaration of each field on each channel. Declarations are in order of time."""
        made = (event for event in self.grounds.declarations if isinstance(event, Declared))
        return {(event.field, event.channel): event for event in made}


def _statement(event: Declaration) -> tuple[str, str, str, str]:
    return event.field, event.value, event.channel, event.label


def _since(what: str, first: LifecycleEvent | None, event: LifecycleEvent) -> str:
    """Say that an earlier event took the effect of an event; empty if there is none, or if it is the event itself."""
    return f"{what} since {_format(first.occurred_at)}" if first is not None and first != event else ""


def _say(value: CurrentValue) -> str:
    return _WORDS[value.channel] if value.channel == "derived" else f"{_WORDS[value.channel]} at {_format(value.since)}"


def _shorten(value: str) -> str:
    return value if len(value) <= _LONGEST else f"{value[: _LONGEST - 1]}…"


def _format(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
