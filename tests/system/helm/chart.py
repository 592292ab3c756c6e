"""The chart as Helm renders it."""

import os
import subprocess
from collections.abc import Hashable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import yaml

from tests.support.paths import REPOSITORY

Manifest: TypeAlias = Mapping[str, Any]
"""One object as it would be sent to Kubernetes."""

CHART = REPOSITORY / "helm/loopgauge"
RELEASE = "acme"
NAMESPACE = "tools"
KUBERNETES: Sequence[str] = ("1.30.0", "1.37.0")
"""The oldest version that the chart promises to work on, and the newest that is known."""
_PATIENCE = 60.0

SCENARIOS: Sequence[Path] = sorted((CHART / "ci").glob("*-values.yaml"))
"""Values of installations that differ in all that matters."""


def tool(name: str) -> Path:
    """What `make tools` makes, by its path in `.tools`.

    Where it is missing the test is skipped, but never in continuous integration.
    """
    found = REPOSITORY / ".tools" / name
    if not found.exists():
        missing = f"{name} is not there; `make tools` makes it, with Go"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the tools."""
    command = [str(tool(f"bin/{name}")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)


def template(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Render the chart as it would be installed; arguments name the values."""
    where = ["--namespace", NAMESPACE, "--kube-version", KUBERNETES[-1]]
    return run("helm", "template", RELEASE, str(CHART), *where, *arguments)


@cache
def rendered(*arguments: str) -> str:
    """What the values that the arguments name make of the chart."""
    done = template(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


class _Strict(yaml.SafeLoader):
    """Takes no key twice, as Kubernetes does not."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT002 - as PyYAML has it
        keys = [key.value for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"{sorted(keys)} has one twice, {node.start_mark}"
        return super().construct_mapping(node, deep)


def manifests(*arguments: str) -> list[Manifest]:
    """The objects that these values make, hooks and tests among them."""
    return [one for one in yaml.load_all(rendered(*arguments), _Strict) if one]


def scenario(name: str) -> list[Manifest]:
    """The objects of a scenario, such as `minimal`."""
    return manifests("--values", str(CHART / f"ci/{name}-values.yaml"))


def minimal(*settings: str) -> list[Manifest]:
    """The objects of the smallest installation, but for what is set, as `key=value`."""
    chosen = [part for setting in settings for part in ("--set", setting)]
    return manifests("--values", str(CHART / "ci/minimal-values.yaml"), *chosen)


def of_kind(objects: Sequence[Manifest], kind: str, component: str | None = None) -> list[Manifest]:
    """Those of a kind, and of a component where one is named."""
    label = "app.kubernetes.io/component"
    return [
        one
        for one in objects
        if one["kind"] == kind and component in (None, one["metadata"].get("labels", {}).get(label))
    ]


def pods(objects: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """What each pod would be, by the name of what makes it: metadata and spec."""
    for one in objects:
        name = f"{one['kind']}/{one['metadata']['name']}"
        if one["kind"] == "Pod":
            yield name, one
        elif "template" in one.get("spec", {}) and one["apiVersion"] in {"apps/v1", "batch/v1"}:
            yield name, one["spec"]["template"]


def pod_of(objects: Sequence[Manifest], component: str) -> Any:
    """The pod of a role."""
    label = "app.kubernetes.io/component"
    [of_role] = [pod for _, pod in pods(objects) if pod["metadata"]["labels"][label] == component]
    return of_role


def containers(pod: Manifest) -> list[Manifest]:
    """All containers of a pod, those that run before the others first."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(pod: Manifest) -> dict[str, Any]:
    """The variables of a pod's first container that is no init container: a text, or where it comes from."""
    variables = pod["spec"]["containers"][0].get("env", [])
    return {one["name"]: one["value"] if "value" in one else one["valueFrom"] for one in variables}
