"""The commands of docs/operations.md for deliveries that the spool has set aside work as they are written."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from service.storage.spool import Spool
from tests.support.builders import at, github
from tests.support.documents import blocks
from tests.support.paths import DOCS

_DELIVERIES = [replace(github("ping", b"{}").delivery(at(2)), provider_id=str(number)) for number in range(2)]


def _run(name: str, directory: Path) -> str:
    (command,) = (block.text for block in blocks(DOCS / "operations.md") if block.marks.get("example") == name)
    variables = {**os.environ, "LOOPGAUGE_DATA_DIR": str(directory)}
    return subprocess.run(["/bin/sh", "-ec", command], env=variables, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="sqlite3 is not installed")
def test_a_delivery_that_was_set_aside_is_listed_tried_again_or_deleted_while_the_process_runs(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    spool.add(_DELIVERIES)
    spool.quarantine(_DELIVERIES[0].id, "PostgreSQL rejects a value")
    listed = _run("deliveries that were set aside", tmp_path)
    assert f"{_DELIVERIES[0].id}|github|" in listed
    assert listed.count("\n") == 1
    assert spool.read_oldest(10) == _DELIVERIES[1:]
    _run("try the deliveries again", tmp_path)
    assert spool.read_oldest(10) == _DELIVERIES
    spool.quarantine(_DELIVERIES[0].id, "PostgreSQL rejects a value")
    _run("delete the deliveries", tmp_path)
    assert (spool.count(), spool.read_oldest(10)) == (1, _DELIVERIES[1:])
    spool.close()
