"""The README, the versions and the notes of the chart are right, and an older Kubernetes is refused."""

import base64
import tomllib

import yaml

from tests.support.paths import REPOSITORY
from tests.system.helm.chart import CHART, run, template


def test_the_readme_is_generated_from_the_comments_of_values() -> None:
    """If the README differs, run `make chart`."""
    result = run("helm-docs", "--dry-run", "--sort-values-order", "file", "--chart-search-root", str(CHART))
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == (CHART / "README.md").read_text(encoding="utf-8").strip()


def test_every_value_has_a_description() -> None:
    table = [line for line in (CHART / "README.md").read_text(encoding="utf-8").splitlines() if "` | " in line]
    explained = [line.split(" | ", 3) for line in table if line.startswith("| ") and line.count(" | ") >= 3]
    assert len(explained) > 80
    assert [row[0] for row in explained if not row[-1].strip(" |")] == []


def test_the_chart_and_the_service_have_the_same_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))
    assert chart["appVersion"] == chart["version"] == project["project"]["version"]


def test_the_icon_of_the_chart_is_an_image_in_the_chart_itself() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    kind, _, encoded = chart["icon"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(encoded, validate=True).startswith(b"<svg ")


def _notes(*settings: str) -> str:
    chosen = [part for setting in settings for part in ("--set", setting)]
    values = ["--values", str(CHART / "ci/minimal-values.yaml")]
    # `helm template` omits the notes; a dry run of an installation shows them.
    result = run("helm", "install", "acme", str(CHART), "--namespace", "tools", "--dry-run=client", *values, *chosen)
    assert result.returncode == 0, result.stderr
    return result.stdout.split("NOTES:\n")[1]


def test_the_notes_explain_the_next_steps() -> None:
    least = _notes()
    assert "No source is configured" in least
    assert "helm --namespace tools test acme" in least
    assert "Prometheus does not scrape the pods yet" in least
    assert "--timeout 65m" in least
    assert "--timeout 10m" in _notes("migrations.activeDeadlineSeconds=300")
    assert "--timeout" not in _notes("migrations.mode=job")
    source = ("sources.github.existingSecret=s", "sources.github.key=k")
    inside = _notes(*source)
    assert "http://acme-loopgauge.tools/webhooks/github" in inside
    assert "There is no Ingress" in inside
    outside = _notes(
        *source, "ingress.enabled=true", "ingress.host=loopgauge.example.com", "ingress.tlsSecret=t", "api.replicas=1"
    )
    assert "https://loopgauge.example.com/webhooks/github" in outside
    assert "There is no Ingress" not in outside
    assert "GitHub does not send failed deliveries again" in outside


def test_an_older_kubernetes_is_refused_with_a_message() -> None:
    result = template("--values", str(CHART / "ci/minimal-values.yaml"), "--kube-version", "1.29.0")
    assert result.returncode != 0
    assert "requires kubeVersion: >=1.30.0-0" in result.stderr
