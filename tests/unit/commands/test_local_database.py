"""A command names the embedded database if the user may mean another one, and is silent otherwise."""

from pathlib import Path

import pytest

import service.settings
from service.commands.address import require_database_settings
from service.settings import RunningService, recorded


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default data directory, for a command outside the directory of any `.env`."""
    directory = tmp_path / "data"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.setattr(service.settings, "default_data_dir", lambda: directory)
    monkeypatch.setenv("LOOPGAUGE_DATA_DIR", str(directory))
    return directory


def _note(capsys: pytest.CaptureFixture[str]) -> str:
    require_database_settings("replay")
    printed = capsys.readouterr()
    assert printed.out == ""
    return printed.err


def _running(database: str) -> RunningService:
    return RunningService("http://127.0.0.1:8081", "all", "made", database, {}, [])


def test_without_settings_and_without_a_service_the_database_is_named_with_the_remedy(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _note(capsys) == (
        f"note: this command uses the embedded database in {data_dir}, because this directory has no .env, and no "
        "running service uses it; if you mean another database, run the command in the directory of the .env, set "
        "LOOPGAUGE_DATABASE_URL, or name a service in LOOPGAUGE_URL\n"
    )


def test_nothing_is_said_about_the_database_of_a_running_service(
    data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with recorded(data_dir, _running(f"the embedded database in {data_dir}")):
        assert _note(capsys) == ""


def test_a_service_with_another_database_is_named(data_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with recorded(data_dir, _running("the database x at db.example")):
        assert _note(capsys) == (
            f"note: this command uses the embedded database in {data_dir}, but http://127.0.0.1:8081 uses the database "
            "x at db.example; set LOOPGAUGE_DATABASE_URL as for this service\n"
        )


def test_nothing_is_said_if_a_file_or_a_setting_names_the_database(
    data_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPGAUGE_DATA_DIR", str(data_dir / "other"))
    assert _note(capsys) == ""
    monkeypatch.setenv("LOOPGAUGE_DATA_DIR", str(data_dir))
    monkeypatch.setenv("LOOPGAUGE_DATABASE_URL", "postgresql://u@db/x")
    assert _note(capsys) == ""
    monkeypatch.delenv("LOOPGAUGE_DATABASE_URL")
    Path(".env").write_text("LOOPGAUGE_DATABASE_URL=postgresql://u@db/x\n")
    assert _note(capsys) == ""
