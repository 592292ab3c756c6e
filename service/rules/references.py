"""Find the keys of Jira tickets in branch names, titles and messages."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.references import Ref

# The form of project keys in Jira, without well-known names of the same form, such as SHA-256.
_NO_PROJECTS = "AES|COVID|CVE|GPT|HTTP|ISO|PEP|RFC|SHA|TLS|UTF"
_ANY_PROJECT = f"(?!(?:{_NO_PROJECTS})-)[A-Z][A-Z0-9_]{{1,29}}"


@dataclass(frozen=True, slots=True)
class KeyFinder:
    """Finds the keys of Jira tickets in a text."""

    regex: re.Pattern[str]

    @classmethod
    def of(cls, projects: Sequence[str]) -> "KeyFinder":
        """A finder for the keys of these projects; without projects, for any text that has the form of a key.

        Keys of named projects match in any case, because people write `exp/ml-12`. Other keys match only in capitals.
        """
        named = "|".join(re.escape(project) for project in projects)
        project = f"(?i:{named})" if projects else _ANY_PROJECT
        return cls(re.compile(rf"(?<![A-Za-z0-9_])({project})-([1-9][0-9]{{0,8}})(?![A-Za-z0-9])"))

    def find(self, text: str) -> frozenset[Ref]:
        """The tickets that a text names. Only its first `MOST_TARGETS` keys count."""
        keys = islice(self.regex.finditer(text), MOST_TARGETS)
        return frozenset(Ref(f"jira:{key[1].upper()}-{key[2]}") for key in keys)
