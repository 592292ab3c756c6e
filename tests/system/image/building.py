"""Run the instructions of the Dockerfile without Docker."""

import json
import re
import shlex
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template

from dockerfile_parse import DockerfileParser

from tests.support.paths import REPOSITORY
from tests.system.image.stage import Stage

DOCKERFILE = REPOSITORY / "Dockerfile"


def instructions() -> Iterator[tuple[str, str]]:
    """Yield each instruction of the Dockerfile with its arguments; continuation lines are joined to one line."""
    for one in DockerfileParser(str(DOCKERFILE)).structure:
        if one["instruction"] != "COMMENT":
            yield one["instruction"], one["value"]


def build(directory: Path, arguments: Mapping[str, str]) -> Stage:
    """Run every instruction of the Dockerfile, and return the last stage.

    Args:
        directory: contains a directory for each stage.
        arguments: the values of `docker build --build-arg`.
    """
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for instruction, value in instructions():
        if instruction == "FROM":
            _, *name = re.split(r"\s+AS\s+", value, flags=re.IGNORECASE)
            stage = stages[name[0] if name else ""] = Stage(directory / str(len(stages)))
        elif stage is not None:
            _carry_out(stage, instruction, value, stages, arguments)
    assert stage is not None
    return stage


def _carry_out(
    stage: Stage, instruction: str, value: str, stages: Mapping[str, Stage], arguments: Mapping[str, str]
) -> None:
    match instruction:
        case "WORKDIR":
            stage.directory = value
            stage.at(value).mkdir(parents=True, exist_ok=True)
        case "COPY":
            _copy(stage, value, stages)
        case "RUN":
            stage.build(f"cd {shlex.quote(stage.directory)} && {value}")
        case _:
            _note(stage, instruction, value, arguments)


def _note(stage: Stage, instruction: str, value: str, arguments: Mapping[str, str]) -> None:
    match instruction:
        case "ARG":
            defaults = dict(one.partition("=")[::2] for one in shlex.split(value))
            stage.arguments |= {name: arguments.get(name, default) for name, default in defaults.items()}
        case "ENV":
            stage.environment |= _assignments(stage, value)
        case "LABEL":
            stage.labels |= _assignments(stage, value)
        case "USER":
            stage.user = value
        case "VOLUME":
            stage.volumes.append(value)
        case "EXPOSE":
            stage.ports.append(value)
        case "HEALTHCHECK":
            stage.health = _array(value.partition("CMD ")[2])
        case "ENTRYPOINT":
            stage.entrypoint = _array(value)
        case "CMD":
            stage.command = _array(value)
        case _:
            raise NotImplementedError(instruction)


def _assignments(stage: Stage, value: str) -> dict[str, str]:
    known = {**stage.arguments, **stage.environment}
    pairs = (one.partition("=")[::2] for one in shlex.split(value))
    return {name: Template(assigned).substitute(known) for name, assigned in pairs}


def _array(value: str) -> list[str]:
    words: list[str] = json.loads(value)
    return words


def _copy(stage: Stage, value: str, stages: Mapping[str, Stage]) -> None:
    *sources, target = [word for word in shlex.split(value) if not word.startswith("--")]
    origin = re.search(r"--from=(\S+)", value)
    for source in sources:
        found = stages[origin[1]].at(source) if origin else _of_the_context(source)
        inside = stage.at(str(Path(stage.directory, target)))
        if found.is_dir():
            shutil.copytree(
                found, inside, symlinks=True, ignore=None if origin else shutil.ignore_patterns("__pycache__")
            )
        else:
            shutil.copy(found, inside)


def _of_the_context(source: str) -> Path:
    """Return the path of a source of COPY. Fail if `.dockerignore` hides the source from Docker."""
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    assert f"!{source}" in ignored or f"!{source}/" in ignored, f"{source} is not sent to Docker"
    return REPOSITORY / source
