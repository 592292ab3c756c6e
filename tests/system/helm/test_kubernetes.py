"""Kubernetes accepts the manifests, and the pods meet the restricted security standard of Kubernetes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.helm.chart import CHART, KUBERNETES, SCENARIOS, Manifest, containers, manifests, pods, rendered
from tests.system.helm.check import lint
from tests.system.helm.schemas import validate, write_schemas

_VALUES = pytest.mark.parametrize("values", SCENARIOS, ids=lambda path: path.stem)


@pytest.fixture(scope="module", params=KUBERNETES)
def schemas(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Write the schemas of one version of Kubernetes and of the operators' custom resources; return their path pattern.

    kubeconform finds the schema of an object by this pattern.
    """
    return write_schemas(tmp_path_factory.mktemp("schemas"), request.param)


@_VALUES
def test_every_scenario_passes_the_lint_of_helm(values: Path) -> None:
    assert lint(values) == ""


def test_every_scenario_matches_the_schemas_of_kubernetes_and_operators(schemas: str, tmp_path: Path) -> None:
    for values in SCENARIOS:
        (tmp_path / values.name).write_text(rendered("--values", str(values)), encoding="utf-8")
    assert len(SCENARIOS) == 5
    assert validate(tmp_path, schemas) == ""


_MISTAKES = {
    "publishNotReadyAddresses: true": "publishUnreadyAddresses: true",
    "scrapeTimeout: 10s": "scrapeLimit: 10s",
    "record: team:loopgauge_threshold_seconds:max10m": "recorded: x",
    "kind: PodDisruptionBudget": "kind: PodDisruptionBudgets",
    "replicas: 2": 'replicas: "two"',
}


def test_the_schemas_reject_invalid_manifests(schemas: str, tmp_path: Path) -> None:
    broken = rendered("--values", str(CHART / "ci/everything-values.yaml"))
    for right, wrong in _MISTAKES.items():
        assert right in broken
        broken = broken.replace(right, wrong)
    (tmp_path / "broken.yaml").write_text(broken, encoding="utf-8")
    found = validate(tmp_path, schemas)
    for named in ("publishUnreadyAddresses", "scrapeLimit", "recorded", "PodDisruptionBudgets", "/spec/replicas"):
        assert named in found


_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_OF_THE_HOST = ("hostNetwork", "hostPID", "hostIPC")


def _violations(pod: Manifest) -> Iterator[str]:
    """Yield the violations of the restricted Pod Security Standard in a pod.

    Source: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
    """
    spec = pod["spec"]
    own = spec.get("securityContext", {})
    yield from (field for field in _OF_THE_HOST if spec.get(field))
    yield from (f"sysctl {sysctl['name']}" for sysctl in own.get("sysctls", []))
    yield from (
        f"volume {volume['name']}" for volume in spec.get("volumes", []) if not volume.keys() - {"name"} <= _VOLUMES
    )
    for container in containers(pod):
        security = {**own, **container.get("securityContext", {})}
        capabilities = security.get("capabilities", {})
        wrong = {
            "privileged": security.get("privileged", False),
            "allowPrivilegeEscalation": security.get("allowPrivilegeEscalation") is not False,
            "capabilities.drop": "ALL" not in capabilities.get("drop", []),
            "capabilities.add": set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"},
            "runAsNonRoot": security.get("runAsNonRoot") is not True,
            "runAsUser": security.get("runAsUser") == 0,
            "seccompProfile": security.get("seccompProfile", {}).get("type") not in {"RuntimeDefault", "Localhost"},
            "procMount": security.get("procMount", "Default") != "Default",
            "appArmorProfile": security.get("appArmorProfile", {}).get("type") == "Unconfined",
            "seLinuxOptions": security.get("seLinuxOptions"),
            "windowsOptions": security.get("windowsOptions"),
            "hostPort": any(port.get("hostPort") for port in container.get("ports", [])),
            "probe host": any(
                container.get(probe, {}).get("httpGet", {}).get("host")
                for probe in ("startupProbe", "livenessProbe", "readinessProbe")
            ),
        }
        yield from (f"{container['name']}: {field}" for field, found in wrong.items() if found)


@_VALUES
def test_every_pod_meets_the_restricted_pod_security_standard(values: Path) -> None:
    found = {name: list(_violations(pod)) for name, pod in pods(manifests("--values", str(values)))}
    # Each scenario has at least three pods: an API, a worker and the pod of `helm test`. Hooks and init containers are
    # checked too.
    assert len(found) >= 3
    assert not any(found.values()), found


@_VALUES
def test_no_container_can_write_to_its_image_or_call_kubernetes(values: Path) -> None:
    for name, pod in pods(manifests("--values", str(values))):
        assert all(container["securityContext"]["readOnlyRootFilesystem"] is True for container in containers(pod)), (
            name
        )
        assert pod["spec"]["automountServiceAccountToken"] is False, name
        assert all(container["resources"]["requests"] for container in containers(pod)), name


@pytest.mark.parametrize(
    "loosened",
    [
        {"hostNetwork": True},
        {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}},
        {"securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "Unconfined"}}},
        {"volumes": [{"name": "logs", "hostPath": {"path": "/var/log"}}]},
        {"initContainers": [{"name": "first", "securityContext": {"allowPrivilegeEscalation": False}}]},
    ],
)
def test_the_check_finds_a_pod_that_violates_the_standard(loosened: Manifest) -> None:
    for _, pod in pods(manifests("--values", str(SCENARIOS[0]))):
        assert list(_violations({**pod, "spec": {**pod["spec"], **loosened}}))
