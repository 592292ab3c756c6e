"""Every command in a Markdown file exists, and every block of commands says how the suite checks it."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from pathlib import Path

import click

from service.cli import main
from tests.support.documents import blocks
from tests.support.paths import REPOSITORY
from tests.support.prose import list_files

_MARKDOWN = [REPOSITORY / name for name in list_files([]) if name.endswith(".md") and name != "CHANGELOG.md"]
_WAYS = {"run", "run with", "example", "not run"}
_MARKS = _WAYS | {"printed", "file"}
_TESTS = "".join(path.read_text() for path in (REPOSITORY / "tests").rglob("*.py"))
_TARGETS = re.findall(r"^([a-z]+):.*##", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
_INLINE = re.compile(r"`((?:loopgauge|make) [^`\n]+(?:\n[^`\n]+)?)`")
_ENDS = {"|", ">", ">>", "&&", "||", ";", "<", "#", "…"}
_CONTAINERS = (["docker", "compose"], ["docker", "run"])


def test_each_block_of_commands_says_how_the_suite_checks_it() -> None:
    shell = [block for page in _MARKDOWN for block in blocks(page) if block.language == "sh"]
    assert len(shell) > 20
    # tests/support/documents.py describes the marks.
    assert [block.place for block in shell if not _is_checked(block.marks)] == []


def test_each_mark_is_known_and_complete() -> None:
    found = [block for page in _MARKDOWN for block in blocks(page)]
    assert [block.place for block in found if block.marks.keys() - _MARKS] == []
    assert [block.place for block in found if len(block.marks.get("not run", "a reason").split()) < 2] == []
    assert [block.place for block in found if "example" in block.marks and not _is_read(block.marks)] == []


def _is_checked(marks: Mapping[str, str]) -> bool:
    """Whether the marks name exactly one way to check the block. `example` may stand alone or beside another way."""
    ways = _WAYS & marks.keys() - {"example"}
    return len(ways) == 1 or (not ways and "example" in marks)


def _is_read(marks: Mapping[str, str]) -> bool:
    return f'"{marks["example"]}"' in _TESTS


def test_each_command_exists_with_its_options() -> None:
    commands = [(page.name, command) for page in _MARKDOWN for command in _commands(page)]
    assert len(commands) > 40
    assert [(page, complaint) for page, command in commands for complaint in _complaints(command)] == []


def test_a_command_or_option_that_does_not_exist_is_found() -> None:
    assert list(_complaints(["deliveries", "list", "--all"])) == []
    assert list(_complaints(["deliveries", "lost"])) == ["no command `loopgauge deliveries lost`"]
    assert list(_complaints(["explain", "x", "--colour=1"])) == ["no option --colour of `loopgauge explain`"]
    assert list(_complaints(["postgres", "--colour", "psql"])) == ["no option --colour of `loopgauge postgres`"]
    assert list(_complaints(["postgres", "psql", "--quiet"])) == []


def test_each_target_of_make_exists() -> None:
    named = {target for page in _MARKDOWN for words in _written(page) for target in _targets(words)}
    assert len(named) > 5
    assert named <= set(_TARGETS)


def _written(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command line in blocks and in inline code."""
    lines = [line for block in blocks(page) if block.language == "sh" for line in _joined(block.text)]
    for line in [*lines, *_INLINE.findall(page.read_text())]:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|;>&<")
        lexer.whitespace_split = True
        try:
            yield list(lexer)
        except ValueError:  # A quoted text begins or ends on this line, so shlex cannot split it.
            continue


def _joined(text: str) -> list[str]:
    return text.replace("\\\n", " ").splitlines()


def _commands(page: Path) -> Iterator[list[str]]:
    """Yield the arguments of each `loopgauge` command."""
    for words in _written(page):
        in_container = words[:2] in _CONTAINERS
        # `docker compose exec loopgauge loopgauge …` names the container before the program.
        for start in [index for index, word in enumerate(words) if word.removeprefix(".venv/bin/") == "loopgauge"][-1:]:
            if in_container or not start or words[start - 1] in _ENDS or "=" in words[start - 1]:
                yield list(takewhile(lambda word: word not in _ENDS, words[start + 1 :]))


def _complaints(arguments: Sequence[str]) -> Iterator[str]:
    command: click.Command = main
    context, path, rest = click.Context(main, **main.context_settings), ["loopgauge"], list(arguments)
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-") and not rest[0].isupper():
        path.append(rest.pop(0))
        found = command.get_command(context, path[-1])
        if found is None:
            yield f"no command `{' '.join(path)}`"
            return
        command = found
    if command.context_settings.get("ignore_unknown_options"):
        # The other options are those of the program that the command runs.
        rest = list(takewhile(lambda word: word.startswith("-"), rest))
    known = {option for parameter in command.params for option in [*parameter.opts, *parameter.secondary_opts]}
    for option in (word.partition("=")[0] for word in rest if word.startswith("-")):
        if option not in known | {"-h", "--help", "--version"}:
            yield f"no option {option} of `{' '.join(path)}`"


def _targets(words: Sequence[str]) -> Iterator[str]:
    if "make" in words:
        named = takewhile(lambda word: word not in _ENDS, words[words.index("make") + 1 :])
        yield from (word for word in named if "=" not in word and not word.startswith("-"))
