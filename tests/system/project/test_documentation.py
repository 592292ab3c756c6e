"""The commands of each page of the documentation work in the order of the page, and print what the page shows."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from service.providers import PROVIDERS
from tests.support.documents import PAGES, Block, blocks, example
from tests.support.paths import DASHBOARDS, REPOSITORY
from tests.support.prometheus import tool
from tests.support.serving import environment, serving
from tests.support.waiting import PATIENCE_SECONDS, wait_for

_DOCUMENTED = "127.0.0.1:8080"
_TOKENS = {"API_TOKENS__WRITE": "change-me-as-well", "API_TOKENS__ADMIN": "for-an-administrator"}
_SECRETS = {f"SOURCES__{name.upper()}__SECRET": f"change-me-{name}" for name in PROVIDERS if name != "cloudevents"} | {
    "SOURCES__GITHUB__SECRET": "change-me"
}
_RUN = {"run", "run with"}
_WITH_COMMANDS = [page for page in PAGES if any(_RUN & block.marks.keys() for block in blocks(page))]


@dataclass(frozen=True, slots=True)
class _Shell:
    """A shell in a directory. Functions, variables and the working directory last from one block to the next."""

    directory: Path
    address: str
    database_url: str
    data_dir: Path

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        state = self.directory / ".state"
        before = f'[ ! -e "{state}" ] || . "{state}"\n'
        after = f"trap '{{ declare -f; export -p; }} > \"{state}\"' EXIT\n"
        return subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", before + after + script.replace(_DOCUMENTED, self.address)],
            cwd=self.directory,
            env={
                **environment(DATABASE_URL=self.database_url, DATA_DIR=str(self.data_dir), **_TOKENS),
                "PATH": self._path(),
            },
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )

    def _path(self) -> str:
        return f"{self.directory / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"


@pytest.mark.parametrize("page", _WITH_COMMANDS, ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_the_commands_of_a_page_work_and_print_what_the_page_shows(
    page: Path, database_url: str, tmp_path: Path
) -> None:
    with serving(database_url, tmp_path, **_SECRETS, **_TOKENS) as service:
        shell = _Shell(
            _checkout(tmp_path / "checkout"), service.url.removeprefix("http://"), database_url, tmp_path / "data"
        )
        for known in ("a delivery", "a failure"):
            assert shell.run(example(known)).returncode == 0
        wait_for(lambda: service.get("/deliveries").text.count('"counted"') == 2)
        for block, printed in _steps(list(blocks(page))):
            if "file" in block.marks:
                (shell.directory / block.marks["file"]).write_text(block.text)
            else:
                _run(shell, block, printed)


def _steps(found: Sequence[Block]) -> Iterator[tuple[Block, str]]:
    """Yield each block to run or to write, with the text that it prints according to the page."""
    for block, following in zip(found, [*found[1:], None], strict=True):
        if block.marks.keys() & {*_RUN, "file"}:
            yield block, following.text if following and "printed" in following.marks else ""


def _run(shell: _Shell, block: Block, printed: str) -> None:
    if "run with" in block.marks:
        tool(block.marks["run with"])

    def attempt() -> bool:
        ended = shell.run(block.text)
        # A worker processes a delivery some time after it is stored. Until then, a block may fail or print less.
        assert printed or ended.returncode == 0, f"{block.place}: {ended.stdout}{ended.stderr}"
        return ended.returncode == 0 and bool(_pattern(printed).search(_squeezed(ended.stdout)))

    wait_for(attempt, f"output as below {block.place}")


def _pattern(printed: str) -> re.Pattern[str]:
    """A pattern that finds the lines in an output in this order, whatever lies between two lines."""
    lines = [re.escape(_squeezed(line)).replace("…", ".*?") for line in printed.splitlines() if line.strip() != "…"]
    return re.compile(".*?".join(filter(None, lines)), re.DOTALL)


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _checkout(directory: Path) -> Path:
    """A directory with what commands of the documentation expect in a checkout."""
    programs = directory / ".venv" / "bin"
    programs.mkdir(parents=True)
    command = programs / "loopgauge"
    command.write_text(f'#!/bin/sh\nexport PYTHONPATH="{REPOSITORY}"\nexec "{sys.executable}" -m service "$@"\n')
    command.chmod(0o755)
    shutil.copytree(DASHBOARDS, directory / "dashboards", ignore=shutil.ignore_patterns("__pycache__"))
    author = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for arguments in (["init", "--quiet"], [*author, "commit", "--quiet", "--allow-empty", "--message", "x"]):
        subprocess.run(["git", *arguments], cwd=directory, check=True)
    return directory
