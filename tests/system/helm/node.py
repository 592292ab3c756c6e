"""A substitute for a node of Kubernetes. It runs the pods of the chart as plain processes on this machine.

It uses the commands, arguments, environment, files and probes that Helm renders. Because there are no images, and all
pods share one machine, it changes three things:

- The `loopgauge` of this Python environment replaces the entrypoint of the image.
- Each pod listens on a free port of its own.
- Each mount is a folder that belongs to one pod. In environment variables, the path of this folder replaces the path of
  the mount.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.prometheus import free_port
from tests.support.waiting import PATIENCE_SECONDS, wait_for
from tests.system.helm.chart import Manifest, of_kind

Secrets = Mapping[str, Mapping[str, str]]
"""For each Secret, its values by key."""

_COMMANDS = Path(sys.executable).parent
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
        """Create the mounts, and start the command."""
        mounts = self._mount(directory)
        command = self._container.get("command", ["loopgauge"]) + self._container.get("args", [])
        environment = {name: self._replace(name, value, mounts) for name, value in self._variables().items()}
        self.log = directory / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [_COMMANDS / command[0], *command[1:]], env=environment, cwd=directory, stdout=log, stderr=log
            )

    def wait(self) -> int:
        """Wait until the process ends by itself, and return the exit status."""
        assert self.process is not None
        return self.process.wait(PATIENCE_SECONDS)

    def terminate(self) -> int:
        """End the container as Kubernetes does, and return the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_SECONDS)

    def probe(self, name: str) -> bool:
        """Run a probe once, and return whether it succeeds."""
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

        def succeeds() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log.read_text()
            return self.probe(name)

        wait_for(succeeds, f"success of {name}")

    def kill(self) -> None:
        """Kill the process if it still runs."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def _variables(self) -> dict[str, str]:
        variables = {"PATH": os.environ["PATH"]}
        for variable in self._container.get("env", []):
            if "value" in variable:
                variables[variable["name"]] = variable["value"]
            else:
                reference = variable["valueFrom"]["secretKeyRef"]
                variables[variable["name"]] = self._secrets[reference["name"]][reference["key"]]
        return variables

    def _replace(self, name: str, value: str, mounts: Mapping[str, Path]) -> str:
        if name == "LOOPGAUGE_PORT":
            assert value == _SERVICE_PORT
            return str(self._port)
        for path, folder in mounts.items():
            if value == path or value.startswith(f"{path}/"):
                return f"{folder}{value.removeprefix(path)}"
        return value

    def _mount(self, directory: Path) -> dict[str, Path]:
        """Create a folder for each mount, and return the folders by path."""
        volumes = {volume["name"]: volume for volume in self._spec.get("volumes", [])}
        mounts = {}
        for mount in self._container.get("volumeMounts", []):
            folder = directory / mount["name"]
            folder.mkdir()
            mounts[mount["mountPath"]] = folder
            # `volumes` has no entry for a mount that is a volume claim of a StatefulSet, so its folder stays empty.
            config = volumes.get(mount["name"], {}).get("configMap", {})
            # If a ConfigMap is not part of the release, its folder stays empty: no command reads this folder.
            for config_map in of_kind(self._objects, "ConfigMap"):
                if config_map["metadata"]["name"] == config.get("name"):
                    for item in config["items"]:
                        (folder / item["path"]).write_text(config_map["data"][item["key"]], encoding="utf-8")
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
            given: environment variables that override those of the manifest.
        """
        spec = pod["spec"]
        every = [*spec.get("initContainers", []), *spec["containers"]]
        [chosen] = [each for each in every if each["name"] == container]
        replaced = [{"name": name, "value": value} for name, value in given.items()]
        variables = [variable for variable in chosen.get("env", []) if variable["name"] not in given]
        started = Pod(spec, {**chosen, "env": [*variables, *replaced]}, self._objects, self._secrets)
        directory = self._directory / f"pod-{len(self._pods)}"
        directory.mkdir()
        self._pods.append(started)
        started.start(directory)
        return started

    def clear(self) -> None:
        """Kill all pods that still run."""
        for pod in self._pods:
            pod.kill()


@contextmanager
def node(objects: Sequence[Manifest], secrets: Secrets, directory: Path) -> Iterator[Node]:
    """Yield a node, and kill its pods at the end."""
    release_node = Node(objects, secrets, directory)
    try:
        yield release_node
    finally:
        release_node.clear()
