"""The nearest word: what a person probably meant by a word that is not accepted.

Every channel words its refusals with these functions, so all of them read alike: rules files, settings, comment
commands, labels, CloudEvents, the API and the command line.
"""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from types import MappingProxyType

# A comparison takes time in proportion to the lengths of both words, and the word may come from anyone.
_LONGEST = 60
_SHORTEST_BEGINNING = 3


def suggest(word: str, choices: Collection[str], also: Mapping[str, str] = MappingProxyType({})) -> str:
    """The choice that is nearest to the word, or an empty text if no choice is near. Case makes no difference.

    A choice is near if it shares most of its letters with the word, in the same order, or if it is the only choice that
    begins with the word.

    Args:
        also: for other words that people use, the choice that each of them means.
    """
    meant = word.strip().lower()
    if not meant or len(meant) > _LONGEST:
        return ""
    if meant in also:
        return also[meant]
    spelled = {choice.lower(): choice for choice in choices}
    begun = [choice for choice in spelled if len(meant) >= _SHORTEST_BEGINNING and choice.startswith(meant)]
    near = begun if len(begun) == 1 else get_close_matches(meant, spelled, n=1)
    return spelled[near[0]] if near else ""


def did_you_mean(word: str, choices: Collection[str], also: Mapping[str, str] = MappingProxyType({})) -> str:
    """The question for the nearest choice, such as `did you mean intelligent?`; an empty text if no choice is near."""
    nearest = suggest(word, choices, also)
    return f"did you mean {nearest}?" if nearest else ""


def expected_one_of(word: str, choices: Collection[str], also: Mapping[str, str] = MappingProxyType({})) -> str:
    """The message about a word that is none of the choices.

    For example: `expected one of intelligent, basic, complex; did you mean intelligent?` A single choice reads
    `expected defaults`.
    """
    listed = ", ".join(choices)
    expected = f"expected one of {listed}" if len(choices) > 1 else f"expected {listed}"
    return "; ".join(filter(None, (expected, did_you_mean(word, choices, also))))


def distance(word: str, expected: str, most: int) -> int:
    """The optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours.

    A distance of more than `most` may be any number above it.
    """
    if abs(len(word) - len(expected)) > most:
        return most + 1
    before: list[int] = []
    last = list(range(len(expected) + 1))
    for row, letter in enumerate(word, 1):
        this = [row]
        for column, other in enumerate(expected, 1):
            edits = min(last[column] + 1, this[column - 1] + 1, last[column - 1] + (letter != other))
            if row > 1 and column > 1 and word[row - 2 : row] == expected[column - 1] + expected[column - 2]:
                edits = min(edits, before[column - 2] + 1)
            this.append(edits)
        before, last = last, this
    return last[-1]
