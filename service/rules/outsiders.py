"""Outsiders: what their changes may say, and how far the commands of others reach."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from service.deliveries.observation import Observation, Outsider
from service.lifecycle.events import (
    Concluded,
    Declared,
    LifecycleEvent,
    Reopened,
    Shipped,
    Signalled,
    Started,
    Withdrawn,
)
from service.lifecycle.references import Ref
from service.lifecycle.trust import projects_of
from service.rules.model import Rules

OUTSIDERS = "an outsider's change"
"""The text that the events of `state_outsider` show in place of a rule."""


def find_outsiders(rules: Rules, provider: str, observed: Sequence[Observation]) -> Mapping[Ref, Outsider]:
    """The outsiders of a delivery, by subject.

    If the rules trust the forks of the provider, only the outsiders remain whose rights the payload tells.
    """
    trusted = provider.lower() in rules.trust_forks
    found = (each for each in observed if isinstance(each, Outsider))
    return {each.subject: each for each in found if each.certain or not trusted}


def state_outsider(outsider: Outsider | None) -> Iterator[LifecycleEvent]:
    """The events that a change is an outsider's, and that someone merged it. A run on a commit states none."""
    if outsider is None or not projects_of([outsider.subject]):
        return
    yield Declared(outsider.subject, outsider.since, "outsider", "true", "item")
    if outsider.until is not None:
        yield Withdrawn(outsider.subject, outsider.until, "outsider", "true", "item")


def confine(stated_by: Ref, targets: frozenset[Ref]) -> frozenset[Ref]:
    """The targets of a link that are in the project of the subject whose payload states the link."""
    own = projects_of([stated_by])
    return frozenset(target for target in targets if projects_of([target]) & own)


def widen(events: Iterable[LifecycleEvent], across: tuple[str, ...]) -> list[LifecycleEvent]:
    """The events of commands, with the patterns of the further projects whose experiments the commands apply to."""
    return [_widen(event, across) for event in events] if across else list(events)


def _widen(event: LifecycleEvent, across: tuple[str, ...]) -> LifecycleEvent:
    match event:
        case Started() | Signalled() | Concluded() | Reopened() | Shipped() | Declared() | Withdrawn():
            return replace(event, across=across)
        case _:
            return event
