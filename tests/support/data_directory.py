"""The data directory of the tests, and the guard of the user's own: a real service may have its data there."""

import os
import sys
from pathlib import Path

from service.settings import default_data_dir

VARIABLE = "LOOPGAUGE_DATA_DIR"

_TOUCHING = frozenset(
    {"open", "os.chmod", "os.chown", "os.link", "os.listdir", "os.mkdir", "os.remove", "os.rename", "os.rmdir"}
    | {"os.scandir", "os.symlink", "os.truncate", "os.utime", "shutil.rmtree", "sqlite3.connect"}
)
"""Python's audit events of functions that read or change files."""


class TouchedDataOfUser(BaseException):
    """A test used the default data directory. Give the test a directory of its own."""


def use_data_directory(directory: Path) -> None:
    """Let this process, and each process that inherits its environment, use this data directory.

    If the code under test uses the default data directory nevertheless, raise `TouchedDataOfUser`.
    """
    guarded = tuple(os.fspath(default_data_dir(name)) for name in ("loopgauge", "loopgauge-demo"))
    os.environ[VARIABLE] = str(directory)
    # The default directory of users other than root is in this directory.
    os.environ["XDG_DATA_HOME"] = str(directory.parent / "share")

    def refuse(event: str, arguments: tuple[object, ...]) -> None:
        if event not in _TOUCHING:
            return
        for argument in arguments[:2]:
            if isinstance(argument, str | bytes | os.PathLike):
                path = os.fsdecode(argument)
                if any(path == one or path.startswith(f"{one}/") for one in guarded):
                    raise TouchedDataOfUser(f"{event}: {path}")

    sys.addaudithook(refuse)


def data_directory() -> dict[str, str]:
    """The variable that names the data directory of the tests; empty outside of the tests, such as in benchmarks."""
    return {VARIABLE: os.environ[VARIABLE]} if VARIABLE in os.environ else {}
