"""The directory of the embedded server's socket lies where no other user can replace it."""

import os
import tempfile
from pathlib import Path

import pytest

from service.storage.embedded_socket import SocketDirectory


@pytest.mark.parametrize(("mode", "is_used"), [(0o700, True), (0o755, True), (0o1777, True), (0o777, False)])
def test_a_directory_for_temporary_files_is_used_only_if_no_other_user_can_replace_files_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, is_used: bool
) -> None:
    temporary = Path(tempfile.mkdtemp())
    temporary.chmod(mode)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    too_long = tmp_path / ("long" * 30)
    directory = SocketDirectory(too_long)
    found = directory.prepare(os.geteuid())
    try:
        assert (found.parent == temporary) == is_used
    finally:
        directory.remove(os.geteuid())
        temporary.rmdir()
