"""A running service leaves a file in its data directory, in which commands find its address."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from service.settings import RunningService, describe_running, find_running, given_alone, recorded

_URL = "http://127.0.0.1:8081"
_HOLD = """
import sys
from pathlib import Path
from service.settings import describe_running, given_alone, recorded
with recorded(Path(sys.argv[1]), describe_running(given_alone(), "http://127.0.0.1:8081", [], made=True)):
    print("recorded", flush=True)
    sys.stdin.read()
"""


def _service(url: str = _URL, **given: object) -> RunningService:
    return describe_running(given_alone(**given), url, ["LOOPGAUGE_PORT"], made=True)


def test_a_service_is_found_while_it_runs(tmp_path: Path) -> None:
    sources = {"jira_cloud": {"provider": "jira", "secret": "s3cret"}}
    service = _service(sources=sources, api_tokens={"read": "r3ad"}, data_dir=tmp_path)
    with recorded(tmp_path / "data", service):
        [found] = find_running(tmp_path / "data")
        assert found == service
        assert (found.url, found.role, found.reads) == (_URL, "all", "made")
        assert found.sources == {"jira_cloud": "jira"}
        assert found.database == f"the embedded database in {tmp_path}"
        [file] = (tmp_path / "data" / "running").iterdir()
        assert "s3cret" not in file.read_text()
        assert "r3ad" not in file.read_text()
        assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert find_running(tmp_path / "data") == []
    assert [*(tmp_path / "data" / "running").iterdir()] == []


def test_several_services_may_share_a_data_directory(tmp_path: Path) -> None:
    other = _service("http://127.0.0.1:8082")
    with recorded(tmp_path, other), recorded(tmp_path, _service()):
        assert [service.url for service in find_running(tmp_path)] == [_URL, other.url]


def test_a_service_that_was_killed_is_not_found_and_its_file_is_removed(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", _HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "recorded\n"
        assert [service.url for service in find_running(tmp_path)] == [_URL]
        process.kill()
    assert len([*(tmp_path / "running").iterdir()]) == 1
    assert find_running(tmp_path) == []
    assert [*(tmp_path / "running").iterdir()] == []


@pytest.mark.parametrize("mode", [0o644, 0o620])
def test_a_file_that_other_users_can_open_is_ignored(tmp_path: Path, mode: int) -> None:
    with recorded(tmp_path, _service()):
        [file] = (tmp_path / "running").iterdir()
        file.chmod(mode)
        assert find_running(tmp_path) == []


def test_a_link_to_another_file_is_ignored(tmp_path: Path) -> None:
    with recorded(tmp_path / "other", _service()):
        [file] = (tmp_path / "other" / "running").iterdir()
        (tmp_path / "running").mkdir()
        (tmp_path / "running" / "link.json").symlink_to(file)
        assert find_running(tmp_path) == []


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"url": 1}', "\x00"])
def test_a_file_of_another_form_is_ignored(tmp_path: Path, content: str) -> None:
    with recorded(tmp_path, _service()):
        [file] = (tmp_path / "running").iterdir()
        file.write_text(content)
        assert find_running(tmp_path) == []


def test_a_directory_that_cannot_be_read_has_no_service(tmp_path: Path) -> None:
    (tmp_path / "running").write_text("not a directory")
    assert find_running(tmp_path) == []
    assert find_running(tmp_path / "missing") == []
    with pytest.raises(OSError, match=r"exists|Not a directory"), recorded(tmp_path, _service()):
        os.abort()


@pytest.mark.parametrize(
    ("given", "made", "reads"),
    [
        ({}, False, "closed"),
        ({"open_reads": True}, False, "open"),
        ({"api_tokens": {"read": "x"}}, True, "made"),
        ({"api_tokens": {"read": "x"}, "open_reads": True}, False, "set"),
    ],
)
def test_the_file_says_how_the_service_guards_reads(given: dict[str, object], *, made: bool, reads: str) -> None:
    assert describe_running(given_alone(**given), _URL, [], made=made).reads == reads
