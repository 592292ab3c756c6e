"""The architecture's contracts and the ban on clocks and randomness are enforced: a violation fails `make lint`."""

import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import grimp
import pytest
from importlinter import configuration
from importlinter.application import use_cases
from importlinter.application.app_config import settings
from importlinter.application.ports.building import GraphBuilder

from tests.support.paths import REPOSITORY

_PACKAGES = ("service", "dashboards")


class _Built(GraphBuilder):
    """Gives import-linter a finished graph, so that import-linter does not read all the code for each test."""

    def __init__(self, graph: grimp.ImportGraph) -> None:
        self._graph = graph

    def build(self, *_: object, **__: object) -> grimp.ImportGraph:
        return self._graph


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    """The imports of the unchanged code."""
    return grimp.build_graph(*_PACKAGES, include_external_packages=True, cache_dir=None)


@pytest.fixture
def graph(imports: grimp.ImportGraph) -> grimp.ImportGraph:
    """A copy of the imports, which a test may change."""
    return deepcopy(imports)


def _broken(graph: grimp.ImportGraph) -> set[str]:
    """Return the titles of the contracts that a graph breaks, each cut at its first colon or comma."""
    configuration.configure()
    settings.configure(GRAPH_BUILDER=_Built(graph))
    options = use_cases.read_user_options(str(REPOSITORY / "pyproject.toml"))
    use_cases._register_contract_types(options)  # noqa: SLF001 - import-linter's command does this first
    report = use_cases.create_report(options)
    checked = report.get_contracts_and_checks()
    return {contract.name.partition(":")[0].partition(",")[0] for contract, check in checked if not check.kept}


def _add_import(graph: grimp.ImportGraph, importer: str, imported: str) -> None:
    package = imported.partition(".")[0]
    # The graph contains only the top-level name of an external package.
    module = imported if package in _PACKAGES else package
    if module not in graph.modules:
        assert module == package, f"no module {module}"
        graph.add_module(module, is_squashed=True)
    assert importer in graph.modules
    graph.add_import(importer=importer, imported=module)


def test_the_code_keeps_its_contracts(graph: grimp.ImportGraph) -> None:
    assert _broken(graph) == set()


def test_a_stray_module_breaks_the_layers(graph: grimp.ImportGraph) -> None:
    graph.add_module("service.utils")
    assert "Data flows one way" in _broken(graph)


@pytest.mark.parametrize(
    ("importer", "imported", "broken"),
    [
        ("service.lifecycle.experiment", "service.rules.model", "Data flows one way"),
        ("service.storage.inbox", "service.pipeline.receive", "Data flows one way"),
        ("service.providers.github", "service.rules.model", "Data flows one way"),
        ("service.api.health", "service.app", "Data flows one way"),
        ("service.api.health", "service.settings", "The API takes what it needs as parameters"),
        ("service.lifecycle.evidence", "time", "The core is pure"),
        ("service.rules.apply", "logging", "The core is pure"),
        ("service.rules.schema", "pathlib", "The core is pure"),
        ("service.lifecycle.codec", "concurrent.futures", "The core is pure"),
        ("service.metrics.view", "ftplib", "The core is pure"),
        ("service.deliveries.observation", "httpx", "The core is pure"),
        ("service.metrics.view", "sqlalchemy", "The core is pure"),
        ("service.providers.github.payloads", "os", "The core is pure"),
        ("service.deliveries.signatures", "socket", "The core is pure"),
        ("service.deliveries.delivery", "service.rules.model", "Data flows one way"),
        ("service.deliveries.decoding", "service.providers.github", "Data flows one way"),
        ("service.deliveries.decoding", "time", "The core is pure"),
        ("service.metrics.outcomes", "service.metrics.latency", "Metrics do not know each other"),
        ("service.pipeline.receive", "sqlalchemy", "Only storage speaks SQL"),
        ("service.api.deliveries", "asyncpg", "Only storage speaks SQL"),
        ("service.cli", "alembic", "Only storage speaks SQL"),
        ("service.__main__", "sqlalchemy", "Only storage speaks SQL"),
        ("service.demo.plan", "service.lifecycle.taxonomy", "The demo is an outside client"),
        ("service.demo.visit", "service.settings", "The demo is an outside client"),
        ("service.demo.visit", "service.app", "Data flows one way"),
        ("service.demo.payloads.github", "socket", "The demo's story is pure"),
        ("service.providers.jira", "service.providers.github", "Providers do not know each other"),
        ("service.providers.another", "service.providers.github", "Providers do not know each other"),
        ("dashboards.team", "dashboards.failures", "Dashboards do not know each other"),
        ("dashboards.board", "service.storage.inbox", "Dashboards know the domain and the metrics"),
        ("service.telemetry", "dashboards.words", "The service does not know its dashboards"),
    ],
)
def test_a_forbidden_import_breaks_a_contract(
    graph: grimp.ImportGraph, importer: str, imported: str, broken: str
) -> None:
    # The contracts apply to a new provider too.
    graph.add_module("service.providers.another")
    _add_import(graph, importer, imported)
    assert broken in _broken(graph)


@pytest.mark.parametrize(
    "file", ["lifecycle/experiment.py", "storage/inbox.py", "api/webhooks.py", "pipeline/project.py"]
)
@pytest.mark.parametrize(
    "line",
    [
        "import random",
        "import datetime\ndatetime.datetime.now(datetime.UTC)",
        "import time\ntime.time()",
        "from time import monotonic_ns",
    ],
)
def test_the_lint_refuses_clocks_and_randomness(file: str, line: str) -> None:
    path = REPOSITORY / "service" / file
    ended = subprocess.run(
        [Path(sys.executable).parent / "ruff", "check", "--select", "TID251", "--stdin-filename", path, "-"],
        input=f"{line}\n{path.read_text()}",
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert file in ended.stdout


@pytest.mark.parametrize(
    ("process", "unneeded"),
    [
        ("service.server", {"alembic", "httpx"}),
        ("service.runtime.figures_process", {"alembic", "fastapi", "pydantic", "uvicorn"}),
    ],
)
def test_a_process_starts_without_modules_that_it_seldom_needs(process: str, unneeded: set[str]) -> None:
    program = f"import sys, {process}; print(*sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert unneeded & set(ended.stdout.split()) == set()
