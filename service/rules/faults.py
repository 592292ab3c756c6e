"""The faults of rules files."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault of a rules file.

    Attributes:
        file: the name of the file.
        line: the line of the fault, counted from 1; 0 if the fault is about the file as a whole.
        column: the column of the fault, counted from 1; 0 if the fault is about the file as a whole.
        path: the place of the wrong value in words, such as `rule 3 'a bet', when.label`; empty if the file is not
            YAML.
        message: the problem, the expected value and, if known, the remedy.
    """

    file: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        line = ": ".join(filter(None, (place, self.path, self.message)))
        # A key of the file may contain line breaks, or control the terminal.
        return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in line)


class InvalidRules(Exception):
    """A rules file is invalid. The message has one line for each fault, in the order of the file."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = sorted(dict.fromkeys(faults), key=lambda fault: (fault.file, fault.line, fault.column))
        super().__init__("\n".join(map(str, self.faults)))


def show_found(value: object) -> str:
    """A wrong value in the words of a message: a text in quotation marks, or the kind of any other value."""
    match value:
        case "" | None:
            return "nothing"
        case str() as text:
            return repr(text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…")
        case list():
            return "a list"
        case _:
            return "a mapping"


_LONGEST_SHOWN = 60
