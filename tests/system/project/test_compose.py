"""`docker compose up`: what the services are told of each other is true, and what is mounted is right."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from service.settings import load_rules, read_settings, unknown_settings
from tests.support.paths import REPOSITORY
from tests.support.prometheus import promtool, tool

_DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")


def _compose() -> dict[str, Any]:
    """The file as it is without an environment or a `.env`."""
    text = (REPOSITORY / "compose.yaml").read_text()
    read: dict[str, Any] = yaml.safe_load(_DEFAULT.sub(lambda variable: variable[1], text))
    return read


_COMPOSE = _compose()
_SERVICES: dict[str, dict[str, Any]] = _COMPOSE["services"]
_OURS = ("loopgauge", "migrate")


def _mounts(service: str) -> dict[str, str]:
    """What is mounted in a service, by where."""
    parts = [mount.split(":") for mount in _SERVICES[service].get("volumes", [])]
    return {target: source for source, target, *_ in parts}


def _port(service: str) -> int:
    """Where a service listens, inside as outside."""
    [published] = _SERVICES[service]["ports"]
    address, outside, inside = published.split(":")
    assert (address, outside) == ("127.0.0.1", inside)
    return int(inside)


@pytest.mark.parametrize("service", _SERVICES)
def test_what_is_mounted_exists(service: str) -> None:
    for source in _mounts(service).values():
        assert source in _COMPOSE["volumes"] or (REPOSITORY / source).exists()


@pytest.mark.parametrize("service", _SERVICES)
def test_what_a_service_listens_on_is_open_to_this_machine_alone(service: str) -> None:
    if "ports" in _SERVICES[service]:
        assert _port(service)


@pytest.mark.parametrize("service", _OURS)
def test_the_service_understands_its_settings(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    environment: dict[str, str] = _SERVICES[service]["environment"]
    assert unknown_settings(environment) == []
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = read_settings()
    load_rules(settings)
    assert settings.database_url is not None
    url = urlsplit(settings.database_url.get_secret_value())
    postgresql = _SERVICES[str(url.hostname)]["environment"]
    expected = postgresql["POSTGRES_USER"], postgresql["POSTGRES_PASSWORD"], postgresql["POSTGRES_DB"]
    assert (url.username, url.password, url.path.lstrip("/")) == expected


def test_the_service_is_reached_where_it_listens_and_spools_where_something_is_mounted() -> None:
    environment = _SERVICES["loopgauge"]["environment"]
    assert int(environment["LOOPGAUGE_PORT"]) == _port("loopgauge")
    assert environment["LOOPGAUGE_DATA_DIR"] in _mounts("loopgauge")


@pytest.mark.parametrize("service", _OURS)
def test_the_service_can_write_where_it_must_and_do_no_more_than_it_needs(service: str) -> None:
    told = _SERVICES[service]
    assert (told["read_only"], told["cap_drop"], told["security_opt"]) == (True, ["ALL"], ["no-new-privileges:true"])
    assert told["tmpfs"] == ["/tmp"]  # noqa: S108 - the container's own


def test_the_schema_is_there_before_the_service() -> None:
    awaited = _SERVICES["loopgauge"]["depends_on"]
    assert awaited["migrate"]["condition"] == "service_completed_successfully"
    assert _SERVICES["migrate"]["depends_on"]["postgresql"]["condition"] == "service_healthy"


def test_our_image_is_built_once_and_before_whoever_else_runs_it() -> None:
    built = [told["image"] for told in _SERVICES.values() if "build" in told]
    assert sorted(set(built)) == sorted(built) == ["loopgauge:local"]
    for told in _SERVICES.values():
        if told["image"] in built and "build" not in told:
            assert told["pull_policy"] == "never"
            awaited = [_SERVICES[name] for name in told["depends_on"]]
            assert told["image"] in [one["image"] for one in awaited if "build" in one]


def _prometheus() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(_COMPOSE["configs"]["prometheus"]["content"])
    return read


def test_prometheus_is_told_what_the_example_says_but_for_the_names_of_the_others() -> None:
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


def test_prometheus_finds_its_configuration_and_right_rules(tmp_path: Path) -> None:
    [mounted] = _SERVICES["prometheus"]["configs"]
    assert f"--config.file={mounted['target']}" in _SERVICES["prometheus"]["command"]
    at = Path(mounted["target"])
    (tmp_path / at.name).write_text(_COMPOSE["configs"][mounted["source"]]["content"])
    shutil.copytree(REPOSITORY / _mounts("prometheus")[str(at.with_name("rules"))], tmp_path / "rules")
    checked = promtool("check", "config", str(tmp_path / at.name))
    assert checked.returncode == 0, checked.stderr
    assert len(re.findall(r"SUCCESS: \d+ rules found", checked.stdout)) == 3


def test_what_prometheus_keeps_outlives_it_for_a_year() -> None:
    command = _SERVICES["prometheus"]["command"]
    assert "--storage.tsdb.retention.time=1y" in command
    assert not any("lifecycle" in option or "admin-api" in option for option in command)
    [directory] = [option.partition("=")[2] for option in command if option.startswith("--storage.tsdb.path=")]
    assert directory in _mounts("prometheus")


def test_alertmanager_can_read_what_is_mounted() -> None:
    mounted = REPOSITORY / _mounts("alertmanager")["/etc/alertmanager/alertmanager.yml"]
    checked = subprocess.run([tool("amtool"), "check-config", mounted], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_grafana_finds_prometheus_the_dashboards_and_the_first_of_them() -> None:
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


def test_the_readme_gives_the_past_the_labels_that_scraping_gives_here() -> None:
    [scraping] = _prometheus()["scrape_configs"]
    [[target]] = [one["targets"] for one in scraping["static_configs"]]
    assert f"export-history --label instance={target}" in (REPOSITORY / "README.md").read_text()
