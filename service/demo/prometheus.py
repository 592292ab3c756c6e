"""The demo's own Prometheus server, which loads the past, scrapes the demo, and stops when the demo stops."""

import asyncio
import json
import shutil
import socket
from asyncio.subprocess import DEVNULL, PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

from service.demo.sending import UnexpectedAnswer, connected

_HOST = "127.0.0.1"
_USUAL_PORT = 9090
_FURTHER_ATTEMPTS = 2
_PATIENCE_SECONDS = 30.0
_LOOK_SECONDS = 0.1
_OK = 200
# When the demo ends, even if it is killed, the shell's standard input closes, and the shell kills the command. The
# shell closes its own standard output, so that only the command holds the output pipe open. The pipe closes when the
# command ends, and so tells `_is_ready` that Prometheus has ended.
_END_WITH_US = '"$@" & exec >&-; read -r _; kill -KILL $!; wait'


class PrometheusUnavailable(Exception):
    """The demo has no Prometheus server; the message gives the reason."""


@dataclass(frozen=True, slots=True)
class Prometheus:
    """The installed Prometheus, and the directory in which the demo runs it.

    Attributes:
        directory: the directory for the configuration and the data of Prometheus.
        target: the host and port to scrape.
        rules: the directory of the recording and alerting rules; None if Prometheus shall load no rules.
        port: the port on which Prometheus listens; None for its usual port or, if that one is taken, any free port.
    """

    directory: Path
    target: str
    rules: Path | None
    port: int | None = None

    @property
    def history(self) -> Path:
        """The file to which the past is exported in OpenMetrics format."""
        return self.directory / "history.om"

    def prepare(self) -> None:
        """Make the directory and the configuration.

        Raises:
            PrometheusUnavailable: Prometheus or promtool is not installed.
        """
        if missing := [name for name in ("promtool", "prometheus") if shutil.which(name) is None]:
            raise PrometheusUnavailable(
                f"{' and '.join(missing)} not on the PATH; on Debian and Ubuntu, run apt install prometheus"
            )
        self.directory.mkdir()
        scraped = {"job_name": "loopgauge", "static_configs": [{"targets": [self.target]}]}
        configuration = {
            "global": {"scrape_interval": "5s", "evaluation_interval": "5s"},
            "rule_files": [f"{self.rules}/*.yaml"] if self.rules else [],
            "scrape_configs": [scraped],
        }
        # JSON is YAML.
        self._configuration.write_text(json.dumps(configuration, indent=2), "utf-8")

    async def load(self) -> None:
        """Turn the past into blocks of Prometheus' database.

        Raises:
            PrometheusUnavailable: promtool fails.
        """
        blocks = ["--max-block-duration=1500h", "openmetrics", str(self.history), str(self._data)]
        await run(["promtool", "tsdb", "create-blocks-from", *blocks])
        self.history.unlink()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        """Run Prometheus until the context ends, and yield the URL of its page for graphs.

        Raises:
            PrometheusUnavailable: Prometheus does not start.
        """
        for port in self._ports():
            process = await self._start(port)
            try:
                if await self._is_ready(process, port):
                    yield await _graph_page(port)
                    return
            finally:
                await _end(process)
        raise PrometheusUnavailable(f"Prometheus does not start; its log is {self._log}")

    def _ports(self) -> Iterator[int]:
        """The ports to try. Another process can take a free port before Prometheus does, so try several."""
        if self.port is not None:
            yield self.port
            return
        yield _free_port(_USUAL_PORT)
        for _ in range(_FURTHER_ATTEMPTS):
            yield _free_port(0)

    @property
    def _configuration(self) -> Path:
        return self.directory / "prometheus.yml"

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    @property
    def _log(self) -> Path:
        return self.directory / "log"

    async def _start(self, port: int) -> Process:
        command = [
            "prometheus",
            f"--config.file={self._configuration}",
            f"--storage.tsdb.path={self._data}",
            # The default retention of 15 days is too short for the demo's past.
            "--storage.tsdb.retention.time=3y",
            f"--web.listen-address={_HOST}:{port}",
            "--log.level=warn",
        ]
        with self._log.open("a") as log:
            return await asyncio.create_subprocess_exec(
                *("sh", "-c", _END_WITH_US, "sh", *command), stdin=PIPE, stdout=PIPE, stderr=log, start_new_session=True
            )

    async def _is_ready(self, process: Process, port: int) -> bool:
        """Whether this Prometheus answers in time.

        Another server may use the port, so check which data directory the server that answers uses.
        """
        assert process.stdout is not None  # noqa: S101 - the process was started with a pipe
        ended = asyncio.create_task(process.stdout.read())
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while not ended.done():
                    with suppress(UnexpectedAnswer, ValueError, KeyError):
                        if await _data_at(port) == str(self._data):
                            return True
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            pass
        finally:
            ended.cancel()
        return False


async def run(command: Sequence[str], environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> None:
    """Run a command to its end. If the task is cancelled, kill the command.

    Raises:
        PrometheusUnavailable: the command fails.
    """
    # Start a new session, so that Ctrl-C reaches only the demo, which then ends the command.
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, cwd=cwd, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, start_new_session=True
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        last = output.decode(errors="replace").strip().rpartition("\n")[2]
        raise PrometheusUnavailable(f"{Path(command[0]).name} ended with status {process.returncode}: {last}")


async def _data_at(port: int) -> str:
    """The data directory of the Prometheus server on a port, or an empty text if the server answers with an error."""
    async with connected(_HOST, port) as connection:
        answer = await connection.ask("GET", "/api/v1/status/flags", {})
    return str(json.loads(answer.body)["data"]["storage.tsdb.path"]) if answer.status == _OK else ""


async def _graph_page(port: int) -> str:
    """The URL of the page for graphs, to which Prometheus redirects from `/`.

    The path of this page is `/graph` in Prometheus 2, `/query` in Prometheus 3, and `/classic/graph` in the package of
    Debian, which has no pages at the other paths.
    """
    async with connected(_HOST, port) as connection:
        answer = await connection.ask("GET", "/", {})
    return urljoin(f"http://{_HOST}:{port}/", answer.location or "graph")


async def _end(process: Process) -> None:
    assert process.stdin is not None  # noqa: S101 - the process was started with a pipe
    process.stdin.close()
    await process.wait()


def _free_port(wanted: int) -> int:
    """The wanted port if it is free, or else any free port."""
    try:
        with socket.create_server((_HOST, wanted)) as probe:
            return int(probe.getsockname()[1])
    except OSError:
        return _free_port(0)
