"""What GitHub runs for the project is pinned and bounded, and covers what is promised to work."""

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
def test_actions_are_pinned_and_their_versions_told(file: Path) -> None:
    assert [used for used in _used(file.read_text()) if not _PINNED.fullmatch(used)] == []


def test_an_action_is_the_same_everywhere() -> None:
    used = {line for file in _FILES for line in _used(file.read_text())}
    names = [line.partition("@")[0] for line in used]
    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("file", _FILES, ids=lambda file: file.stem)
def test_jobs_end_and_may_do_no_more_than_they_say(file: Path) -> None:
    assert yaml.safe_load(file.read_text())["permissions"] == {}
    for name, job in _jobs(file).items():
        assert "permissions" in job, name
        assert "uses" in job or job["timeout-minutes"] <= 45, name


def test_every_supported_python_and_postgresql_is_tried() -> None:
    jobs = _jobs(REPOSITORY / ".github" / "workflows" / "ci.yml")
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    pythons = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    tried = jobs["test"]["strategy"]["matrix"]["python"]
    [unpromised] = set(tried) - set(pythons)
    assert set(pythons) < set(tried)
    assert jobs["test"]["continue-on-error"] == f"${{{{ matrix.python == '{unpromised}' }}}}"
    assert jobs["postgresql"]["strategy"]["matrix"] == {"postgresql": ["15", "16", "17", "18"]}


def _commands(job: dict[str, Any]) -> str:
    """What a job runs, in order: actions by their names, and lines of scripts."""
    return "\n".join(step.get("run") or step["uses"].partition("@")[0] for step in job.get("steps", []))


def _runs(name: str, commands: str) -> bool:
    return re.search(rf"^make {name}$", commands, re.MULTILINE) is not None


def _all_commands() -> dict[str, str]:
    return {f"{file.stem}: {name}": _commands(job) for file in _FILES for name, job in _jobs(file).items()}


def test_every_job_has_the_tools_that_it_needs_before_it_needs_them() -> None:
    needing = {
        name: text
        for name, text in _all_commands().items()
        if _runs("test", text) or _runs("check", text) or ".tools/" in text
    }
    assert needing.keys() >= {"ci: check", "ci: test", "ci: postgresql", "release: chart"}
    for name, text in needing.items():
        go, made = text.find("actions/setup-go"), text.find("make tools")
        needed = min(match.start() for match in re.finditer(r"make (test|check)$|\.tools/", text, re.MULTILINE))
        assert 0 <= go < made < needed, name


def test_helm_is_the_pinned_one_everywhere() -> None:
    named = [word for text in _all_commands().values() for word in re.findall(r"(\S*helm) (?!/)", text)]
    assert set(named) == {".tools/bin/helm"}


def test_what_is_published_is_made_without_a_cache() -> None:
    """Whoever could write to the cache could write into a release."""
    assert "actions/cache" not in (REPOSITORY / ".github" / "workflows" / "release.yml").read_text()


def test_a_release_waits_for_all_that_changes_wait_for() -> None:
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
