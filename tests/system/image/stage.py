"""A substitute for a stage of a Docker image: a directory that is the root of the file system for the commands.

In place of the base image, a stage contains the system directories of this machine, such as `/usr/bin` (read-only), and
the Python that runs the tests. A directory of the stage is mounted over the `site-packages` of this Python. At first
this directory contains only pip, so commands see only pip and the packages that the Dockerfile installs. Commands run
in a mount namespace of their own, which requires root.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

import pytest

SCRATCH = "/tmp"  # noqa: S108 - the container's own
"""The directory for temporary files."""

_SYSTEM_PREFIX = Path("/usr")
_PREFIX = Path(sys.base_prefix)
_PROGRAM = Path(sys.executable).resolve()
# Whether the Python that runs the tests is installed outside `/usr`.
_OWN = _PREFIX != _SYSTEM_PREFIX
_SYSTEM = [Path(path) for path in ("/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib64", "/usr/share", "/etc")]
_LINKS = [Path(path) for path in ("/bin", "/sbin", "/lib", "/lib64")]
_KERNEL = [Path(path) for path in ("/dev", "/proc")]
_PACKAGES = Path(sysconfig.get_path("purelib", vars={"base": str(_PREFIX), "platbase": str(_PREFIX)}))
# The environment variables that the build inherits: on this machine, pip may need them to reach a package index.
_PASSED = re.compile("PIP_.*|.*_PROXY|SSL_CERT_.*|REQUESTS_CA_BUNDLE", re.IGNORECASE)
_PATIENCE_SECONDS = 1800


def needs_root() -> None:
    """Skip the test unless root runs it: only root can mount directories."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount the directories of an image")


class Stage:
    """The files of a stage, and the values that its instructions (such as ENV and USER) set.

    Args:
        directory: the parent directory of the stage's files; created if missing.
    """

    def __init__(self, directory: Path) -> None:
        self._root = directory / "root"
        self._packages = directory / "packages"
        self.arguments: dict[str, str] = {}
        self.environment = {"PATH": f"{_PREFIX}/bin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
        self.labels: dict[str, str] = {}
        self.directory = "/"
        self.user = "0:0"
        self.volumes: list[str] = []
        self.ports: list[str] = []
        self.entrypoint: list[str] = []
        self.command: list[str] = []
        self.health: list[str] = []
        for path in (Path(SCRATCH), Path("/usr/local/bin"), _PREFIX / "bin", *_existing(), *_KERNEL, _PACKAGES):
            self.at(str(path)).mkdir(parents=True, exist_ok=True)
        for link in _LINKS:
            if link.is_symlink():
                self.at(str(link)).symlink_to(link.readlink())
        if _OWN:
            shutil.copy(_PROGRAM, self.at(str(_PREFIX / "bin" / "python")))
        else:
            self.at("/usr/local/bin/python").symlink_to(_PROGRAM)
        for package in Path(sysconfig.get_path("purelib")).glob("pip*"):
            shutil.copytree(package, self._packages / package.name)

    def at(self, path: str) -> Path:
        """Return the path on this machine for a path in the stage."""
        return self._root / path.lstrip("/")

    @property
    def base_packages(self) -> list[str]:
        """The files and directories in the base Python's `site-packages`, at first only those of pip."""
        return sorted(path.name for path in self._packages.iterdir())

    def build(self, command: str) -> None:
        """Run a command as `docker build` does: as root, with a writable file system."""
        passed = {name: value for name, value in os.environ.items() if _PASSED.fullmatch(name)}
        # Unlike the Python of the base image, Debian's Python installs packages only with this variable.
        base = {"HOME": "/root", "PIP_BREAK_SYSTEM_PACKAGES": "1", **passed}
        variables = {**base, **self.arguments, **self.environment}
        entered = self._entered(["sh", "-c", command], "0:0", variables, [])
        ended = subprocess.run(entered, capture_output=True, text=True, timeout=_PATIENCE_SECONDS, check=False)
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"

    def contained(self, command: Sequence[str], user: str, variables: dict[str, str]) -> list[str]:
        """Return the command line that runs a command as in a container with a read-only root.

        Only `/tmp` and the volumes are writable, and each user has separate volumes. A user without an entry in
        `/etc/passwd` has the home `/`, as in Docker.
        """
        read_only = [
            f"mount --options remount,bind,ro {self._quoted('/')}",
            f"mount --types tmpfs none {self._quoted(SCRATCH)}",
        ]
        for volume in self.volumes:
            held = self._root.with_name("volumes") / user / volume.lstrip("/")
            if not held.exists():
                # A new volume starts with the files of the image.
                held.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(self.at(volume), held)
            read_only.append(f"mount --bind {shlex.quote(str(held))} {self._quoted(volume)}")
        return self._entered(command, user, {"HOME": "/", **self.environment, **variables}, read_only)

    def _entered(self, command: Sequence[str], user: str, variables: dict[str, str], more: list[str]) -> list[str]:
        steps = [f"mount --bind {self._quoted('/')} {self._quoted('/')}"]
        for path in _existing():
            steps.append(f"mount --bind {shlex.quote(str(path))} {self._quoted(str(path))}")
            steps.append(f"mount --options remount,bind,ro {self._quoted(str(path))}")
        steps += [f"mount --rbind {path} {self._quoted(str(path))}" for path in _KERNEL]
        steps += [f"mount --bind {shlex.quote(str(self._packages))} {self._quoted(str(_PACKAGES))}", *more]
        inside = ["sh", "-c", 'cd "$0" && exec "$@"', self.directory, *command]
        given = ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]
        steps.append(f"exec chroot --userspec={user} --groups= {self._quoted('/')} {shlex.join([*given, *inside])}")
        return ["unshare", "--mount", "sh", "-c", " && ".join(steps)]

    def _quoted(self, path: str) -> str:
        return shlex.quote(str(self.at(path)))


def _existing() -> list[Path]:
    python = [_PREFIX / "lib"] if _OWN else []
    return [path for path in (*_SYSTEM, *python) if path.is_dir() and not path.is_symlink()]
