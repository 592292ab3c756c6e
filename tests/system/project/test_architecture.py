"""The rules of direction and purity are enforced: breaking one fails the check."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import REPOSITORY


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of what the checks read."""
    for package in ("service", "dashboards"):
        shutil.copytree(REPOSITORY / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    (tmp_path / "tests" / "support").mkdir(parents=True)
    shutil.copy(REPOSITORY / "tests" / "support" / "contracts.py", tmp_path / "tests" / "support")
    return tmp_path


def _check(directory: Path, *command: str) -> tuple[int, str]:
    ended = subprocess.run(
        [str(Path(sys.executable).parent / command[0]), *command[1:]],
        cwd=directory,
        env={"PYTHONPATH": str(directory), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout + ended.stderr


def _contracts(directory: Path) -> tuple[int, str]:
    return _check(directory, "lint-imports", "--no-cache")


def _prepend(file: Path, line: str) -> None:
    file.write_text(f"{line}\n{file.read_text()}")


def test_the_code_as_it_is_keeps_its_contracts(copy: Path) -> None:
    status, said = _contracts(copy)
    assert status == 0, said


def test_a_stray_module_breaks_them(copy: Path) -> None:
    (copy / "service" / "utils.py").touch()
    status, said = _contracts(copy)
    assert status == 1
    assert "service.utils" in said


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("lifecycle/experiment.py", "import service.rules.model", "Data flows one way"),
        ("storage/inbox.py", "import service.pipeline.receive", "Data flows one way"),
        ("providers/github/__init__.py", "import service.rules.defaults", "Data flows one way"),
        ("api/health.py", "import service.app", "Data flows one way"),
        ("api/health.py", "import service.settings", "The API takes what it needs"),
        ("lifecycle/evidence.py", "import time", "The core is pure"),
        ("rules/interpret.py", "import logging", "The core is pure"),
        ("rules/schema.py", "import pathlib", "The core is pure"),
        ("lifecycle/codec.py", "from concurrent import futures", "The core is pure"),
        ("metrics/view.py", "import ftplib", "The core is pure"),
        ("deliveries/observation.py", "import httpx", "The core is pure"),
        ("metrics/view.py", "import sqlalchemy", "The core is pure"),
        ("providers/github/payloads.py", "from os import environ", "The core is pure"),
        ("deliveries/signatures.py", "import socket", "The core is pure"),
        ("deliveries/delivery.py", "import service.rules.model", "Data flows one way"),
        ("deliveries/decoding.py", "import service.providers.github", "Data flows one way"),
        ("deliveries/decoding.py", "import time", "The core is pure"),
        ("metrics/outcomes.py", "import service.metrics.latency", "Metrics do not know"),
        ("pipeline/receive.py", "import sqlalchemy", "Only storage speaks SQL"),
        ("api/deliveries.py", "import asyncpg", "Only storage speaks SQL"),
        ("cli.py", "import alembic", "Only storage speaks SQL"),
        ("__main__.py", "import sqlalchemy", "Only storage speaks SQL"),
        ("demo/plan.py", "import service.lifecycle.taxonomy", "The demo is an outside client"),
        ("demo/visit.py", "import service.settings", "The demo is an outside client"),
        ("demo/visit.py", "import service.app", "Data flows one way"),
        ("demo/payloads/github.py", "import socket", "The demo's story is pure"),
    ],
)
def test_an_import_against_a_rule_breaks_its_contract(copy: Path, file: str, line: str, broken: str) -> None:
    _prepend(copy / "service" / file, line)
    status, said = _contracts(copy)
    assert status == 1
    assert any(shown.startswith(broken) and " BROKEN" in shown for shown in said.splitlines()), said


def test_two_providers_that_know_each_other_break_their_contract(copy: Path) -> None:
    (copy / "service" / "providers" / "another.py").write_text("import service.providers.github\n")
    status, said = _contracts(copy)
    assert status == 1
    assert "Providers do not know each other BROKEN" in said


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("dashboards/team.py", "import dashboards.failures", "Dashboards do not know each other"),
        ("dashboards/board.py", "import service.storage.inbox", "Dashboards know the domain"),
        ("service/telemetry/__init__.py", "import dashboards.words", "The service does not know"),
    ],
)
def test_a_dashboard_that_knows_too_much_breaks_its_contract(copy: Path, file: str, line: str, broken: str) -> None:
    _prepend(copy / file, line)
    status, said = _contracts(copy)
    assert status == 1
    assert any(shown.startswith(broken) for shown in said.splitlines()), said


@pytest.mark.parametrize(
    "file", ["lifecycle/experiment.py", "storage/inbox.py", "api/webhooks.py", "pipeline/project.py"]
)
@pytest.mark.parametrize(
    "line",
    [
        "import random",
        "import datetime\ndatetime.datetime.now(datetime.UTC)",
        "import time\ntime.time()",
        "from time import monotonic_ns",
    ],
)
def test_reading_the_clock_or_dice_where_it_is_forbidden_fails_the_lint(copy: Path, file: str, line: str) -> None:
    _prepend(copy / "service" / file, line)
    status, said = _check(copy, "ruff", "check", "--select", "TID251", "--no-cache", "service")
    assert status == 1
    assert file in said


@pytest.mark.parametrize(
    ("process", "left_out"),
    [
        ("service.server", {"alembic", "httpx"}),
        ("service.runtime.figures_process", {"alembic", "fastapi", "pydantic", "uvicorn"}),
    ],
)
def test_a_process_starts_without_what_it_seldom_or_never_needs(process: str, left_out: set[str]) -> None:
    program = f"import sys, {process}; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert left_out & set(told.stdout.split()) == set()
