"""The demo's own directory, which is emptied at each start."""

import fcntl
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MARKER = ".loopgauge-demo"
"""The file that marks a directory as the demo's own, so that the demo may empty it."""

_NOTICE = "loopgauge demo made this directory, and empties it at each start.\n"


class DirectoryRefused(Exception):
    """The directory is not the demo's, or another demo uses the directory; the message gives the reason."""


@contextmanager
def fresh_directory(directory: Path, release: Callable[[Path], None]) -> Iterator[Path]:
    """Empty the demo's directory except for its marker, and lock it until the context ends.

    Args:
        release: a callback that ends processes that a killed demo left running in the directory.

    Raises:
        DirectoryRefused: the directory is not empty and has no marker, or another demo uses the directory. Nothing was
            changed.
        OSError: the directory cannot be written.
    """
    _claim(directory)
    with (directory / MARKER).open("a") as marker:
        try:
            fcntl.flock(marker, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DirectoryRefused(
                f"a demo already runs in {directory}; to run another one, choose a directory with --data-dir and a "
                "port with --port, or run make demo DATA_DIR=directory PORT=8081"
            ) from None
        release(directory)
        _empty(directory)
        yield directory


def _claim(directory: Path) -> None:
    """Make the directory and its marker, if they do not exist. Refuse a directory that is not the demo's."""
    directory.mkdir(parents=True, exist_ok=True)
    marker = directory / MARKER
    if marker.is_file():
        return
    if any(directory.iterdir()):
        raise DirectoryRefused(
            f"{directory} contains files that are not the demo's; choose an empty directory with "
            "--data-dir, or with make demo DATA_DIR=directory"
        )
    marker.write_text(_NOTICE, "utf-8")


def _empty(directory: Path) -> None:
    for entry in directory.iterdir():
        if entry.name == MARKER:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
