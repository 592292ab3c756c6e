"""What `make check` sees of the chart: each scenario passes Helm's lint, and is what Kubernetes would take."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.helm.chart import CHART, KUBERNETES, SCENARIOS, run, template
from tests.helm.schemas import validate, write_schemas


def problems(values: Path, schemas: str) -> Iterator[str]:
    """What is wrong with the chart under some values."""
    linted = run("helm", "lint", "--strict", "--kube-version", KUBERNETES, "--values", str(values), str(CHART))
    if linted.returncode:
        yield linted.stdout + linted.stderr
    rendered = template("--values", str(values))
    if rendered.returncode:
        yield rendered.stderr
    elif invalid := validate(rendered.stdout, schemas):
        yield invalid


def main() -> int:
    """Check all scenarios; the exit status."""
    with tempfile.TemporaryDirectory() as directory:
        schemas = write_schemas(Path(directory))
        found = [f"{values.name}: {problem}" for values in SCENARIOS for problem in problems(values, schemas)]
    sys.stderr.write("".join(f"{problem}\n" for problem in found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
