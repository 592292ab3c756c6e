"""Check the chart for `make check`: each scenario passes Helm's lint and the schemas of Kubernetes."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.system.helm.chart import CHART, KUBERNETES, SCENARIOS, run, template
from tests.system.helm.schemas import validate, write_schemas


def lint(values: Path) -> str:
    """Return the findings of Helm's lint for some values; empty if there are none."""
    result = run("helm", "lint", "--strict", "--kube-version", KUBERNETES[-1], "--values", str(values), str(CHART))
    return result.stdout + result.stderr if result.returncode else ""


def problems(directory: Path) -> Iterator[str]:
    """Yield the problems of every scenario, on the oldest and the newest Kubernetes."""
    manifests = directory / "manifests"
    manifests.mkdir()
    for values in SCENARIOS:
        yield lint(values)
        rendered = template("--values", str(values))
        yield rendered.stderr if rendered.returncode else ""
        (manifests / values.name).write_text(rendered.stdout, encoding="utf-8")
    for version in KUBERNETES:
        schemas = directory / version
        schemas.mkdir()
        yield validate(manifests, write_schemas(schemas, version))


def main() -> int:
    """Check all scenarios, and return the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        messages = [problem for problem in problems(Path(directory)) if problem]
    sys.stderr.write("\n".join(messages))
    return 1 if messages else 0


if __name__ == "__main__":
    sys.exit(main())
