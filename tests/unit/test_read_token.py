"""The read token in the data directory belongs to one user, and stays the same from one start to the next."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from service.settings import (
    ReadTokenUnavailable,
    Settings,
    find_read_token,
    given_alone,
    provide_read_token,
    read_token_file,
)


def _settings(directory: Path, **given: Any) -> Settings:
    return given_alone(data_dir=directory / "data", **given)


def _token(settings: Settings) -> str:
    assert settings.api_tokens.read is not None
    return settings.api_tokens.read.get_secret_value()


def test_the_first_start_makes_a_token_that_only_this_user_can_read(tmp_path: Path) -> None:
    settings, is_new = provide_read_token(_settings(tmp_path))
    [file] = (tmp_path / "data").iterdir()
    assert (file.name, is_new) == ("read-token", True)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip() == _token(settings)
    assert len(_token(settings)) >= 43


def test_a_later_start_and_a_command_use_the_same_token(tmp_path: Path) -> None:
    first, _ = provide_read_token(_settings(tmp_path))
    second, is_new = provide_read_token(_settings(tmp_path))
    assert (_token(second), is_new) == (_token(first), False)
    assert find_read_token(_settings(tmp_path)) == _token(first)


def test_two_services_have_different_tokens(tmp_path: Path) -> None:
    tokens = {_token(provide_read_token(_settings(tmp_path / name))[0]) for name in ("one", "other")}
    assert len(tokens) == 2


@pytest.mark.parametrize(
    "given",
    [{"host": "0.0.0.0"}, {"host": "::"}, {"role": "worker"}, {"open_reads": True}, {"api_tokens": {"read": "r3ad"}}],
)
def test_a_service_that_needs_no_token_of_its_own_makes_none(tmp_path: Path, given: dict[str, Any]) -> None:
    settings = _settings(tmp_path, **given)
    assert provide_read_token(settings) == (settings, False)
    assert not (tmp_path / "data").exists()
    assert find_read_token(settings) == given.get("api_tokens", {}).get("read")


def test_a_command_makes_no_token(tmp_path: Path) -> None:
    assert find_read_token(_settings(tmp_path)) is None
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_a_file_that_other_users_can_open_is_refused(tmp_path: Path, mode: int) -> None:
    settings = _settings(tmp_path)
    provide_read_token(settings)
    read_token_file(settings).chmod(mode)
    for use in (provide_read_token, find_read_token):
        with pytest.raises(ReadTokenUnavailable, match=r"other users can open .*read-token; delete it"):
            use(settings)


def test_a_link_to_a_file_is_refused(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    (tmp_path / "data").mkdir()
    chosen = tmp_path / "chosen"
    chosen.write_text("a token that another user chose")
    chosen.chmod(0o600)
    read_token_file(settings).symlink_to(chosen)
    with pytest.raises(ReadTokenUnavailable, match=r"cannot read .*read-token"):
        provide_read_token(settings)


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_a_directory_or_a_pipe_in_place_of_the_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    settings = _settings(tmp_path)
    (tmp_path / "data").mkdir()
    make(read_token_file(settings))
    for use in (provide_read_token, find_read_token):
        with pytest.raises(ReadTokenUnavailable, match=r"read-token is not a file of this user; delete it"):
            use(settings)


@pytest.mark.parametrize("content", [b"", b"  \n", b"two\nlines", b"\xff\xfe", "schlüssel".encode()])
def test_a_file_without_a_token_is_refused(tmp_path: Path, content: bytes) -> None:
    settings = _settings(tmp_path)
    provide_read_token(settings)
    read_token_file(settings).write_bytes(content)
    with pytest.raises(ReadTokenUnavailable, match="has no token; delete it"):
        provide_read_token(settings)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(ReadTokenUnavailable, match="set LOOPGAUGE_API_TOKENS__READ instead"):
        provide_read_token(_settings(tmp_path))
