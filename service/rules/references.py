"""Tickets' keys in branches, titles and messages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.references import Ref

# Jira's own form of a project key; a number of more digits is none that anybody has reached.
# What people write in the same form and is no ticket is left out.
_NO_PROJECTS = "AES|COVID|CVE|GPT|HTTP|ISO|PEP|RFC|SHA|TLS|UTF"
_ANY_PROJECT = f"(?!(?:{_NO_PROJECTS})-)[A-Z][A-Z0-9_]{{1,29}}"


@dataclass(frozen=True, slots=True)
class KeyFinder:
    """Finds the keys of Jira tickets in a text."""

    regex: re.Pattern[str]

    @classmethod
    def of(cls, projects: Sequence[str]) -> "KeyFinder":
        """A finder for the keys of these projects, or, where there is none, for all that looks like a key.

        Keys of projects that are named are found in any case, since people write `exp/ml-12`; others in capitals only.
        """
        named = "|".join(re.escape(project) for project in projects)
        project = f"(?i:{named})" if projects else _ANY_PROJECT
        return cls(re.compile(rf"(?<![A-Za-z0-9_])({project})-([1-9][0-9]{{0,8}})(?![A-Za-z0-9])"))

    def find(self, text: str) -> frozenset[Ref]:
        """The first tickets that a text names."""
        found = islice(self.regex.finditer(text), MOST_TARGETS)
        return frozenset(Ref(f"jira:{one[1].upper()}-{one[2]}") for one in found)
