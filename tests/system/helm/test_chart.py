"""The objects that the chart installs."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.system.helm.chart import (
    SCENARIOS,
    Manifest,
    containers,
    environment,
    manifests,
    minimal,
    of_kind,
    pod_of,
    pods,
    scenario,
)


def test_the_smallest_installation_has_two_roles_a_service_an_account_and_a_migration() -> None:
    objects = scenario("minimal")
    assert sorted(manifest["kind"] for manifest in objects) == [
        *["Deployment", "Deployment", "Job", "Pod", "Service", "ServiceAccount"]
    ]
    assert {manifest["spec"]["replicas"] for manifest in of_kind(objects, "Deployment")} == {2}


def test_service_links_do_not_become_settings() -> None:
    for values in SCENARIOS:
        for name, pod in pods(manifests("--values", str(values))):
            assert pod["spec"]["enableServiceLinks"] is False, (values.stem, name)


def test_manifests_refer_to_secrets_and_never_contain_them() -> None:
    [api] = of_kind(scenario("everything"), "StatefulSet")
    secret = {
        name: value["secretKeyRef"]
        for name, value in environment(api["spec"]["template"]).items()
        if not isinstance(value, str)
    }
    assert secret == {
        "LOOPGAUGE_DATABASE_URL": {"name": "loopgauge-database", "key": "uri"},
        "LOOPGAUGE_SOURCES__GITHUB__SECRET": {"name": "loopgauge-sources", "key": "github"},
        "LOOPGAUGE_SOURCES__GITHUB__PREVIOUS_SECRET": {"name": "loopgauge-sources", "key": "github-previous"},
        "LOOPGAUGE_SOURCES__JIRA_CLOUD__SECRET": {"name": "loopgauge-sources", "key": "jira"},
        "LOOPGAUGE_API_TOKENS__READ": {"name": "loopgauge-tokens", "key": "read"},
        "LOOPGAUGE_API_TOKENS__WRITE": {"name": "loopgauge-tokens", "key": "write"},
        "LOOPGAUGE_API_TOKENS__ADMIN": {"name": "loopgauge-tokens", "key": "admin"},
        "LOOPGAUGE_METRICS_TOKEN": {"name": "loopgauge-tokens", "key": "metrics"},
    }


@pytest.mark.parametrize("values", SCENARIOS, ids=lambda path: path.stem)
def test_a_hook_migration_needs_no_object_of_the_release(values: Path) -> None:
    objects = manifests("--values", str(values))
    kinds = {"ConfigMap", "Secret", "ServiceAccount"}
    created = {manifest["metadata"]["name"] for manifest in objects if manifest["kind"] in kinds}
    for job in of_kind(objects, "Job"):
        if "helm.sh/hook" in job["metadata"].get("annotations", {}):
            spec = job["spec"]["template"]["spec"]
            named = [
                value["secretKeyRef"]["name"]
                for value in environment(job["spec"]["template"]).values()
                if value != "UTC"
            ]
            volumes = [volume["configMap"]["name"] for volume in spec["volumes"] if "configMap" in volume]
            assert not created & {spec["serviceAccountName"], *named, *volumes}


def test_a_hook_runs_before_installs_and_upgrades_and_replaces_the_last_hook() -> None:
    [job] = of_kind(minimal(), "Job")
    annotations = job["metadata"]["annotations"]
    assert set(annotations["helm.sh/hook"].split(",")) == {"pre-install", "pre-upgrade"}
    # A failed job remains for inspection until the next hook runs.
    assert set(annotations["helm.sh/hook-delete-policy"].split(",")) == {"before-hook-creation", "hook-succeeded"}


def test_argo_cd_creates_the_secret_before_the_job_and_the_job_before_the_pods() -> None:
    wave = "argocd.argoproj.io/sync-wave"
    objects = scenario("argocd")
    [secret], [job] = of_kind(objects, "ExternalSecret"), of_kind(objects, "Job")
    first, second = (int(manifest["metadata"]["annotations"][wave]) for manifest in (secret, job))
    assert first < second < 0
    named = environment(job["spec"]["template"])["LOOPGAUGE_DATABASE_URL"]["secretKeyRef"]["name"]
    assert named == secret["spec"]["target"]["name"]
    assert not any(wave in manifest["metadata"].get("annotations", {}) for manifest in of_kind(objects, "Deployment"))


def test_the_mode_decides_how_the_schema_is_migrated() -> None:
    migrations = {}
    for mode in ("hook", "job", "init", "none"):
        objects = minimal(f"migrations.mode={mode}")
        jobs = ["helm.sh/hook" in manifest["metadata"].get("annotations", {}) for manifest in of_kind(objects, "Job")]
        first = [container["args"] for container in pod_of(objects, "worker")["spec"].get("initContainers", [])]
        migrations[mode] = (jobs, first)
    assert migrations == {
        "hook": ([True], []),
        "job": ([False], []),
        "init": ([], [["migrate"]]),
        "none": ([], []),
    }


def test_the_name_of_a_job_that_is_not_a_hook_changes_with_its_pod() -> None:
    def job(*settings: str) -> Manifest:
        [made] = of_kind(minimal("migrations.mode=job", *settings), "Job")
        return made

    again, newer, elsewhere = job("worker.replicas=5"), job("image.tag=9.9.9"), job("labels.team=search")
    assert again == job()
    assert len({manifest["metadata"]["name"] for manifest in (again, newer, elsewhere)}) == 3


def test_a_label_of_one_role_overrides_a_label_of_all_objects() -> None:
    objects = minimal("labels.team=search", "api.podLabels.team=platform")
    assert [pod_of(objects, role)["metadata"]["labels"]["team"] for role in ("api", "worker")] == ["platform", "search"]


def test_a_new_version_of_the_chart_alone_replaces_no_pod() -> None:
    for _, pod in pods(scenario("minimal")):
        if pod.get("kind") != "Pod":
            assert not {"helm.sh/chart", "app.kubernetes.io/version"} & pod["metadata"]["labels"].keys()


@pytest.mark.parametrize(
    ("mode", "kind", "spooling", "volumes"),
    [
        ("ephemeral", "Deployment", "true", ["spool"]),
        ("persistent", "StatefulSet", "true", []),
        ("off", "Deployment", "false", []),
    ],
)
def test_each_spool_mode_gets_the_volume_that_it_needs(
    mode: str, kind: str, spooling: str, volumes: Sequence[str]
) -> None:
    objects = minimal(f"spool.mode={mode}")
    [api] = of_kind(objects, kind, "api")
    pod = api["spec"]["template"]
    assert environment(pod)["LOOPGAUGE_SPOOL"] == spooling
    mounted = [mount["name"] for mount in pod["spec"]["containers"][0]["volumeMounts"]]
    assert ("spool" in mounted) is (spooling == "true")
    spools = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "spool"]
    # The volume has no size limit: above a limit, Kubernetes would evict the pod and lose acknowledged deliveries.
    assert spools == [{"name": name, "emptyDir": {}} for name in volumes]
    if kind == "StatefulSet":
        [claim] = api["spec"]["volumeClaimTemplates"]
        assert claim["metadata"]["name"] == "spool"
        assert set(api["spec"]["persistentVolumeClaimRetentionPolicy"].values()) == {"Retain"}
    # Workers receive no deliveries, so they need no spool.
    assert "spool" not in [volume["name"] for volume in pod_of(objects, "worker")["spec"]["volumes"]]


def test_changed_rules_replace_the_pods() -> None:
    def checksum(rules: str) -> set[str]:
        objects = minimal(f"rules.file={rules}")
        [config] = of_kind(objects, "ConfigMap")
        assert config["data"] == {"rules.yaml": rules}
        return {pod_of(objects, role)["metadata"]["annotations"]["checksum/rules"] for role in ("api", "worker")}

    without, with_defaults = checksum("extends: none"), checksum("extends: defaults")
    assert (len(without), len(with_defaults), len(without | with_defaults)) == (1, 1, 2)


def test_pods_read_rules_from_the_key_of_an_existing_config_map() -> None:
    objects = scenario("external-secrets")
    for role in ("api", "worker"):
        pod = pod_of(objects, role)
        [rules] = [volume for volume in pod["spec"]["volumes"] if volume["name"] == "rules"]
        assert rules["configMap"] == {"name": "our-rules", "items": [{"key": "loopgauge.yaml", "path": "rules.yaml"}]}
        [mount] = [mount for mount in pod["spec"]["containers"][0]["volumeMounts"] if mount["name"] == "rules"]
        assert environment(pod)["LOOPGAUGE_RULES"] == f"{mount['mountPath']}/rules.yaml"


def test_the_ingress_exposes_only_the_paths_that_tools_post_to() -> None:
    [ingress] = of_kind(minimal("ingress.enabled=true", "ingress.host=loopgauge.example.com"), "Ingress")
    [rule] = ingress["spec"]["rules"]
    assert [path["path"] for path in rule["http"]["paths"]] == ["/webhooks", "/events"]


def test_the_ingress_has_the_certificate_of_its_host() -> None:
    [ingress] = of_kind(scenario("everything"), "Ingress")
    assert ingress["spec"]["tls"] == [{"hosts": ["loopgauge.example.com"], "secretName": "loopgauge-tls"}]
    [without] = of_kind(minimal("ingress.enabled=true", "ingress.host=loopgauge.example.com"), "Ingress")
    assert "tls" not in without["spec"]


def test_every_service_and_policy_selects_its_own_pods() -> None:
    objects = scenario("everything")
    labelled = {name: pod["metadata"]["labels"] for name, pod in pods(objects)}

    def selected(selector: Manifest) -> set[str]:
        return {name for name, labels in labelled.items() if selector.items() <= labels.items()}

    api, worker = "StatefulSet/acme-loopgauge-api", "Deployment/acme-loopgauge-worker"
    by_name = {manifest["metadata"]["name"]: manifest["spec"]["selector"] for manifest in of_kind(objects, "Service")}
    assert selected(by_name["acme-loopgauge"]) == {api}
    budgets = [manifest["spec"]["selector"]["matchLabels"] for manifest in of_kind(objects, "PodDisruptionBudget")]
    assert [selected(budget) for budget in budgets] == [{api}, {worker}]
    policies = {manifest["metadata"]["name"]: manifest["spec"] for manifest in of_kind(objects, "NetworkPolicy")}
    chosen = {name: selected(spec["podSelector"]["matchLabels"]) for name, spec in policies.items()}
    assert chosen["acme-loopgauge-api"] == {api}
    assert chosen["acme-loopgauge-worker"] == {worker}
    assert chosen["acme-loopgauge"] == set(labelled)


def test_workers_accept_connections_of_prometheus_only() -> None:
    objects = minimal("networkPolicy.enabled=true")
    [policy] = of_kind(objects, "NetworkPolicy", "worker")
    [ingress] = policy["spec"]["ingress"]
    assert ingress["from"] == [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}},
    ]
    assert ingress["ports"] == [{"port": 8080}]


def test_pods_reach_only_the_database_the_dns_and_each_other() -> None:
    policies = of_kind(scenario("everything"), "NetworkPolicy")
    [policy] = [manifest["spec"] for manifest in policies if manifest["spec"]["policyTypes"] == ["Egress"]]
    database, names, each_other = policy["egress"]
    assert database == {"ports": [{"port": 5432}], "to": [{"ipBlock": {"cidr": "10.0.0.5/32"}}]}
    # DNS uses UDP, and TCP for long answers.
    assert names == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert each_other == {"ports": [{"port": 8080}], "to": [{"podSelector": policy["podSelector"]}]}


def test_openshift_can_assign_users_and_groups() -> None:
    numbers = [f"podSecurityContext.{name}=null" for name in ("runAsUser", "runAsGroup", "fsGroup")]
    for _, pod in pods(minimal(*numbers)):
        assert pod["spec"]["securityContext"] == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_large_numbers_have_no_exponent() -> None:
    assert environment(pod_of(minimal(), "api"))["LOOPGAUGE_MAX_INFLIGHT_BYTES"] == "268435456"


def test_a_digest_overrides_the_tag_of_the_image() -> None:
    images = {container["image"] for _, pod in pods(scenario("everything")) for container in containers(pod)}
    assert images == {"ghcr.io/loopgauge/loopgauge@sha256:" + "0123456789abcdef" * 4}
