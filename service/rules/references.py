"""Find keys, such as `ML-12` of a Jira ticket, in branch names, titles and messages. A key names no
provider, so it refers to a ticket of each provider whose keys have this form.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice

from service.lifecycle.evidence import MOST_TARGETS
from service.lifecycle.references import KeyGrammar, Ref, ReferenceGrammar


@dataclass(frozen=True, slots=True)
class KeyFinder:
    """Finds the keys of all providers in a text.

    Attributes:
        regexes: for each provider that has keys, the regular expression of a key and the grammar of references.
    """

    regexes: Mapping[str, tuple[re.Pattern[str], ReferenceGrammar]]

    @classmethod
    def of(cls, projects: Sequence[str], grammars: Mapping[str, ReferenceGrammar]) -> "KeyFinder":
        """A finder for the keys of these projects; without projects, for any text that has the form of a key.

        Args:
            grammars: the grammar of references for each provider, by the provider's name.
        """
        return cls(
            {
                provider: (_compile(projects, grammar.key), grammar)
                for provider, grammar in grammars.items()
                if grammar.key is not None
            }
        )

    def find(self, text: str) -> frozenset[Ref]:
        """The subjects that a text names. Only the first `MOST_TARGETS` keys in the text count."""
        keys = chain.from_iterable(
            (Ref(f"{provider}:{grammar.canonical(key[0])}") for key in regex.finditer(text))
            for provider, (regex, grammar) in self.regexes.items()
        )
        return frozenset(islice(keys, MOST_TARGETS))


def _compile(projects: Sequence[str], grammar: KeyGrammar) -> re.Pattern[str]:
    """Return the regular expression of a key.

    If `projects` names projects, only their keys match, in capitals or small letters, because people write `exp/ml-12`.
    If `projects` is empty, the keys of all projects match, but only in capitals.
    """
    named = "|".join(re.escape(project) for project in projects)
    project = f"(?i:{named})" if projects else grammar.any_project
    return re.compile(rf"(?<![A-Za-z0-9_])(?:{project})-{grammar.number}(?![A-Za-z0-9])")
