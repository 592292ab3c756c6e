"""Each start of the demo removes the files of the last demo, and refuses a directory with other files."""

from pathlib import Path

import pytest

from service.demo.directory import MARKER, DirectoryRefused, fresh_directory

released: list[Path] = []


def test_a_missing_directory_is_created_with_a_marker_file(tmp_path: Path) -> None:
    with fresh_directory(tmp_path / "new" / "demo", released.append) as made:
        assert [entry.name for entry in made.iterdir()] == [MARKER]


def test_an_empty_directory_is_accepted(tmp_path: Path) -> None:
    with fresh_directory(tmp_path, released.append) as made:
        assert (made / MARKER).is_file()


def test_the_next_start_releases_the_directory_of_the_last_demo_before_it_removes_the_files(tmp_path: Path) -> None:
    with fresh_directory(tmp_path, released.append) as made:
        (made / "postgres").mkdir()
        (made / "postgres" / "log").write_text("…")
        (made / "history.om").write_text("…")
    held: list[set[str]] = []
    with fresh_directory(tmp_path, lambda left: held.append({entry.name for entry in left.iterdir()})) as made:
        assert [entry.name for entry in made.iterdir()] == [MARKER]
    assert held == [{MARKER, "postgres", "history.om"}]


def test_a_directory_that_has_files_but_no_marker_is_refused_and_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with (
        pytest.raises(DirectoryRefused, match="contains files that are not the demo's"),
        fresh_directory(tmp_path, _never),
    ):
        pass
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("thesis.txt", "years of work")]


def test_a_symbolic_link_is_removed_and_its_target_is_left_unchanged(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").write_text("years of work")
    with fresh_directory(tmp_path / "demo", released.append) as made:
        (made / "link").symlink_to(elsewhere)
    with fresh_directory(tmp_path / "demo", released.append) as made:
        assert not (made / "link").is_symlink()
    assert (elsewhere / "thesis.txt").read_text() == "years of work"


def test_two_demos_do_not_share_a_directory(tmp_path: Path) -> None:
    with fresh_directory(tmp_path, released.append) as made:
        (made / "postgres").mkdir()
        with pytest.raises(DirectoryRefused, match="a demo already runs in"), fresh_directory(tmp_path, _never):
            pass
        assert (made / "postgres").is_dir()


def _never(directory: Path) -> None:
    pytest.fail(f"{directory} must not be changed")
