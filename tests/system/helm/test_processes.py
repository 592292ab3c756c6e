"""The processes of the chart: a migration, an API and two workers handle a story on one PostgreSQL."""

from collections.abc import Sequence
from pathlib import Path

import httpx

from tests.support.builders import SECRET, GitHubRequest, Issue, at
from tests.support.road import Samples, parse_samples
from tests.support.waiting import PATIENCE_SECONDS, wait_for
from tests.system.helm.chart import Manifest, of_kind, scenario
from tests.system.helm.node import Node, Pod, Secrets, node

_TOKEN = "a token for metrics"
_IN_FLIGHT = ("experiments_in_flight", "proposed", "acme/app")


def _secrets(database_url: str) -> Secrets:
    """Return the Secrets that the values files of the scenarios name."""
    return {
        "loopgauge-database": {"uri": database_url},
        "loopgauge-sources": {"github": SECRET, "github-previous": "the one before", "jira": "another one"},
        "loopgauge-tokens": {"read": "r" * 32, "write": "w" * 32, "admin": "a" * 32, "metrics": _TOKEN},
        "loopgauge": {"url": database_url, "github": SECRET, "gitlab": "another one"},
    }


def _template(objects: Sequence[Manifest], kind: str, component: str) -> Manifest:
    [owner] = of_kind(objects, kind, component)
    pod: Manifest = owner["spec"]["template"]
    return pod


def _post(api: Pod, request: GitHubRequest, secret: str = SECRET) -> httpx.Response:
    url = f"{api.url}/webhooks/github"
    return httpx.post(url, content=request.body, headers=request.headers(secret), timeout=PATIENCE_SECONDS)


def _figures(pod: Pod) -> Samples:
    answer = httpx.get(f"{pod.url}/metrics", headers={"Authorization": f"Bearer {_TOKEN}"}, timeout=PATIENCE_SECONDS)
    assert answer.status_code == 200, answer.text
    return parse_samples(answer.text)


def _exporting(pods: Sequence[Pod]) -> list[Pod]:
    return [pod for pod in pods if _figures(pod).get(_IN_FLIGHT)]


def test_the_processes_of_the_chart_turn_deliveries_into_metrics_that_survive_a_leader(
    empty_database_url: str, tmp_path: Path
) -> None:
    objects = scenario("everything")
    with node(objects, _secrets(empty_database_url), tmp_path) as machine:
        # Helm installs nothing before its hook succeeds.
        assert machine.start(_template(objects, "Job", "migrations"), "migrate").wait() == 0
        api = machine.start(_template(objects, "StatefulSet", "api"))
        workers = [machine.start(_template(objects, "Deployment", "worker")) for _ in range(2)]
        for pod in (api, *workers):
            pod.until("startupProbe")
            pod.until("readinessProbe")
        assert httpx.get(f"{api.url}/metrics").status_code == 401
        assert _post(api, Issue(created_at=at(2)).opened(), "nobody's").status_code == 401
        for number in (1, 2, 3):
            assert _post(api, Issue(number=number, created_at=at(2)).opened()).status_code == 202
        # Prometheus scrapes every pod, and one of them exports the metrics about experiments.
        wait_for(lambda: any(_figures(pod).get(_IN_FLIGHT) == 3 for pod in workers))
        [leader] = _exporting([api, *workers])
        [other] = [pod for pod in workers if pod is not leader]
        assert leader.terminate() == 0
        wait_for(lambda: _figures(other).get(_IN_FLIGHT) == 3)
        assert _exporting([api, other]) == [other]
        assert api.probe("livenessProbe")
        assert api.probe("readinessProbe")
        _test_the_release(machine, objects, api)
        assert [pod.terminate() for pod in (api, other)] == [0, 0]


def _test_the_release(machine: Node, objects: Sequence[Manifest], api: Pod) -> None:
    """Do what `helm test` does, with the address of the pod in place of the Service."""
    [tested] = of_kind(objects, "Pod", "test")
    [ready] = [container for container in tested["spec"]["containers"] if container["name"] == "ready"]
    [service] = of_kind(objects, "Service", "api")
    address = f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
    assert ready["env"] == [{"name": "READY_URL", "value": f"{address}/readyz"}]
    well = machine.start(tested, "ready", READY_URL=f"{api.url}/readyz")
    assert well.wait() == 0
    assert '"mode":"inbox"' in well.log.read_text()
    assert machine.start(tested, "ready", READY_URL=f"{api.url}/nowhere").wait() != 0
    inbox = machine.start(tested, "inbox")
    assert inbox.wait() == 0
    assert "counted" in inbox.log.read_text()


def test_pods_become_ready_after_a_concurrent_migration_job(empty_database_url: str, tmp_path: Path) -> None:
    objects = scenario("argocd")
    with node(objects, _secrets(empty_database_url), tmp_path) as machine:
        pods = [machine.start(_template(objects, "Deployment", role)) for role in ("api", "worker")]
        for pod in pods:
            pod.until("startupProbe")
            assert not pod.probe("readinessProbe")
        assert machine.start(_template(objects, "Job", "migrations"), "migrate").wait() == 0
        for pod in pods:
            pod.until("readinessProbe")
        assert [pod.terminate() for pod in pods] == [0, 0]


def test_two_workers_may_migrate_at_the_same_time(empty_database_url: str, tmp_path: Path) -> None:
    objects = scenario("external-secrets")
    worker = _template(objects, "Deployment", "worker")
    with node(objects, _secrets(empty_database_url), tmp_path) as machine:
        first = [machine.start(worker, "migrate") for _ in range(2)]
        assert [pod.wait() for pod in first] == [0, 0]
