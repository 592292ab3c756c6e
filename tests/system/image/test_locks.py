"""The image uses one pinned Python, and the development lock contains the pins of all other locks."""

import re
import tomllib
from pathlib import Path
from typing import Any

from tests.support.paths import REPOSITORY
from tests.system.image.building import instructions

_PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())


def test_every_stage_begins_with_the_same_pinned_python() -> None:
    """Each `FROM` spells out the image tag, because Dependabot does not update a tag that comes from a variable."""
    stages = [value.split()[0] for instruction, value in instructions() if instruction == "FROM"]
    assert len(stages) == 2
    [base] = set(stages)
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base)


def test_every_lock_pins_the_versions_of_the_development_lock() -> None:
    everything = _pins(REPOSITORY / "requirements-dev.lock")
    for lock in ("requirements-image.lock", "requirements-build.lock", "requirements.lock"):
        pins = _pins(REPOSITORY / lock)
        assert pins
        assert {name: everything.get(name) for name in pins} == pins


def test_no_embedded_postgresql_and_no_tool_is_in_the_lock_of_the_image() -> None:
    groups = _PROJECT["dependency-groups"]
    unwanted = _names([*groups["build"], *groups["dev"], *_PROJECT["project"]["optional-dependencies"]["embedded"]])
    assert unwanted
    assert not unwanted & set(_pins(REPOSITORY / "requirements-image.lock"))


def test_everything_that_the_service_needs_is_in_the_lock_of_the_image() -> None:
    needed = _names(_PROJECT["project"]["dependencies"])
    assert needed <= set(_pins(REPOSITORY / "requirements-image.lock"))


def test_the_build_tools_are_locked_as_the_build_system_requires() -> None:
    pins = _pins(REPOSITORY / "requirements-build.lock")
    for required in _PROJECT["build-system"]["requires"]:
        name, _, version = required.partition("==")
        assert pins[name][0] == version


def _pins(lock: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """The version of each package in a lock, and the hashes of its files."""
    pins = {}
    for name, version, more in re.findall(r"^(\S+)==(\S+)((?:.*\\\n)*.*)", lock.read_text(), re.MULTILINE):
        pins[name] = version, frozenset(re.findall(r"sha256:\w+", more))
    return pins


def _names(requirements: list[str]) -> set[str]:
    found = (re.match(r"[\w.-]+", one) for one in requirements)
    return {re.sub(r"[-_.]+", "-", name[0]).lower() for name in found if name}
