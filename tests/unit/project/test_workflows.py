"""The workflows pin actions, set timeouts, and test every supported version of Python and PostgreSQL."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import REPOSITORY

_FILES = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
_PINNED = re.compile(r"uses: ([\w./-]+)@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def _jobs(file: Path) -> dict[str, dict[str, Any]]:
    read: dict[str, dict[str, Any]] = yaml.safe_load(file.read_text())["jobs"]
    return read


def _used(text: str) -> Iterator[str]:
    yield from (line.strip(" -") for line in text.splitlines() if "uses:" in line and "uses: ./" not in line)


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_actions_are_pinned_to_a_commit_and_a_comment_names_the_version(file: Path) -> None:
    assert [used for used in _used(file.read_text()) if not _PINNED.fullmatch(used)] == []


def test_an_action_has_the_same_version_in_all_workflows() -> None:
    used = {line for file in _FILES for line in _used(file.read_text())}
    names = [line.partition("@")[0] for line in used]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_jobs_have_a_timeout_and_declare_their_permissions(file: Path) -> None:
    assert yaml.safe_load(file.read_text())["permissions"] == {}
    for name, job in _jobs(file).items():
        assert "permissions" in job, name
        assert "uses" in job or job["timeout-minutes"] <= 45, name


def test_every_supported_version_of_python_and_postgresql_is_tested() -> None:
    jobs = _jobs(REPOSITORY / ".github" / "workflows" / "ci.yml")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    pythons = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    tested = jobs["python"]["strategy"]["matrix"]["python"]
    [unsupported] = set(tested) - set(pythons)
    assert set(pythons) < set(tested)
    assert jobs["python"]["continue-on-error"] == f"${{{{ matrix.python == '{unsupported}' }}}}"
    assert jobs["postgresql"]["strategy"]["matrix"] == {"postgresql": ["15", "16", "17", "18"]}


def test_only_one_job_runs_the_system_tests() -> None:
    runs = [name for name, text in _all_commands().items() if _runs("test", text)]
    assert runs == ["ci: test"]
    commands = "\n".join(_all_commands().values())
    parts = re.findall(r"^make test TESTS=(.+)$", commands, re.MULTILINE)
    assert parts == ['"tests/unit tests/integration"', "tests/integration"]


def _commands(job: dict[str, Any]) -> str:
    """The scripts of a job's steps, joined by newlines. A step without a script is shown as the name of its action."""
    return "\n".join(step.get("run") or step["uses"].partition("@")[0] for step in job.get("steps", []))


def _runs(name: str, commands: str) -> bool:
    return re.search(rf"^make {name}$", commands, re.MULTILINE) is not None


def _all_commands() -> dict[str, str]:
    return {f"{file.stem}: {name}": _commands(job) for file in _FILES for name, job in _jobs(file).items()}


def test_every_job_installs_its_tools_before_it_uses_them() -> None:
    needing = {
        name: text
        for name, text in _all_commands().items()
        if _runs("test", text) or _runs("check", text) or ".tools/" in text
    }
    assert needing.keys() >= {"ci: check", "ci: test", "release: chart"}
    for name, text in needing.items():
        go, made = text.find("actions/setup-go"), text.find("make tools")
        needed = min(match.start() for match in re.finditer(r"make (test|check)$|\.tools/", text, re.MULTILINE))
        assert 0 <= go < made < needed, name


def test_every_job_uses_the_pinned_helm() -> None:
    named = [word for text in _all_commands().values() for word in re.findall(r"(\S*helm) (?!/)", text)]
    assert set(named) == {".tools/bin/helm"}


def test_the_release_workflow_uses_no_cache() -> None:
    # Another job could write to the cache, and so change what is released.
    assert "actions/cache" not in (REPOSITORY / ".github" / "workflows" / "release.yml").read_text()


def test_a_release_needs_the_same_checks_as_a_change() -> None:
    jobs = _jobs(REPOSITORY / ".github" / "workflows" / "release.yml")
    assert jobs["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert set(_before("release", jobs)) == set(jobs) - {"release"}
    for published in ("image", "chart"):
        assert "ci" in _before(published, jobs)


def _before(name: str, jobs: dict[str, dict[str, Any]]) -> Iterator[str]:
    needed = jobs[name].get("needs", [])
    for one in [needed] if isinstance(needed, str) else needed:
        yield one
        yield from _before(one, jobs)
