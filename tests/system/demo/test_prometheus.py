"""The Prometheus that the demo runs."""

import asyncio
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from service.demo.prometheus import Prometheus, PrometheusUnavailable, run
from tests.support.prometheus import Prometheus as Observer
from tests.support.prometheus import tool
from tests.support.waiting import PATIENCE_SECONDS, wait_for

_NOBODY = "127.0.0.1:1"


@pytest.fixture
def prometheus(tmp_path: Path) -> Prometheus:
    """A Prometheus that is ready to be started."""
    for name in ("promtool", "prometheus"):
        tool(name)
    prepared = Prometheus(tmp_path / "prometheus", _NOBODY, None)
    prepared.prepare()
    return prepared


@pytest.fixture
def usual_port() -> Iterator[int]:
    """The default port of Prometheus, in use by this test or by another process."""
    with ExitStack() as taken:
        listening = socket.socket()
        taken.enter_context(listening)
        if listening.connect_ex(("127.0.0.1", 9090)):
            taken.enter_context(socket.create_server(("127.0.0.1", 9090)))
        yield 9090


async def test_prometheus_scrapes_the_demo_and_ends_with_its_context(prometheus: Prometheus) -> None:
    started = asyncio.get_running_loop().create_future()

    async def visit() -> None:
        async with prometheus.running() as url:
            started.set_result(url)
            await asyncio.Event().wait()

    visiting = asyncio.create_task(visit())
    async with asyncio.timeout(PATIENCE_SECONDS):
        url = urljoin(await started, "/").rstrip("/")
    scraped = f'up{{instance="{_NOBODY}",job="loopgauge"}} == 0'
    assert await asyncio.to_thread(Observer(url).until, scraped)
    visiting.cancel()
    await asyncio.gather(visiting, return_exceptions=True)
    with pytest.raises(httpx.ConnectError):
        await _get(url)


async def _get(url: str) -> httpx.Response:
    return await asyncio.to_thread(httpx.get, url)


async def test_prometheus_gets_another_port_if_the_usual_one_is_in_use(prometheus: Prometheus, usual_port: int) -> None:
    async with prometheus.running() as graph_page:
        assert urlsplit(graph_page).port != usual_port
        assert (await _get(graph_page)).status_code == 200


async def test_a_port_in_use_is_not_replaced_if_it_was_chosen(prometheus: Prometheus, usual_port: int) -> None:
    chosen = replace(prometheus, port=usual_port)
    with pytest.raises(PrometheusUnavailable, match="does not start"):
        async with chosen.running():
            pass


async def test_a_prometheus_that_does_not_start_is_reported_with_its_log(prometheus: Prometheus) -> None:
    (prometheus.directory / "prometheus.yml").write_text("no: configuration")
    with pytest.raises(PrometheusUnavailable, match="does not start; its log is "):
        async with prometheus.running():
            pass
    assert "field no not found" in (prometheus.directory / "log").read_text()


def test_a_missing_prometheus_is_reported_with_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        PrometheusUnavailable, match=r"promtool and prometheus not on the PATH; .* apt install prometheus"
    ):
        Prometheus(tmp_path / "prometheus", _NOBODY, None).prepare()
    assert not (tmp_path / "prometheus").exists()


async def test_a_failed_import_is_reported_with_the_message_of_promtool(prometheus: Prometheus) -> None:
    prometheus.history.write_text("nonsense\n")
    with pytest.raises(PrometheusUnavailable, match=r"promtool ended with status 1: .+"):
        await prometheus.load()


async def test_a_command_ends_when_its_caller_is_cancelled(tmp_path: Path) -> None:
    told = tmp_path / "pid"
    running = asyncio.create_task(run(["sh", "-c", f"echo $$ >{told}; exec sleep 600"]))
    pid = await asyncio.to_thread(_read, told)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _read(told: Path) -> int:
    wait_for(lambda: told.exists() and told.read_text().endswith("\n"))
    return int(told.read_text())
