"""Find habits of prose that make a reader stop: openings and turns of phrase that plain English avoids.

The check reads comments, docstrings, messages, test names and documents. `python -m tests.support.prose [PATH …]`
prints each finding, and exits with status 1 if it has found any. A sentence without a finding can still be hard to
read: the check keeps known habits out, and reviewers judge the rest.
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

import yaml

from tests.support.paths import REPOSITORY

_OPENINGS = re.compile(
    r"(?:Who|Whom|Whose|What|Whatever|Which|Where(?! to\b)|How(?! (?:long|old|often|far|many|much)\b)|Of (?!course)"
    r"|Those|All that|Not even)\b[^?]*$"
)
"""Words that begin no sentence, except a question."""
_TURNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # GitHub's documentation signs its example with "It's a Secret to Everybody".
        r"(?<!secret to )\b(?:nobody|somebody|whoever|everybody)\b",
        r"\btold\b",
        r"\btells? of\b",
        r"\bheard (?:of|from)\b",
        r"\bsaid once more\b",
        r"\bha(?:s|ve) it that\b",
        r"\bfor who\b",
        r"\b(?:leave|leaves|left) away\b",
        r"\bso far as\b",
        r"\bthere (?:is|are) none such\b",
        r"(?<!there )\b(?:is|are) (?-i:none)\b(?! of\b)",
        r"\bwhere (?:there (?:is|are)|nothing|none)\b(?! to\b)",
        r"\bstands? (?:here|there|beside|behind)\b",
        r"\b(?:is|are|was|were) held (?:to|against)\b",
        r"\bof ours\b",
        r"\bsigns? of life\b",
        r"\bwhat became of\b",
        r"\bcomes? of (?:it|them|this|that|all|the same)\b",
        r"\bcomes? to be (?:known|told)\b",
        r"\bis nothing to\b",
        r"\b(?:any|not any) more\b(?! (?:than|\w+s)\b)",
        r"\bat the (?:least|most)\b",
        r", but for\b",
        r"\bgoes before\b",
        r"\bin the place of\b",
        r"\blikewise\b",
        r"\bby what (?:is|was|they|it)\b",
        r"\b(?:is|are) no (?:setting|command|name|time|number|text)\b",
    )
)
_MESSAGE_WORDS = 4
_SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+(?=[A-Z`*])")
_CODE = re.compile(r"`[^`]*`|<!--.*?-->|https?://\S+", re.DOTALL)
_FENCE = re.compile(r"^([ ]*)(```|~~~).*?^\1\2", re.DOTALL | re.MULTILINE)
_PARAGRAPH_END = re.compile(
    r"(\n\s*\n|\n(?=\s*[-*|]\s)|\n(?=\s+\w+(?:, \w+)*: )|\n(?=\s*(?:Args|Raises|Returns|Attributes):))"
)
_PARAMETER = re.compile(r"^\s*\w+(?:, \w+)*: (?=[a-z])")
_DOCUMENTS = {".md", ".gotmpl"}
_YAML = {".yaml", ".yml"}
_COMMENTED = {".toml", ".sh", ""}


@dataclass(frozen=True, slots=True)
class Passage:
    """Text for people, and the number of its first line."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence with a habit."""

    file: str
    line: int
    habit: str
    sentence: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.habit}: {self.sentence}"


def find_habits(file: str, text: str) -> Iterator[Finding]:
    """Find every habit in a file."""
    for passage in read_passages(Path(file), text):
        for sentence in _SENTENCE_END.split(" ".join(_CODE.sub("`…`", passage.text).split())):
            for habit in _find_in_sentence(sentence):
                yield Finding(file, passage.line, habit, sentence)


def read_passages(file: Path, text: str) -> Iterator[Passage]:
    """Read the texts for people in a file of any kind."""
    if file.suffix == ".py":
        yield from _read_python(text)
    elif file.suffix in _DOCUMENTS:
        # Blank the code, but keep the numbers of lines.
        yield from _split_paragraphs(1, _FENCE.sub(lambda fence: re.sub(r"[^\n]+", "", fence[0]), text))
    elif file.suffix in _YAML:
        yield from _read_yaml(text)
    elif file.suffix in _COMMENTED:
        yield from _read_comments(text)


def list_files(paths: Sequence[str]) -> list[str]:
    """List the project's files below `paths`, or all of them without paths; omit files that the check must not read."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *paths],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    omitted = re.compile(r"\.lock$|^LICENSE$|^helm/loopgauge/files/|\.json$|(^|/)(test_)?prose\.py$")
    return [name for name in listed.stdout.splitlines() if not omitted.search(name) and (REPOSITORY / name).is_file()]


def main(paths: Sequence[str]) -> int:
    """Print the findings, and return the exit status."""
    findings = [
        finding
        for name in list_files(paths)
        for finding in find_habits(name, (REPOSITORY / name).read_text(encoding="utf-8", errors="replace"))
    ]
    for finding in findings:
        print(finding)
    return 1 if findings else 0


def _find_in_sentence(sentence: str) -> Iterator[str]:
    yield from (match[0] for turn in _TURNS if (match := turn.search(sentence)))
    opening = _OPENINGS.match(sentence.lstrip("-*#|> ").removeprefix("Returns: ").removeprefix("Raises: "))
    if opening:
        yield " ".join(opening[0].split()[:2]) + " …"


def _read_python(text: str) -> Iterator[Passage]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if _is_message(node.value):
                yield from _split_paragraphs(node.lineno, node.value)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield Passage(node.lineno, node.name.removeprefix("test_").replace("_", " ").capitalize())
    yield from _read_comments(text)


def _is_message(text: str) -> bool:
    """Whether a text has at least `_MESSAGE_WORDS` words, and is not SQL, which begins with a word in capitals."""
    words = text.split()
    return len(words) >= _MESSAGE_WORDS and not (len(words[0]) > 1 and words[0].isupper())


def _read_yaml(text: str) -> Iterator[Passage]:
    yield from _read_comments(text)
    try:
        events = list(yaml.parse(text, yaml.SafeLoader))
    except yaml.YAMLError:
        # This file is a template of the Helm chart, which is not YAML until it is rendered.
        return
    for event in events:
        if isinstance(event, yaml.ScalarEvent) and event.start_mark and _is_message(event.value):
            yield Passage(event.start_mark.line + 1, event.value)


def _read_comments(text: str) -> Iterator[Passage]:
    """Read comments, and join those of consecutive lines."""
    block: list[str] = []
    begin = last = 0
    for line, comment in _list_comments(text):
        if line != last + 1 and block:
            yield Passage(begin, " ".join(block))
            block = []
        begin = begin if block else line
        block.append(comment)
        last = line
    if block:
        yield Passage(begin, " ".join(block))


def _list_comments(text: str) -> Iterator[tuple[int, str]]:
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (tokenize.TokenError, IndentationError, SyntaxError):
        # Not Python: `#` begins a comment at the start of a line or after a space, if a space follows it.
        for number, line in enumerate(text.splitlines(), start=1):
            if comment := re.match(r"(?:.*\s)?#+\s+(.*)$", line):
                yield number, comment[1]
        return
    for token in tokens:
        if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            comment_text = token.string.lstrip("# ")
            yield token.start[0], comment_text.split(" - ")[-1] if "noqa" in token.string else comment_text


def _split_paragraphs(begin: int, text: str) -> Iterator[Passage]:
    line = begin
    for paragraph in _PARAGRAPH_END.split(text):
        if paragraph.strip():
            blank = len(paragraph) - len(paragraph.lstrip("\n"))
            yield Passage(line + blank, _PARAMETER.sub("", paragraph))
        line += paragraph.count("\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
