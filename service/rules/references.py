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
        loose: the same for keys in any case, if the rules file names no keys.
    """

    regexes: Mapping[str, tuple[re.Pattern[str], ReferenceGrammar]]
    loose: Mapping[str, tuple[re.Pattern[str], ReferenceGrammar]]

    @classmethod
    def of(cls, projects: Sequence[str], grammars: Mapping[str, ReferenceGrammar]) -> "KeyFinder":
        """A finder for the keys of these projects; without projects, for any text that has the form of a key.

        Args:
            grammars: the grammar of references for each provider, by the provider's name.
        """
        keys = {provider: (grammar.key, grammar) for provider, grammar in grammars.items() if grammar.key is not None}
        regexes = {provider: (_compile(projects, key), grammar) for provider, (key, grammar) in keys.items()}
        loose = {provider: (_compile_key(key.loose_project, key), grammar) for provider, (key, grammar) in keys.items()}
        return cls(regexes, {} if projects else loose)

    def find(self, text: str) -> frozenset[Ref]:
        """The subjects that a text names. Only the first `MOST_TARGETS` keys in the text count."""
        keys = chain.from_iterable(
            (Ref(f"{provider}:{grammar.canonical(key[0])}") for key in regex.finditer(text))
            for provider, (regex, grammar) in self.regexes.items()
        )
        return frozenset(islice(keys, MOST_TARGETS))

    def find_loose(self, text: str) -> frozenset[Ref]:
        """The subjects that a text may name in small letters, such as `jira:ml-12`.

        `Aliases` knows such a name as another name of `jira:ML-12` once Jira's own deliveries name the project. So it
        makes no difference whether they arrive before or after the text.
        """
        keys = chain.from_iterable(
            (Ref(f"{provider}:{key[0].lower()}") for key in regex.finditer(text) if key[0] != grammar.canonical(key[0]))
            for provider, (regex, grammar) in self.loose.items()
        )
        return frozenset(islice(keys, MOST_TARGETS))

    def is_loose(self, reference: Ref) -> bool:
        """Whether a reference names a subject in small letters."""
        provider, _, key = reference.partition(":")
        return provider in self.loose and key != self.loose[provider][1].canonical(key)


def _compile(projects: Sequence[str], grammar: KeyGrammar) -> re.Pattern[str]:
    """Return the regular expression of a key.

    If `projects` names projects, only their keys match, in capitals or small letters, because people write `exp/ml-12`.
    If `projects` is empty, the keys of all projects match, but only in capitals.
    """
    named = "|".join(re.escape(project) for project in projects)
    return _compile_key(f"(?i:{named})" if projects else grammar.any_project, grammar)


def _compile_key(project: str, grammar: KeyGrammar) -> re.Pattern[str]:
    return re.compile(rf"(?<![A-Za-z0-9_])(?:{project})-{grammar.number}(?![A-Za-z0-9])")
