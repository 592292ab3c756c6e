"""The words of comment commands: which command a word stands for, and which wrong words a refusal may quote."""

import re
from collections.abc import Collection, Mapping

from service.lifecycle.acts import ACTS, COMMANDS, FIELD_COMMANDS, RESULT_WORDS, RISKS
from service.lifecycle.fields import DATA_PROPERTIES
from service.lifecycle.nearest import distance, suggest
from service.lifecycle.taxonomy import CATEGORY_WORDS, OUTCOME_WORDS, RISK_WORDS

_RESULTS = tuple(dict.fromkeys(RESULT_WORDS.values()))
WORDS: Mapping[str, str] = {
    **{word: f"conclude {outcome}" for word, outcome in OUTCOME_WORDS.items()},
    **{word: f"classify {category}" for word, category in CATEGORY_WORDS.items()},
    **{outcome: f"conclude {outcome}" for outcome in DATA_PROPERTIES["outcome"].choices},
    **{category: f"classify {category}" for category in DATA_PROPERTIES["failure_category"].choices},
    **{result: f"signal {result}" for result in _RESULTS},
    **{other: act.command for act in ACTS.values() if act.command for other in act.also},
    **{name: act.command for name, act in ACTS.items() if act.command},
    **{word: word for word in (*COMMANDS, *FIELD_COMMANDS, *RISKS)},
}
"""The command that each word stands for: commands, their values, and other words for them."""
VERBS = (*COMMANDS, *FIELD_COMMANDS, *RISKS)
EXPECTED = f"expected one of {', '.join(VERBS)}"

_KNOWN = frozenset((*WORDS, *RESULT_WORDS, *RISK_WORDS))
_CHOICES = frozenset((*COMMANDS, *DATA_PROPERTIES["outcome"].choices, *DATA_PROPERTIES["failure_category"].choices))
# A comparison with every word would take too long for a comment of a thousand lines.
_BY_LETTER = {word[0]: [other for other in WORDS if other[0] == word[0]] for word in WORDS}
_PUNCTUATION = re.compile(r"[^\w-]+")
_JOINED = re.compile(r"([a-z_]+)[:=/-]+([a-z_]+)")
_SEPARATOR = re.compile("[:=/-]")
_MOST_WORDS = 4
# Names of people are near short words of the vocabulary, as `Kris` is near `risk`, and some words are names, as `Mark`
# and `Green` are. So a refusal quotes long words only.
_SHORTEST_QUOTED, _LONG, _LONGER = 6, 7, 9
_LETTERS = re.compile("[a-z-]{6,20}")


def is_meant(word: str) -> bool:
    """Whether a word is the verb of a command, or misspells one and begins with its letter."""
    bare = _PUNCTUATION.sub("", word.lower())
    alike = _BY_LETTER.get(bare[:1], ())
    return bool(suggest(bare, alike) or suggest(_SEPARATOR.split(word.lower(), maxsplit=1)[0], alike))


def are_words(text: str) -> bool:
    """Whether a text consists of a few words of the vocabulary."""
    words = [_PUNCTUATION.sub("", word) for word in text.lower().split()]
    return 0 < len(words) <= _MOST_WORDS and words[0] in WORDS and all(word in _KNOWN for word in words if word)


def quote(word: str) -> str:
    """A wrong word in backticks after a space, or an empty text if the word may be the name of a person.

    A refusal quotes a long word that people use for a word of the vocabulary, and a word that is very near to a long
    word of the vocabulary.
    """
    bare = word.lower()
    known = len(bare) >= _SHORTEST_QUOTED and bare in _KNOWN
    return f" `{bare}`" if known or (_LETTERS.fullmatch(bare) and _misspells_long_word(bare)) else ""


def _misspells_long_word(word: str) -> bool:
    long = ((choice, 2 if len(choice) >= _LONGER else 1) for choice in _CHOICES if len(choice) >= _LONG)
    return any(distance(word, choice, most) <= most for choice, most in long)


def without_punctuation(word: str, choices: Collection[str]) -> str:
    """The advice to write an accepted word without punctuation, or an empty text. A word with @ may be an account."""
    bare = _PUNCTUATION.sub("", word.lower())
    return f"write {bare} without punctuation" if bare in choices and bare != word.lower() and "@" not in word else ""


def propose_command(verb: str) -> str:
    """The question for the command that a word stands for, such as `did you mean conclude failed?`."""
    if joined := _JOINED.fullmatch(verb):
        head, value = joined.groups()
        if (command := WORDS.get(head)) in (*COMMANDS, *FIELD_COMMANDS) and value in _KNOWN:
            return f"did you mean {command} {value}?"
    nearest = suggest(verb if "@" in verb else _PUNCTUATION.sub("", verb), WORDS)
    return f"did you mean {WORDS[nearest]}?" if nearest else ""
