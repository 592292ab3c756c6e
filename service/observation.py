"""Observations: what a delivery says, in words that are the same for every provider. Pure.

A provider turns bytes into observations and judges nothing; the rules say what an observation means.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from service.lifecycle.evidence import Ref


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemSeen:
    """How an item or a change looked when the payload was made."""

    subject: Ref
    seen_at: datetime
    project: str
    """Where it lives, as the provider writes it, such as `acme/app`."""
    title: str
    url: str
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeSeen:
    """What a change is made of and what it says it serves, when the payload was made."""

    subject: Ref
    seen_at: datetime
    branch: str
    commits: tuple[Ref, ...]
    """Its head and, once merged, its merge commit."""
    closes: frozenset[Ref]
    """The items that its body says it closes."""


Happening = Literal["created", "assigned", "closed", "not planned", "duplicate", "merged", "reopened"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemChanged:
    """Something happened to an item or a change, at a time that the payload names."""

    subject: Ref
    happened: Happening
    at: datetime
    is_change: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelChanged:
    """One label was added or removed."""

    subject: Ref
    label: str
    added: bool
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished:
    """A pipeline run on a commit came to its end."""

    subject: Ref
    workflow: str
    conclusion: str
    """In the provider's word; empty where it gave none."""
    at: datetime


Observation: TypeAlias = ItemSeen | ChangeSeen | ItemChanged | LabelChanged | RunFinished


@dataclass(frozen=True, slots=True)
class Nothing:
    """A delivery that says nothing of use, with the reason in words that its sender understands."""

    reason: str
