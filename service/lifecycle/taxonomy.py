"""The closed vocabularies of the domain, among them Edmondson's kinds of failure.

This module defines each word, so that people can decide how to classify. The kinds of failure are those of Amy C.
Edmondson: "Strategies for Learning from Failure", Harvard Business Review, April 2011, and "Right Kind of Wrong: The
Science of Failing Well", 2023.
"""

from enum import StrEnum


class Outcome(StrEnum):
    """The answer that a concluded experiment gives about its idea."""

    WORKED = "worked"
    """The idea did what it was meant to do."""
    FAILED = "failed"
    """The idea did not do what it was meant to do."""
    INCONCLUSIVE = "inconclusive"
    """The experiment ended without showing whether the idea works."""
    ABANDONED = "abandoned"
    """The team gave up the experiment before an answer: concluded, but not answered."""
    UNDECLARED = "undeclared"
    """The experiment was closed without a stated outcome. Cannot be declared."""


class FailureCategory(StrEnum):
    """The kind of a failure, for experiments whose outcome is *failed*."""

    INTELLIGENT = "intelligent"
    """A thoughtful try in new territory, with a hypothesis, as small as it could be: a failure worth having."""
    BASIC = "basic"
    """A preventable error in known territory, with one cause: an under-investment in quality."""
    COMPLEX = "complex"
    """Several causes across a familiar system, each harmless alone: communication that broke down."""
    UNCLASSIFIED = "unclassified"
    """A failure without a declared category. Cannot be declared."""


class Risk(StrEnum):
    """The risk of an experiment, as its team declares it."""

    BOLD = "bold"
    """New territory: failing is likely, and so is learning."""
    SAFE = "safe"
    """Known territory: a likely success."""


class State(StrEnum):
    """The progress of an experiment."""

    PROPOSED = "proposed"
    """There is an idea, but no start yet."""
    RUNNING = "running"
    """There is a start, but no conclusion yet."""
    CONCLUDED = "concluded"
    """There is a conclusion."""
