"""Plain English, as far as a machine can see it: openings and turns of phrase that make a reader stop.

Reads comments, docstrings, messages, test names and documents. `python -m tests.support.prose [PATH …]` prints each
place and ends with status 1 where there is one. A sentence that no pattern finds can still be hard to read: the check
keeps known habits out, and reviewers judge the rest.
"""

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.paths import REPOSITORY

_OPENINGS = re.compile(
    r"(?:Who|Whoever|Whom|Whose|What|Whatever|Of (?!course)|Those|Where nothing|Nobody|Somebody|Not even)\b[^?]*$"
)
"""How no sentence begins; a question may."""
_TURNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:nobody|somebody|whoever|everybody)\b",
        r"\b(?:is|are|was|were|be) told (?:of|about)\b",
        r"\bha(?:s|ve) it that\b",
        r"\bfor who\b",
        r"\b(?:leave|leaves|left) away\b",
        r"\bso far as\b",
        r"\bthere (?:is|are) none such\b",
        r"\bstands? here (?:twice|once)\b",
        r"\bsaid once more\b",
        r"\bof ours\b",
        r"\bsigns? of life\b",
        r"\bwhat became of\b",
        r"\bcome(?:s)? to be (?:known|told)\b",
        r"\bis nothing to\b",
        r"\bnot any more\b",
        r"\bby what (?:is|was|they|it)\b",
        r"\b(?:is|are) no (?:setting|command|name|time|number|text)\b",
    )
)
_MESSAGE_WORDS = 4
_SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z`*])")
_CODE = re.compile(r"`[^`]*`|<!--.*?-->|https?://\S+", re.DOTALL)
_FENCE = re.compile(r"^(```|~~~).*?^\1", re.DOTALL | re.MULTILINE)
_DOCUMENTS = {".md", ".gotmpl"}
_COMMENTED = {".yaml", ".yml", ".toml", ".sh", ""}


@dataclass(frozen=True, slots=True)
class Passage:
    """Text for people, and the line on which it begins."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence that begins or turns in a way that no sentence should."""

    file: str
    line: int
    habit: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.habit}: {self.sentence}"


def findings(file: str, text: str) -> Iterator[Finding]:
    """Every habit that a file shows."""
    for passage in passages(Path(file), text):
        for sentence in _SENTENCE_END.split(" ".join(_CODE.sub("`…`", passage.text).split())):
            habits = [match[0] for turn in _TURNS if (match := turn.search(sentence))]
            opening = _OPENINGS.match(sentence.lstrip("-*#|> ").removeprefix("Returns: ").removeprefix("Raises: "))
            if opening:
                habits.append(" ".join(opening[0].split()[:2]) + " …")
            for habit in habits:
                yield Finding(file, passage.line, habit, sentence)


def passages(file: Path, text: str) -> Iterator[Passage]:
    """The texts for people in a file, by its kind."""
    if file.suffix == ".py":
        yield from _of_python(text)
    elif file.suffix in _DOCUMENTS:
        yield from _of_a_document(text)
    elif file.suffix in _COMMENTED:
        yield from _of_comments(text)


def _of_python(text: str) -> Iterator[Passage]:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if len(node.value.split()) >= _MESSAGE_WORDS and not _is_a_statement(node.value):
                yield from _paragraphs(node.lineno, node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield Passage(node.lineno, node.name.removeprefix("test_").replace("_", " ").capitalize())
    yield from _of_comments(text)


def _is_a_statement(text: str) -> bool:
    """Whether a text is SQL, which begins with its verb in capitals."""
    first = text.split(maxsplit=1)[0]
    return len(first) > 1 and first.isupper()


def _of_comments(text: str) -> Iterator[Passage]:
    """Comments, those of following lines together."""
    block: list[str] = []
    begin = last = 0
    for line, comment in _comments(text):
        if line != last + 1 and block:
            yield Passage(begin, " ".join(block))
            block = []
        begin = begin if block else line
        block.append(comment)
        last = line
    if block:
        yield Passage(begin, " ".join(block))


def _comments(text: str) -> Iterator[tuple[int, str]]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, IndentationError, SyntaxError):
        lines = enumerate(text.splitlines(), start=1)
        yield from ((number, one[2]) for number, line in lines if (one := re.match(r"(.*\s)?#+\s+(.*)$", line)))
        return
    for token in tokens:
        if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            yield (
                token.start[0],
                token.string.lstrip("# ").split(" - ")[-1] if "noqa" in token.string else token.string.lstrip("# "),
            )


def _of_a_document(text: str) -> Iterator[Passage]:
    # Code is blanked, so that lines keep their numbers.
    yield from _paragraphs(1, _FENCE.sub(lambda fence: re.sub(r"[^\n]+", "", fence[0]), text))


def _paragraphs(begin: int, text: str) -> Iterator[Passage]:
    line = begin
    for paragraph in re.split(
        r"(\n\s*\n|\n(?=\s*[-*|]\s)|\n(?=\s+\w+(?:, \w+)*: )|\n(?=\s*(?:Args|Raises|Returns|Attributes):))", text
    ):
        if paragraph.strip():
            yield Passage(
                line + len(paragraph) - len(paragraph.lstrip("\n")),
                re.sub(r"^\s*\w+(?:, \w+)*: (?=[a-z])", "", paragraph),
            )
        line += paragraph.count("\n")


def tracked(paths: Sequence[str]) -> list[str]:
    """The files below paths that belong to the project and are written for people; all of them where none is named."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    left_out = re.compile(r"\.lock$|^LICENSE$|^helm/loopgauge/files/|\.json$|prose(_patterns)?\.py$")
    return [name for name in listed.stdout.splitlines() if not left_out.search(name) and (REPOSITORY / name).is_file()]


def main(paths: Sequence[str]) -> int:
    """Print what is found, and return the exit status."""
    found = [
        finding
        for name in tracked(paths)
        for finding in findings(name, (REPOSITORY / name).read_text(encoding="utf-8", errors="replace"))
    ]
    for finding in found:
        print(finding)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
