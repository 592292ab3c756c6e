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
from tests.support.waiting import PATIENCE_SECONDS

Manifest: TypeAlias = Mapping[str, Any]
"""One object, as Helm sends it to Kubernetes."""

CHART = REPOSITORY / "helm/loopgauge"
RELEASE = "acme"
NAMESPACE = "tools"
KUBERNETES: Sequence[str] = ("1.30.0", "1.37.0")
"""The oldest supported version of Kubernetes, and the newest version."""

SCENARIOS: Sequence[Path] = sorted((CHART / "ci").glob("*-values.yaml"))
"""The values files of several kinds of installation."""


def tool(name: str) -> Path:
    """The path of a tool that `make tools` installs in `.tools`.

    If the tool is missing, skip the test, but fail it in continuous integration.
    """
    path = REPOSITORY / ".tools" / name
    if not path.exists():
        missing = f"{name} is missing; `make tools` installs it, with Go"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return path


def run(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one of the tools that `make tools` installs."""
    command = [str(tool(f"bin/{name}")), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)


def template(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `helm template` on the chart with these further arguments."""
    target = ["--namespace", NAMESPACE, "--kube-version", KUBERNETES[-1]]
    return run("helm", "template", RELEASE, str(CHART), *target, *arguments)


@cache
def rendered(*arguments: str) -> str:
    """Return the manifests that `helm template` renders with these arguments, as YAML."""
    result = template(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout


class _Strict(yaml.SafeLoader):
    """Rejects duplicate keys, as Kubernetes does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT002 - PyYAML declares the argument like this
        keys = [key.value for key, _ in node.value]
        assert len(set(keys)) == len(keys), f"duplicate key in {sorted(keys)}, {node.start_mark}"
        return super().construct_mapping(node, deep)


def manifests(*arguments: str) -> list[Manifest]:
    """Return the objects that `helm template` renders with these arguments, including hooks and tests."""
    return [manifest for manifest in yaml.load_all(rendered(*arguments), _Strict) if manifest]


def scenario(name: str) -> list[Manifest]:
    """Return the objects of a scenario, such as `minimal`."""
    return manifests("--values", str(CHART / f"ci/{name}-values.yaml"))


def minimal(*settings: str) -> list[Manifest]:
    """Return the objects of the smallest installation, changed by settings of the form `key=value`."""
    chosen = [part for setting in settings for part in ("--set", setting)]
    return manifests("--values", str(CHART / "ci/minimal-values.yaml"), *chosen)


def of_kind(objects: Sequence[Manifest], kind: str, component: str | None = None) -> list[Manifest]:
    """Return the objects of a kind, and of a component if one is given."""
    label = "app.kubernetes.io/component"
    return [
        manifest
        for manifest in objects
        if manifest["kind"] == kind and component in (None, manifest["metadata"].get("labels", {}).get(label))
    ]


def pods(objects: Sequence[Manifest]) -> Iterator[tuple[str, Manifest]]:
    """Yield pairs: the kind and name of an object, and the pod or pod template in it."""
    for manifest in objects:
        name = f"{manifest['kind']}/{manifest['metadata']['name']}"
        if manifest["kind"] == "Pod":
            yield name, manifest
        elif "template" in manifest.get("spec", {}) and manifest["apiVersion"] in {"apps/v1", "batch/v1"}:
            yield name, manifest["spec"]["template"]


def pod_of(objects: Sequence[Manifest], component: str) -> Any:
    """Return the pod of a component, such as `api`."""
    label = "app.kubernetes.io/component"
    [of_role] = [pod for _, pod in pods(objects) if pod["metadata"]["labels"][label] == component]
    return of_role


def containers(pod: Manifest) -> list[Manifest]:
    """Return all containers of a pod, init containers first."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def environment(pod: Manifest) -> dict[str, Any]:
    """Return the environment variables of a pod's first main container: for each one, its value or its `valueFrom`."""
    variables = pod["spec"]["containers"][0].get("env", [])
    return {
        variable["name"]: variable["value"] if "value" in variable else variable["valueFrom"] for variable in variables
    }
