"""The demo's directory is made anew at each start, and nobody else's is touched."""

from pathlib import Path

import pytest

from service.demo.directory import MARKER, NotOurs, fresh_directory

released: list[Path] = []


def test_it_is_made_with_its_marker(tmp_path: Path) -> None:
    with fresh_directory(tmp_path / "new" / "demo", released.append) as made:
        assert [entry.name for entry in made.iterdir()] == [MARKER]


def test_an_empty_directory_may_be_taken(tmp_path: Path) -> None:
    with fresh_directory(tmp_path, released.append) as made:
        assert (made / MARKER).is_file()


def test_what_a_demo_left_is_released_first_and_then_gone_at_the_next_start(tmp_path: Path) -> None:
    with fresh_directory(tmp_path, released.append) as made:
        (made / "postgres").mkdir()
        (made / "postgres" / "log").write_text("…")
        (made / "history.om").write_text("…")
    held: list[set[str]] = []
    with fresh_directory(tmp_path, lambda left: held.append({entry.name for entry in left.iterdir()})) as made:
        assert [entry.name for entry in made.iterdir()] == [MARKER]
    assert held == [{MARKER, "postgres", "history.om"}]


def test_a_directory_that_holds_something_and_no_marker_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(NotOurs, match="holds something that is not the demo's"), fresh_directory(tmp_path, _never):
        pass
    assert [(entry.name, entry.read_text()) for entry in tmp_path.iterdir()] == [("thesis.txt", "years of work")]


def test_what_a_link_in_it_leads_to_is_left_as_it_is(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "thesis.txt").write_text("years of work")
    with fresh_directory(tmp_path / "demo", released.append) as made:
        (made / "link").symlink_to(elsewhere)
    with fresh_directory(tmp_path / "demo", released.append) as made:
        assert not (made / "link").is_symlink()
    assert (elsewhere / "thesis.txt").read_text() == "years of work"


def test_two_demos_do_not_share_one(tmp_path: Path) -> None:
    with fresh_directory(tmp_path, released.append) as made:
        (made / "postgres").mkdir()
        with pytest.raises(NotOurs, match="a demo runs in"), fresh_directory(tmp_path, _never):
            pass
        assert (made / "postgres").is_dir()


def _never(directory: Path) -> None:
    pytest.fail(f"{directory} was to be left alone")
