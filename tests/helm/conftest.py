"""The tools that the chart's tests run."""

import os

import pytest

from tests.helm.chart import TOOLS


@pytest.fixture(autouse=True, scope="session")
def tools() -> None:
    """Skip where the tools are missing, which need Go; but never in continuous integration."""
    if (TOOLS / "bin/helm").exists():
        return
    missing = "helm is not there; `make tools` makes it, with Go"
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
