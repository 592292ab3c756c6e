"""No test uses the default data directory: a real service of the user who runs the tests may have its data there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import default_data_dir, read_settings
from service.storage.spool import Spool
from tests.support.data_directory import TouchedDataOfUser
from tests.support.road import settings
from tests.support.serving import environment


@pytest.fixture
def theirs(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default data directory of the user who runs the tests."""
    monkeypatch.delenv("XDG_DATA_HOME")
    return default_data_dir()


@pytest.mark.parametrize("file", ["read-token", "spool/spool.sqlite3"])
def test_a_test_that_opens_a_file_in_the_default_data_directory_fails(theirs: Path, file: str) -> None:
    with pytest.raises(TouchedDataOfUser):
        (theirs / file).open("a").close()
    with pytest.raises(TouchedDataOfUser):
        default_data_dir("loopgauge-demo").mkdir()


def test_a_test_that_would_move_the_deliveries_of_a_real_service_fails(theirs: Path) -> None:
    with pytest.raises(TouchedDataOfUser):
        Spool(theirs / "spool").check_directory()


@pytest.mark.parametrize("inherited", [True, False])
def test_a_process_of_a_test_uses_the_data_directory_of_the_tests(inherited: bool) -> None:
    program = "from service.settings import read_settings; print(read_settings().data_dir)"
    variables = {**os.environ} if inherited else environment()
    shown = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == str(read_settings().data_dir) == str(settings().data_dir)
    assert Path(shown.stdout).is_relative_to(os.environ["PYTEST_RUN_DIRECTORY"])
