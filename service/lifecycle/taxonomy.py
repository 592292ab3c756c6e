"""The closed vocabularies of the domain, among them Edmondson's kinds of failure.

People read this module to decide how to classify, so each word carries its definition. The kinds of
failure are those of Amy C. Edmondson: "Strategies for Learning from Failure", Harvard Business Review,
April 2011, and "Right Kind of Wrong: The Science of Failing Well", 2023.
"""

from enum import StrEnum


class Outcome(StrEnum):
    """What a concluded experiment said about its idea."""

    WORKED = "worked"
    """The idea did what it was meant to do."""
    FAILED = "failed"
    """The idea did not do what it was meant to do, and that is now known."""
    INCONCLUSIVE = "inconclusive"
    """The experiment ended without telling whether the idea works."""
    ABANDONED = "abandoned"
    """The experiment was given up before an answer: concluded, but not answered."""
    UNDECLARED = "undeclared"
    """The experiment was closed and nobody said how it went. Never declared, only observed."""


class FailureCategory(StrEnum):
    """The kind of a failure, for experiments whose outcome is *failed*."""

    INTELLIGENT = "intelligent"
    """A thoughtful try in new territory, with a hypothesis, as small as it could be: want more of these."""
    BASIC = "basic"
    """A preventable error in known territory, with one cause: an under-investment in quality."""
    COMPLEX = "complex"
    """Several causes across a familiar system, each harmless alone: communication that broke down."""
    UNCLASSIFIED = "unclassified"
    """A failure that nobody has classified. Never declared, only observed."""


class Risk(StrEnum):
    """How far into the unknown the team said that an experiment reaches."""

    BOLD = "bold"
    """New territory: failing is likely, and so is learning."""
    SAFE = "safe"
    """Known territory: a likely success."""


class State(StrEnum):
    """How far a loop has come."""

    PROPOSED = "proposed"
    """There is an idea, and no sign of a start."""
    RUNNING = "running"
    """Somebody has started, and there is no conclusion."""
    CONCLUDED = "concluded"
    """The loop is closed."""
