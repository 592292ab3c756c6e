"""The services of `compose.yaml` have consistent settings and valid mounts."""

import asyncio
import json
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
import yaml

from service.app import create_app, open_database
from service.commands.demo import demo as demo_command
from service.server import server_config
from service.settings import Settings, find_unknown, load_rules, read_settings
from service.storage.database import Database
from tests.support.documents import blocks, example, read_page
from tests.support.outage import until
from tests.support.paths import DOCS, REPOSITORY
from tests.support.prometheus import promtool, tool
from tests.support.road import all_experiments
from tests.support.serving import environment as clean_environment

_DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


def _compose() -> dict[str, Any]:
    """Read `compose.yaml`, and replace every variable by its default."""
    text = (REPOSITORY / "compose.yaml").read_text()
    read: dict[str, Any] = yaml.safe_load(_DEFAULT.sub(lambda variable: variable[1], text))
    return read


_COMPOSE = _compose()
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]
_FROM = [line for line in (REPOSITORY / "Dockerfile").read_text().splitlines() if line.startswith("FROM ")]
_OURS = ("loopgauge", "migrate")


def _mounts(service: str) -> dict[str, str]:
    """The sources of a service's mounts, by target."""
    parts = [mount.split(":") for mount in _SERVICES[service].get("volumes", [])]
    return {target: source for source, target, *_ in parts}


def _port(service: str) -> int:
    """The port of a service. The port is the same inside the container and on this machine."""
    [published] = _SERVICES[service]["ports"]
    address, outside, inside = published.split(":")
    assert address == "127.0.0.1"
    # The demo runs beside the other services, so its port on this machine is another one.
    assert (outside == inside) is (service != "demo")
    return int(inside)


@pytest.mark.parametrize("service", _SERVICES)
def test_the_files_that_the_services_mount_exist(service: str) -> None:
    for source in _mounts(service).values():
        assert source in _COMPOSE["volumes"] or (REPOSITORY / source).exists()


@pytest.mark.parametrize("service", _SERVICES)
def test_published_ports_are_open_to_this_machine_only(service: str) -> None:
    if "ports" in _SERVICES[service]:
        assert _port(service)


@pytest.mark.parametrize("service", _OURS)
def test_the_settings_are_valid(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = _SERVICES[service]["environment"]
    assert list(find_unknown(environment)) == []
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    load_rules(settings)
    assert settings.database_url is not None
    url = urlsplit(settings.database_url.get_secret_value())
    postgresql = _SERVICES[str(url.hostname)]["environment"]
    expected = postgresql["POSTGRES_USER"], postgresql["POSTGRES_PASSWORD"], postgresql["POSTGRES_DB"]
    assert (url.username, url.password, url.path.lstrip("/")) == expected


async def test_the_documented_examples_work_beside_compose(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment: dict[str, str] = _SERVICES["loopgauge"]["environment"]
    here = {"LOOPGAUGE_DATABASE_URL": database_url, "LOOPGAUGE_DATA_DIR": str(tmp_path)}
    for name, value in {**environment, **here}.items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    assert not settings.listens_on_loopback
    reads = "".join(
        block.text for block in blocks(DOCS / "api.md") if "Bearer $LOOPGAUGE_API_TOKENS__READ" in block.text
    )
    async with _serving(settings) as (url, database):
        [delivered] = await _answers(url, example("a delivery"))
        await until(partial(_has_an_experiment, database))
        scorecard, page, experiment, *others = await _answers(url, example("reading beside compose") + reads)
        refused = await _answers(url, reads)
    assert delivered["status"] == "stored"
    assert scorecard["window"] == "90d"
    assert page["experiments"] == []
    assert experiment["title"] == "Answer from the cache"
    assert [answer.get("status") for answer in others] == [None] * 6
    assert [answer["status"] for answer in refused] == [401] * 8


def test_every_request_in_the_page_of_the_api_but_the_one_to_the_home_page_sends_a_token() -> None:
    """Outside loopback, a request without a token is refused."""
    requests = [
        line
        for block in blocks(DOCS / "api.md")
        for line in block.text.replace("\\\n", "").splitlines()
        if "curl " in line
    ]
    assert [line for line in requests if "Authorization" not in line] == ["curl --silent http://127.0.0.1:8080/"]


async def _has_an_experiment(database: Database) -> bool:
    return bool(await all_experiments(database))


@asynccontextmanager
async def _serving(settings: Settings) -> AsyncIterator[tuple[str, Database]]:
    """Serve with these settings, but on a port of the loopback interface, as Docker publishes it."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        async with open_database(settings) as database:
            app = create_app(settings, load_rules(settings), database)
            async with app.lifespan():
                server = uvicorn.Server(server_config(app))
                serving = asyncio.create_task(server.serve(sockets=[listening]))
                try:
                    yield f"127.0.0.1:{listening.getsockname()[1]}", database
                finally:
                    server.should_exit = True
                    await serving


async def _answers(address: str, script: str) -> list[Any]:
    """Run commands of the documentation, and return what each `curl` prints."""
    lines = 'curl() { command curl --write-out "\\n" "$@"; }\n' + script.replace("127.0.0.1:8080", address)
    ended = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", lines], env=clean_environment(), capture_output=True, text=True, check=True
    )
    return [json.loads(line) for line in ended.stdout.splitlines()]


def test_the_published_port_and_the_volume_match_the_settings() -> None:
    environment = _SERVICES["loopgauge"]["environment"]
    assert int(environment["LOOPGAUGE_PORT"]) == _port("loopgauge")
    assert environment["LOOPGAUGE_DATA_DIR"] in _mounts("loopgauge")


@pytest.mark.parametrize("service", _OURS)
def test_the_containers_are_read_only_and_without_privileges(service: str) -> None:
    container = _SERVICES[service]
    assert (container["read_only"], container["cap_drop"]) == (True, ["ALL"])
    assert container["security_opt"] == ["no-new-privileges:true"]
    assert container["tmpfs"] == ["/tmp"]  # noqa: S108 - the container's own


def test_the_migration_completes_before_the_service_starts() -> None:
    awaited = _SERVICES["loopgauge"]["depends_on"]
    assert awaited["migrate"]["condition"] == "service_completed_successfully"
    assert _SERVICES["migrate"]["depends_on"]["postgresql"]["condition"] == "service_healthy"


def test_the_image_is_built_once_before_other_services_run_it() -> None:
    built = [definition["image"] for definition in _SERVICES.values() if "build" in definition]
    assert sorted(set(built)) == sorted(built) == ["loopgauge-demo:local", "loopgauge:local"]
    for definition in _SERVICES.values():
        if definition["image"] in built and "build" not in definition:
            assert definition["pull_policy"] == "never"
            awaited = [_SERVICES[name] for name in definition["depends_on"]]
            assert definition["image"] in [one["image"] for one in awaited if "build" in one]


def test_the_services_of_the_demo_start_with_its_profile_only() -> None:
    profiled = {name for name, definition in _SERVICES.items() if "profiles" in definition}
    assert profiled == {"demo", "demo-grafana"}
    assert all(_SERVICES[name]["profiles"] == ["demo"] for name in profiled)


def test_the_grafana_of_the_demo_reaches_the_prometheus_of_the_demo() -> None:
    demo, grafana = _SERVICES["demo"], _SERVICES["demo-grafana"]
    options = dict(zip(demo["command"][::2], demo["command"][1::2], strict=True))
    assert set(options) <= {name for option in demo_command.params for name in option.opts}
    # Prometheus listens on the loopback interface, so Grafana must share the network of the demo.
    assert grafana["network_mode"] == "service:demo"
    address = f"http://127.0.0.1:{options['--prometheus-port']}"
    usual = _SERVICES["grafana"]["environment"]
    assert grafana["environment"] == {**usual, "PROMETHEUS_URL": address}
    assert _port("demo") == _port("grafana")
    assert "ports" not in grafana


def test_the_image_of_the_demo_gets_every_file_that_it_copies() -> None:
    build = _SERVICES["demo"]["build"]
    dockerfile = REPOSITORY / build["dockerfile"]
    copied = {
        source
        for line in dockerfile.read_text().splitlines()
        if line.startswith("COPY ")
        for source in line.split()[1:-1]
    }
    included = dockerfile.with_name(f"{dockerfile.name}.dockerignore").read_text().split()
    assert {f"!{source}" for source in copied} == {line.rstrip("/") for line in included if line.startswith("!")}
    assert all((REPOSITORY / source).exists() for source in copied)
    # The demo runs the Prometheus rules, and the same Python as the service.
    assert "dashboards/rules" in copied
    first = [line for line in dockerfile.read_text().splitlines() if line.startswith("FROM ")]
    assert first == [line.removesuffix(" AS build") for line in _FROM[:1]]


def _prometheus() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(_COMPOSE["configs"]["prometheus"]["content"])
    return read


def test_the_configuration_of_prometheus_equals_the_example_except_for_host_names() -> None:
    example = yaml.safe_load((REPOSITORY / "dashboards" / "prometheus.yml").read_text())
    here = _prometheus()
    for configuration, alertmanager, scraped in (
        (example, "127.0.0.1:9093", "127.0.0.1:8080"),
        (here, f"alertmanager:{_port('alertmanager')}", f"loopgauge:{_port('loopgauge')}"),
    ):
        [alerting] = configuration["alerting"]["alertmanagers"]
        [scraping] = configuration["scrape_configs"]
        assert alerting.pop("static_configs") == [{"targets": [alertmanager]}]
        assert scraping.pop("static_configs") == [{"targets": [scraped]}]
    assert here == example


def test_prometheus_finds_its_configuration_and_valid_rules(tmp_path: Path) -> None:
    [mounted] = _SERVICES["prometheus"]["configs"]
    assert f"--config.file={mounted['target']}" in _SERVICES["prometheus"]["command"]
    at = Path(mounted["target"])
    (tmp_path / at.name).write_text(_COMPOSE["configs"][mounted["source"]]["content"])
    shutil.copytree(REPOSITORY / _mounts("prometheus")[str(at.with_name("rules"))], tmp_path / "rules")
    checked = promtool("check", "config", str(tmp_path / at.name))
    assert checked.returncode == 0, checked.stderr
    assert len(re.findall(r"SUCCESS: \d+ rules found", checked.stdout)) == 3


def test_prometheus_keeps_its_data_for_a_year_on_a_volume() -> None:
    command = _SERVICES["prometheus"]["command"]
    assert "--storage.tsdb.retention.time=1y" in command
    assert not any("lifecycle" in option or "admin-api" in option for option in command)
    [directory] = [option.partition("=")[2] for option in command if option.startswith("--storage.tsdb.path=")]
    assert directory in _mounts("prometheus")


def test_the_configuration_of_alertmanager_is_valid() -> None:
    mounted = REPOSITORY / _mounts("alertmanager")["/etc/alertmanager/alertmanager.yml"]
    checked = subprocess.run([tool("amtool"), "check-config", mounted], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_grafana_finds_prometheus_and_the_dashboards() -> None:
    mounts = {target: REPOSITORY / source for target, source in _mounts("grafana").items()}
    [source] = _read(mounts["/etc/grafana/provisioning/datasources"])["datasources"]
    assert source["url"] == "${PROMETHEUS_URL}"
    environment = _SERVICES["grafana"]["environment"]
    assert environment["PROMETHEUS_URL"] == f"http://prometheus:{_port('prometheus')}"
    [provider] = _read(mounts["/etc/grafana/provisioning/dashboards"])["providers"]
    dashboards = provider["options"]["path"]
    assert sorted(mounts[dashboards].glob("*.json"))
    home = Path(environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) == dashboards
    assert (mounts[dashboards] / home.name).is_file()


def _read(directory: Path) -> dict[str, Any]:
    [file] = directory.iterdir()
    read: dict[str, Any] = yaml.safe_load(file.read_text())
    return read


def test_the_page_exports_history_with_the_labels_of_the_scrape() -> None:
    [scraping] = _prometheus()["scrape_configs"]
    [[target]] = [one["targets"] for one in scraping["static_configs"]]
    assert f"export-history --label instance={target}" in read_page("deploy.md")
