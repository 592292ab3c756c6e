"""The chart refuses invalid values before it installs anything, and its messages name these values."""

import re

import pytest

from tests.system.helm.chart import CHART, environment, manifests, minimal, of_kind, template

_MINIMAL = ("--values", str(CHART / "ci/minimal-values.yaml"))


def _refusal(*arguments: str) -> str:
    result = template(*_MINIMAL, *arguments)
    assert result.returncode != 0, "the values were accepted"
    return result.stderr


@pytest.mark.parametrize(
    ("wrong", "named", "why"),
    [
        ("api.replica=3", "/api", "additional properties 'replica' not allowed"),
        ("workers.replicas=3", "'", "additional properties 'workers' not allowed"),
        ("sources.github.provider=github", "/sources/github", "missing properties 'existingSecret', 'key'"),
        ("sources.github.key=github", "/sources/github", "missing property 'existingSecret'"),
        ("sources.jira-cloud.existingSecret=s,sources.jira-cloud.key=k", "/sources/jira-cloud", "'provider'"),
        ("sources.Jira_Cloud.existingSecret=s", "/sources'", "additional properties 'Jira_Cloud' not allowed"),
        ("sources.jira.existingSecret=s,sources.jira.key=k,sources.jira.provider=jyra", "/sources/jira/provider", "'j"),
        ("api.podDisruptionBudget.enabled=true,api.replicas=1", "/api/replicas", "2 or more"),
        ("worker.podDisruptionBudget.enabled=true,worker.replicas=1", "/worker/replicas", "2 or more"),
        (
            "api.podDisruptionBudget.enabled=true,api.autoscaling.enabled=true,api.autoscaling.minReplicas=1",
            "/api/autoscaling/minReplicas",
            "2 or more",
        ),
        ("settings.forgottenAfter=2 months", "/settings/forgottenAfter", "'2 months' does not match"),
        ("settings.rawRetention=0d", "/settings/rawRetention", "'0d' does not match"),
        ("settings.windows={7d,monthly}", "/settings/windows/1", "'monthly' does not match"),
        ("settings.thresholds.search=soon", "/settings/thresholds/search", "'soon' does not match"),
        ("settings.thresholds._org=7d", "/settings/thresholds'", "additional properties '_org' not allowed"),
        ("monitor.interval=15", "/monitor/interval", "want string"),
        ("worker.replicas=0", "/worker/replicas", "want 1"),
        ("database.existingSecret=", "/database/existingSecret", "the name of a Secret"),
        ("database.url=postgresql://here", "/database", "additional properties 'url' not allowed"),
        ("spool.mode=disk", "/spool/mode", "'ephemeral', 'persistent', 'off'"),
        ("spool.mode=false", "/spool/mode", "in quotes"),
        ("migrations.mode=hooks", "/migrations/mode", "'hook', 'job', 'init', 'none'"),
        ("ingress.enabled=true", "/ingress/host", "the host that your tools post to"),
        ("rules.file.teams.ML=ml", "/rules/file", "write | after `file:`"),
        ("rules.file=x,rules.existingConfigMap=y", "/rules/existingConfigMap", "there is only one rules file"),
        ("apiTokens.read.existingSecret=s", "/apiTokens/read", "'key'"),
        ("apiTokens.read=letmein", "/apiTokens/read", "want object"),
        ("image.tag=1", "/image/tag", "in quotes"),
        ("image.digest=latest", "/image/digest", "does not match"),
        ("networkPolicy.metricsFrom=null", "/networkPolicy", "missing property 'metricsFrom'"),
        (
            "extraEnv[0].name=LOOPGAUGE_PORT,extraEnv[0].value=x",
            "/extraEnv/0/name",
            "a variable that the chart does not set",
        ),
        ("extraEnv[0].name=DEBUG,extraEnv[0].value=1", "/extraEnv/0/value", "in quotes"),
        ("worker=null", "'", "missing property 'worker'"),
        ("spool=null", "'", "missing property 'spool'"),
        ("spool.mode=null", "/spool", "missing property 'mode'"),
        ("migrations.mode=null", "/migrations", "missing property 'mode'"),
        ("api.replicas=null", "/api", "missing property 'replicas'"),
        ("worker.replicas=null", "/worker", "missing property 'replicas'"),
        ("api.autoscaling=null", "/api", "missing property 'autoscaling'"),
        ("image.tag=1.2.3@sha256:0123", "/image/tag", "put a digest into image.digest"),
        ("image.tag=-dev", "/image/tag", "only a tag"),
        ("nameOverride=Loop_gauge", "/nameOverride", "lower-case letters"),
        ("fullnameOverride=1st", "/fullnameOverride", "a letter first"),
        (r"labels.app\.kubernetes\.io/name=x", "/labels/app.kubernetes.io~1name", "the chart sets"),
        (r"labels.helm\.sh/chart=x", "/labels/helm.sh~1chart", "the chart sets"),
        ("labels.owner=who are you", "/labels/owner", "does not match"),
        (
            r"api.podLabels.app\.kubernetes\.io/component=x",
            "/api/podLabels/app.kubernetes.io~1component",
            "the chart sets",
        ),
        (
            r"worker.podLabels.app\.kubernetes\.io/component=x",
            "/worker/podLabels/app.kubernetes.io~1component",
            "the chart sets",
        ),
        (
            "extraEnv[0].name=LOOPGAUGE_LOG_LEVEL,extraEnv[0].value=x",
            "/extraEnv/0/name",
            "the values database, rules, s",
        ),
        ("extraVolumes[0].name=tmp", "/extraVolumes/0/name", "a name other than"),
        ("extraVolumes[0].name=spool", "/extraVolumes/0/name", "a name other than"),
        ("extraVolumes[0].name=rules", "/extraVolumes/0/name", "a name other than"),
        ("extraVolumes[0].emptyDir.medium=Memory", "/extraVolumes/0", "missing property 'name'"),
        ("podSecurityContext.runAsUser=0", "/podSecurityContext/runAsUser", "want 1"),
    ],
)
def test_the_schema_refuses_a_common_mistake_with_a_helpful_message(wrong: str, named: str, why: str) -> None:
    refusal = _refusal("--set", wrong)
    assert "values don't meet the specifications of the schema" in refusal
    assert f"at '{named}" in refusal
    assert why in refusal


def test_an_open_network_policy_is_refused() -> None:
    assert "an empty list would allow every client" in _refusal("--set-json", "networkPolicy.ingressFrom=[]")


def test_a_minimum_of_pods_above_the_maximum_is_refused() -> None:
    wrong = "api.autoscaling.enabled=true,api.autoscaling.minReplicas=7"
    assert "api.autoscaling.minReplicas is 7, which is more than api.autoscaling.maxReplicas, 6" in _refusal(
        "--set", wrong
    )


@pytest.mark.parametrize(("timeout", "interval"), [("16s", "15s"), ("1m", "59s"), ("1500ms", "1s"), ("1h", "59m")])
def test_a_scrape_timeout_above_the_interval_is_refused(timeout: str, interval: str) -> None:
    chosen = f"monitor.enabled=true,monitor.scrapeTimeout={timeout},monitor.interval={interval}"
    words = f"monitor.scrapeTimeout is {timeout}, which is longer than monitor.interval, {interval}"
    assert words in _refusal("--set", chosen)


@pytest.mark.parametrize(("timeout", "interval"), [("15s", "15s"), ("60s", "1m"), ("999ms", "1s"), ("59m", "1h")])
def test_a_scrape_timeout_within_the_interval_is_accepted(timeout: str, interval: str) -> None:
    objects = minimal("monitor.enabled=true", f"monitor.scrapeTimeout={timeout}", f"monitor.interval={interval}")
    [endpoint] = of_kind(objects, "PodMonitor")[0]["spec"]["podMetricsEndpoints"]
    assert (endpoint["scrapeTimeout"], endpoint["interval"]) == (timeout, interval)


def _with_variable(name: str, *settings: str) -> tuple[str, ...]:
    source = "sources.jira-cloud.provider=jira,sources.jira-cloud.existingSecret=s,sources.jira-cloud.key=k"
    return ("--set", ",".join([source, f"extraEnv[0].name={name}", *settings]), "--set-string", "extraEnv[0].value=1")


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("LOOPGAUGE_SOURCES__JIRA_CLOUD__SECRET", ()),
        ("LOOPGAUGE_SOURCES__JIRA_CLOUD__PROVIDER", ()),
        ("LOOPGAUGE_API_TOKENS__READ", ("apiTokens.read.existingSecret=s", "apiTokens.read.key=k")),
        ("LOOPGAUGE_METRICS_TOKEN", ("metricsToken.existingSecret=s", "metricsToken.key=k")),
    ],
)
def test_a_variable_that_the_values_set_is_refused_in_extra_env(name: str, settings: tuple[str, ...]) -> None:
    assert f"extraEnv repeats {name}, which the chart sets with these values" in _refusal(
        *_with_variable(name, *settings)
    )


def test_a_variable_that_the_values_do_not_set_is_accepted() -> None:
    name = "LOOPGAUGE_SOURCES__GITHUB__PROVIDER"
    [api] = of_kind(manifests(*_MINIMAL, *_with_variable(name)), "Deployment", "api")
    assert environment(api["spec"]["template"])[name] == "1"


@pytest.mark.parametrize("tag", ["v1.2.3", "main-" + "0" * 57 + "-" + "1" * 9, "_edge-", "1.2.3_4"])
def test_any_tag_gives_a_valid_label(tag: str) -> None:
    for manifest in minimal(f"image.tag={tag}"):
        version = manifest["metadata"]["labels"]["app.kubernetes.io/version"]
        assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", version)


def test_a_disruption_budget_with_autoscaling_ignores_the_replicas() -> None:
    objects = minimal("api.replicas=1", "api.podDisruptionBudget.enabled=true", "api.autoscaling.enabled=true")
    assert of_kind(objects, "PodDisruptionBudget", "api")
