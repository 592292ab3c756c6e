"""Pods are there while nodes, versions and loads change."""

import pytest

from tests.system.helm.chart import minimal, of_kind, pod_of, scenario


@pytest.mark.parametrize("mode", ["ephemeral", "persistent"])
def test_an_autoscaler_scales_what_is_there_and_nobody_else_counts_its_pods(mode: str) -> None:
    objects = minimal("api.autoscaling.enabled=true", "api.replicas=3", f"spool.mode={mode}")
    [scaler] = of_kind(objects, "HorizontalPodAutoscaler")
    target = scaler["spec"]["scaleTargetRef"]
    [scaled] = [one for one in of_kind(objects, target["kind"]) if one["metadata"]["name"] == target["name"]]
    assert "replicas" not in scaled["spec"]


def test_an_autoscaler_keeps_to_its_numbers_and_aims_at_a_part_of_the_requested_cpu() -> None:
    chosen = ("minReplicas=3", "maxReplicas=9", "targetCPUUtilizationPercentage=55", "enabled=true")
    [scaler] = of_kind(minimal(*(f"api.autoscaling.{one}" for one in chosen)), "HorizontalPodAutoscaler")
    assert (scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]) == (3, 9)
    target = {"type": "Utilization", "averageUtilization": 55}
    assert scaler["spec"]["metrics"] == [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    # Without a request there is nothing that it could be a part of.
    assert "cpu" in pod_of(minimal(), "api")["spec"]["containers"][0]["resources"]["requests"]


def test_while_the_api_is_replaced_no_fewer_pods_receive() -> None:
    [api] = of_kind(minimal(), "Deployment", "api")
    assert api["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


@pytest.mark.parametrize("role", ["api", "worker"])
def test_pods_are_spread_over_nodes_and_zones_where_they_can_be(role: str) -> None:
    """And start on the same one where they cannot: better there than nowhere."""
    pod = pod_of(minimal(), role)
    spread = pod["spec"]["topologySpreadConstraints"]
    assert {one["topologyKey"] for one in spread} == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for one in spread:
        assert (one["whenUnsatisfiable"], one["maxSkew"]) == ("ScheduleAnyway", 1)
        assert one["labelSelector"]["matchLabels"].items() <= pod["metadata"]["labels"].items()
        assert one["labelSelector"]["matchLabels"]["app.kubernetes.io/component"] == role


def test_a_node_can_be_drained_one_pod_at_a_time_and_of_pods_that_are_not_ready_at_once() -> None:
    budgets = of_kind(scenario("everything"), "PodDisruptionBudget")
    assert len(budgets) == 2
    for budget in budgets:
        assert budget["spec"]["maxUnavailable"] == 1
        assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"


def test_a_pod_that_receives_goes_on_until_nobody_sends_to_it_and_has_the_time_to_finish() -> None:
    api, worker = (pod_of(minimal("api.preStopSleepSeconds=12"), role)["spec"] for role in ("api", "worker"))
    assert api["containers"][0]["lifecycle"] == {"preStop": {"sleep": {"seconds": 12}}}
    assert (api["terminationGracePeriodSeconds"], worker["terminationGracePeriodSeconds"]) == (42, 30)
    assert "lifecycle" not in pod_of(minimal("api.preStopSleepSeconds=0"), "api")["spec"]["containers"][0]
