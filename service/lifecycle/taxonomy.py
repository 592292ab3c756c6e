"""The closed vocabularies of the domain, among them Edmondson's kinds of failure.

This module defines each word, so that people can decide how to classify an experiment. The kinds of failure are those
of Amy C. Edmondson: "Strategies for Learning from Failure", Harvard Business Review, April 2011, and "Right Kind of
Wrong: The Science of Failing Well", 2023.
"""

from collections.abc import Mapping
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
    """The team gave up the experiment before there was an answer. The experiment is concluded, but not answered."""
    UNDECLARED = "undeclared"
    """The experiment was closed without a stated outcome. No event can declare this outcome."""


class FailureCategory(StrEnum):
    """The kind of a failure, for experiments whose outcome is *failed*."""

    INTELLIGENT = "intelligent"
    """A thoughtful try in new territory, with a hypothesis and no larger than necessary: a failure worth having."""
    BASIC = "basic"
    """A preventable error in known territory, with one cause: a sign of too little investment in quality."""
    COMPLEX = "complex"
    """Several causes across a familiar system, each harmless alone: a sign of broken communication."""
    UNCLASSIFIED = "unclassified"
    """A failure without a declared category. No event can declare this category."""


class Risk(StrEnum):
    """The risk of an experiment, as its team declares it."""

    BOLD = "bold"
    """New territory: failing is likely, and so is learning."""
    SAFE = "safe"
    """Known territory: success is likely."""


class State(StrEnum):
    """The progress of an experiment."""

    PROPOSED = "proposed"
    """The idea was proposed, and work has not started."""
    RUNNING = "running"
    """Work has started, and the experiment is not concluded."""
    CONCLUDED = "concluded"
    """The experiment is concluded."""


def _meaning(words: Mapping[StrEnum, str]) -> Mapping[str, str]:
    return {word: meant.value for meant, others in words.items() for word in others.split()}


OUTCOME_WORDS = _meaning(
    {
        Outcome.WORKED: "success successful succeed succeeded works working validated confirmed proven passed positive "
        "win won yes",
        Outcome.FAILED: "failure unsuccessful invalidated disproved disproven refuted falsified rejected negative lost "
        "no",
        Outcome.INCONCLUSIVE: "unclear unknown undecided unsure mixed neutral",
        Outcome.ABANDONED: "cancelled canceled dropped stopped withdrawn wontfix wont-fix wontdo wont-do given-up",
    }
)
"""Other words that people write for an outcome. A refusal proposes the outcome; no event accepts these words."""
CATEGORY_WORDS = _meaning(
    {
        FailureCategory.INTELLIGENT: "smart thoughtful",
        FailureCategory.BASIC: "simple preventable mistake",
        FailureCategory.COMPLEX: "complicated systemic",
    }
)
"""Other words that people write for a failure category."""
RISK_WORDS = _meaning({Risk.BOLD: "high risky", Risk.SAFE: "low"})
"""Other words that people write for a risk."""
