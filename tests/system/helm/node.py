"""What a node of Kubernetes does with the pods that the chart makes, with plain processes on this machine.

Commands, arguments, environment, files and probes are those that were rendered. Substituted is what one machine has
only once: the image's entrypoint is this environment's `loopgauge`, a pod's port is a free one, and what is mounted
lies in a folder of the pod's own, so that paths of mounts are replaced where variables name them.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.prometheus import free_port
from tests.system.helm.chart import Manifest, of_kind

Secrets = Mapping[str, Mapping[str, str]]
"""The values of each Secret by their keys."""

_COMMANDS = Path(sys.executable).parent
_PATIENCE = 60.0
_SERVICE_PORT = "8080"


class Pod:
    """One container of a pod, as a process."""

    def __init__(self, spec: Manifest, container: Manifest, objects: Sequence[Manifest], secrets: Secrets) -> None:
        self._spec = spec
        self._container = container
        self._objects = objects
        self._secrets = secrets
        self._port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"

    def start(self, directory: Path) -> None:
        """Mount what is to be mounted, and start the command."""
        mounts = self._mount(directory)
        command = self._container.get("command", ["loopgauge"]) + self._container.get("args", [])
        environment = {name: self._replaced(name, value, mounts) for name, value in self._variables().items()}
        self.log = directory / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [_COMMANDS / command[0], *command[1:]], env=environment, cwd=directory, stdout=log, stderr=log
            )

    def ended(self) -> int:
        """The exit status, as soon as it has ended by itself."""
        assert self.process is not None
        return self.process.wait(_PATIENCE)

    def terminate(self) -> int:
        """End it as Kubernetes does, within the time that it has; the exit status."""
        assert self.process is not None
        sleep = self._container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        # It sleeps before the signal, and the sleep counts.
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(self._spec["terminationGracePeriodSeconds"] - sleep)

    def probe(self, name: str) -> bool:
        """Whether a probe succeeds, once."""
        probe = self._container[name]
        ports = {port["name"]: str(port["containerPort"]) for port in self._container["ports"]}
        assert ports[probe["httpGet"]["port"]] == _SERVICE_PORT
        try:
            answer = httpx.get(self.url + probe["httpGet"]["path"], timeout=probe["timeoutSeconds"])
        except httpx.TransportError:
            return False
        return 200 <= answer.status_code < 400

    def until(self, name: str) -> None:
        """Wait until a probe succeeds."""
        deadline = time.monotonic() + _PATIENCE
        while not self.probe(name):
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            if time.monotonic() > deadline:
                pytest.fail(f"{name} did not succeed within {_PATIENCE:g} seconds: {self.log.read_text()}")
            time.sleep(0.1)

    def kill(self) -> None:
        """End it in any case."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _variables(self) -> dict[str, str]:
        found = {"PATH": os.environ["PATH"]}
        for one in self._container.get("env", []):
            if "value" in one:
                found[one["name"]] = one["value"]
            else:
                wanted = one["valueFrom"]["secretKeyRef"]
                found[one["name"]] = self._secrets[wanted["name"]][wanted["key"]]
        return found

    def _replaced(self, name: str, value: str, mounts: Mapping[str, Path]) -> str:
        if name == "LOOPGAUGE_PORT":
            assert value == _SERVICE_PORT
            return str(self._port)
        for path, folder in mounts.items():
            if value == path or value.startswith(f"{path}/"):
                return f"{folder}{value.removeprefix(path)}"
        return value

    def _mount(self, directory: Path) -> dict[str, Path]:
        """The folder behind each path that is mounted."""
        volumes = {volume["name"]: volume for volume in self._spec.get("volumes", [])}
        mounts = {}
        for mount in self._container.get("volumeMounts", []):
            folder = directory / mount["name"]
            folder.mkdir()
            mounts[mount["mountPath"]] = folder
            # A claim of a StatefulSet is no volume of the pod's own.
            config = volumes.get(mount["name"], {}).get("configMap", {})
            for one in of_kind(self._objects, "ConfigMap"):
                # Those that the release does not bring are empty here: no command reads them.
                if one["metadata"]["name"] == config.get("name"):
                    for item in config["items"]:
                        (folder / item["path"]).write_text(one["data"][item["key"]], encoding="utf-8")
        return mounts


class Node:
    """Runs pods of one release."""

    def __init__(self, objects: Sequence[Manifest], secrets: Secrets, directory: Path) -> None:
        self._objects = objects
        self._secrets = secrets
        self._directory = directory
        self._pods: list[Pod] = []

    def start(self, pod: Manifest, container: str = "loopgauge", **given: str) -> Pod:
        """Start a container of a pod.

        Args:
            given: variables in the place of those that were rendered.
        """
        spec = pod["spec"]
        [chosen] = [one for one in [*spec.get("initContainers", []), *spec["containers"]] if one["name"] == container]
        replaced = [{"name": name, "value": value} for name, value in given.items()]
        variables = [one for one in chosen.get("env", []) if one["name"] not in given]
        started = Pod(spec, {**chosen, "env": [*variables, *replaced]}, self._objects, self._secrets)
        directory = self._directory / f"pod-{len(self._pods)}"
        directory.mkdir()
        self._pods.append(started)
        started.start(directory)
        return started

    def clear(self) -> None:
        """End all that still runs."""
        for pod in self._pods:
            pod.kill()


@contextmanager
def node(objects: Sequence[Manifest], secrets: Secrets, directory: Path) -> Iterator[Node]:
    """A node that is empty again when the context ends."""
    made = Node(objects, secrets, directory)
    try:
        yield made
    finally:
        made.clear()
