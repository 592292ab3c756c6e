"""Outsiders, whose changes link to their own project only, and the further projects in which commands count."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from service.deliveries.observation import Linked, Observation, Observed, Outsider
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
    """Yield an event that says that an outsider made a change and, if the change was merged, an event that ends this. A
    run on a commit has no such events.
    """
    if outsider is None or not projects_of([outsider.subject]):
        return
    yield Declared(outsider.subject, outsider.since, "outsider", "true", "item")
    if outsider.until is not None:
        yield Withdrawn(outsider.subject, outsider.until, "outsider", "true", "item")


def confine(stated_by: Ref, targets: frozenset[Ref]) -> frozenset[Ref]:
    """Keep the targets of a link that share a project with `stated_by`, the subject whose payload states the link."""
    own = projects_of([stated_by])
    return frozenset(target for target in targets if projects_of([target]) & own)


def keep_branches(observed: Iterable[Observation], outsiders: Mapping[Ref, Outsider]) -> Iterable[Observation]:
    """The observations without those that replace a branch by the change of an outsider, or make it evidence.

    Anyone may open a change from any branch that they can read. Until someone merges the change, the branch stays what
    those with the right to push to it make of it.
    """
    if not outsiders:
        return observed
    return (observation for observation in observed if not _takes_branch(observation, outsiders))


def _takes_branch(observation: Observation, outsiders: Mapping[Ref, Outsider]) -> bool:
    match observation:
        case Observed(kind="superseded"):
            return any(each.until is None and projects_of([each.subject]) for each in outsiders.values())
        case Linked(evidence=evidence, stated_by=subject) if evidence.startswith("branch:"):
            return subject in outsiders and outsiders[subject].until is None
        case _:
            return False


def widen(events: Iterable[LifecycleEvent], across: tuple[str, ...]) -> list[LifecycleEvent]:
    """The events of commands, with the patterns of the further projects to whose experiments the commands apply."""
    return [_widen(event, across) for event in events] if across else list(events)


def _widen(event: LifecycleEvent, across: tuple[str, ...]) -> LifecycleEvent:
    match event:
        case Started() | Signalled() | Concluded() | Reopened() | Shipped() | Declared() | Withdrawn():
            return replace(event, across=across)
        case _:
            return event
