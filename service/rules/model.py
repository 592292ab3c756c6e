"""What the rules make of a delivery."""

from dataclasses import dataclass
from typing import Literal

from service.lifecycle.events import LifecycleEvent
from service.lifecycle.evidence import LinkSet

Verdict = Literal["counted", "ignored", "failed"]


@dataclass(frozen=True, slots=True)
class Interpretation:
    """What one delivery says about experiments, and why.

    A delivery about an unmarked item is *ignored*, with the reason, and its events are kept all the same: a mark
    or a link that comes later makes them count.
    """

    verdict: Verdict
    reason: str
    """Of a counted delivery the rules that matched, of another one why it does not count."""
    events: tuple[LifecycleEvent, ...] = ()
    links: tuple[LinkSet, ...] = ()
