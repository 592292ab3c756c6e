"""Pods stay available while nodes, versions and loads change."""

import pytest

from tests.system.helm.chart import containers, minimal, of_kind, pod_of, pods, scenario


@pytest.mark.parametrize("mode", ["ephemeral", "persistent"])
def test_only_the_autoscaler_sets_the_number_of_api_pods(mode: str) -> None:
    objects = minimal("api.autoscaling.enabled=true", "api.replicas=3", f"spool.mode={mode}")
    [scaler] = of_kind(objects, "HorizontalPodAutoscaler")
    target = scaler["spec"]["scaleTargetRef"]
    [scaled] = [
        manifest for manifest in of_kind(objects, target["kind"]) if manifest["metadata"]["name"] == target["name"]
    ]
    assert "replicas" not in scaled["spec"]


def test_an_autoscaler_has_its_bounds_and_a_target_share_of_the_requested_cpu() -> None:
    chosen = ("minReplicas=3", "maxReplicas=9", "targetCPUUtilizationPercentage=55", "enabled=true")
    [scaler] = of_kind(minimal(*(f"api.autoscaling.{setting}" for setting in chosen)), "HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 9)
    target = {"type": "Utilization", "averageUtilization": 55}
    assert scaler["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    # The target is a share of the pod's CPU request, so the pod must have a CPU request.
    assert "cpu" in pod_of(minimal(), "api")["spec"]["containers"][0]["resources"]["requests"]


def test_an_upgrade_never_reduces_the_number_of_api_pods() -> None:
    [api] = of_kind(minimal(), "Deployment", "api")
    assert api["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("role", ["api", "worker"])
def test_pods_are_spread_over_nodes_and_zones_if_possible(role: str) -> None:
    """Pods that cannot be spread start on the same node."""
    pod = pod_of(minimal(), role)
    spread = pod["spec"]["topologySpreadConstraints"]
    assert {constraint["topologyKey"] for constraint in spread} == {
        "kubernetes.io/hostname",
        "topology.kubernetes.io/zone",
    }
    for constraint in spread:
        assert (constraint["whenUnsatisfiable"], constraint["maxSkew"]) == ("ScheduleAnyway", 1)
        assert constraint["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert constraint["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == role


@pytest.mark.parametrize("role", ["api", "worker"])
def test_each_pod_prefers_a_node_without_another_pod_of_its_role(role: str) -> None:
    pod = pod_of(minimal(), role)
    [preferred] = pod["spec"]["affinity"]["podAntiAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    term = preferred["podAffinityTerm"]
    assert term["topologyKey"] == "kubernetes.io/hostname"
    assert term["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
    assert term["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == role


def test_an_affinity_of_the_operator_is_added_to_the_preference_of_the_chart_or_replaces_it() -> None:
    term = "requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms[0].matchFields[0].key=metadata.name"
    added = pod_of(minimal(f"api.affinity.nodeAffinity.{term}"), "api")["spec"]["affinity"]
    assert set(added) == {"nodeAffinity", "podAntiAffinity"}
    own = "podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].weight=7"
    replaced = pod_of(minimal(f"api.affinity.{own}"), "api")["spec"]["affinity"]
    assert replaced == {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 7}]}}


def test_every_container_requests_ephemeral_storage_and_limits_none() -> None:
    # Kubernetes evicts a pod that exceeds a limit, and deletes the deliveries that wait in it.
    for objects in (minimal(), minimal("migrations.mode=init"), minimal("migrations.mode=job")):
        resources = [container["resources"] for _, pod in pods(objects) for container in containers(pod)]
        assert resources
        assert all("ephemeral-storage" in one["requests"] for one in resources)
        assert not any("ephemeral-storage" in one.get("limits", {}) for one in resources)


def test_a_drain_evicts_one_ready_pod_at_a_time_and_unready_pods_at_once() -> None:
    budgets = of_kind(scenario("everything"), "PodDisruptionBudget")
    assert len(budgets) == 2
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_an_api_pod_still_receives_requests_before_it_ends_and_has_time_to_finish_them() -> None:
    api, worker = (pod_of(minimal("api.preStopSleepSeconds=12"), role)["spec"] for role in ("api", "worker"))
    assert api["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 12}}}
    assert (api["terminationGracePeriodSeconds"], worker["terminationGracePeriodSeconds"]) == (42, 30)
    assert "lifecycle" not in pod_of(minimal("api.preStopSleepSeconds=0"), "api")["spec"]["containers"][0]
