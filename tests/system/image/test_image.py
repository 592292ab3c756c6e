"""The image that the Dockerfile makes, built without Docker; see `stage.py`."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.builders import SECRET, Issue, at
from tests.support.paths import REPOSITORY
from tests.support.postgresql import oldest, running
from tests.support.prometheus import free_port
from tests.support.waiting import PATIENCE_SECONDS
from tests.system.image.building import build
from tests.system.image.stage import SCRATCH, Stage, needs_root

_ARGUMENTS = {"VERSION": "1.2.3", "REVISION": "0123abc", "SOURCE": "https://git.example.com/loopgauge"}
_UNWANTED = re.compile(r"(postgres|initdb|pg_ctl|pip[\d.]*|uv|ruff|mypy|pytest|hatch\w*)")


# Check everything in one test, because the build downloads and installs packages, which takes long.
def test_the_image_serves_as_any_user_without_writing_to_its_files(tmp_path: Path) -> None:
    needs_root()
    programs = oldest()
    image = build(tmp_path, _ARGUMENTS)
    _check_contents(image)
    _check_labels(image)
    _check_error_without_database(image)
    port = free_port()
    with running(programs, {"listen_addresses": "127.0.0.1", "port": str(port)}):
        url = f"postgresql://postgres@127.0.0.1:{port}/postgres"
        migrated = _run(image, [*image.entrypoint, "migrate"], LOOPGAUGE_DATABASE_URL=url)
        assert migrated.stdout.startswith("the schema is at revision "), migrated.stderr
        for number, user in enumerate((image.user, "54321:12345"), start=1):
            _check_service(image, url, user, number)


def _check_contents(image: Stage) -> None:
    [packages] = image.at("/opt/loopgauge/lib").glob("python*/site-packages")
    installed = {path.name.partition("-")[0].replace("_", "-").lower() for path in packages.glob("*.dist-info")}
    locked = set(re.findall(r"^(\S+)==", (REPOSITORY / "requirements-image.lock").read_text(), re.MULTILINE))
    assert installed == {"loopgauge", *locked}
    assert image.base_packages == []
    added = [path.name for part in ("/opt", "/usr/local", "/var") for path in image.at(part).rglob("*")]
    assert "loopgauge" in added
    assert [name for name in added if _UNWANTED.fullmatch(name)] == []
    [bytecode] = packages.glob("service/__pycache__/cli.*.pyc")
    # The bytecode is hash-based and unchecked (PEP 552), so Python uses it whatever the dates of the source files are.
    assert bytecode.read_bytes()[4:8] == (0b01).to_bytes(4, "little")


def _check_labels(image: Stage) -> None:
    said = {name.removeprefix("org.opencontainers.image."): value for name, value in image.labels.items()}
    assert set(said) == {"title", "description", "licenses", "version", "revision", "source"}
    assert (said["version"], said["revision"], said["source"]) == tuple(_ARGUMENTS.values())
    assert image.user == "10001:10001"
    assert image.volumes == [image.environment["LOOPGAUGE_DATA_DIR"]]
    assert image.ports == [image.environment["LOOPGAUGE_PORT"]]
    assert image.command == ["serve"]


def _check_error_without_database(image: Stage) -> None:
    for command in (image.command, ["migrate"], ["deliveries", "list"]):
        ended = _run(image, [*image.entrypoint, *command])
        assert ended.returncode == 1
        [line] = ended.stderr.splitlines()
        assert "set LOOPGAUGE_DATABASE_URL" in line
    assert _run(image, ["ls", "-A", *image.volumes]).stdout == ""


def _check_service(image: Stage, url: str, user: str, number: int) -> None:
    port = str(free_port())
    variables = {
        "LOOPGAUGE_DATABASE_URL": url,
        "LOOPGAUGE_PORT": port,
        "LOOPGAUGE_OPEN_METRICS": "true",
        "LOOPGAUGE_SOURCES__GITHUB__SECRET": SECRET,
    }
    with _serving(image, user, variables) as process:
        ready = httpx.get(f"http://127.0.0.1:{port}/readyz").json()
        assert (ready["status"], ready["checks"]["spool"]) == ("ready", "ok")
        request = Issue(number=number, created_at=at(2)).opened()
        posted = f"http://127.0.0.1:{port}/webhooks/github"
        assert httpx.post(posted, content=request.body, headers=request.headers()).status_code == 202
        _wait_for_figure(f"http://127.0.0.1:{port}/metrics", number)
        assert _run(image, image.health, user, LOOPGAUGE_PORT=port).returncode == 0
        for path in ("/opt/loopgauge", "/usr/local", "/etc", "/"):
            refused = _run(image, ["touch", f"{path}/written"], user)
            assert "Read-only file system" in refused.stderr
        for path in (SCRATCH, *image.volumes):
            assert _run(image, ["touch", f"{path}/written-by-{number}"], user).returncode == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    assert _run(image, image.health, user, LOOPGAUGE_PORT=port).returncode != 0


@contextmanager
def _serving(image: Stage, user: str, variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    command = image.contained([*image.entrypoint, *image.command], user, variables)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = []
            for line in process.stderr:
                lines.append(line)
                if json.loads(line)["event"] == "listening":
                    break
            assert process.poll() is None, lines
            yield process
        finally:
            process.kill()


def _wait_for_figure(url: str, number: int) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    expected = re.compile(rf'^loopgauge_experiments_in_flight{{stage="proposed",team=".*"}} {number}\.0$', re.MULTILINE)
    while not expected.search(httpx.get(url).text):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def _run(image: Stage, command: list[str], user: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    contained = image.contained(command, user or image.user, variables)
    return subprocess.run(contained, capture_output=True, text=True, timeout=PATIENCE_SECONDS, check=False)
