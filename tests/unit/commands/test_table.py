"""Tables fit the terminal, and never shorten what people copy."""

from unittest.mock import Mock

import msgspec
import pytest

from service.commands.client import indented
from service.commands.faults import wrap
from service.commands.running import fail
from service.commands.table import Table, columns, fit, printable, wrapped

_TITLES = ("reference", "team", "title")
_ROW = ("github:acme/app#45", "search", "Answer from the cache of the last week")


def _lines(width: int | None, *rows: tuple[str, str, str]) -> list[str]:
    table = Table(_TITLES, rows, width)
    return [*table.header(), *(line for row in rows for line in table.row(row))]


def test_a_title_that_does_not_fit_is_shortened_on_a_terminal() -> None:
    assert _lines(50, _ROW) == [
        "reference           team    title",
        "github:acme/app#45  search  Answer from the cache…",
    ]


def test_nothing_is_shortened_elsewhere_than_on_a_terminal() -> None:
    assert _lines(None, _ROW)[1] == "github:acme/app#45  search  Answer from the cache of the last week"


def test_a_title_is_on_its_own_line_if_the_other_columns_leave_too_little_room() -> None:
    assert _lines(40, _ROW, ("key:b", "", "")) == [
        "reference           team",
        "  title",
        "github:acme/app#45  search",
        "  Answer from the cache of the last week",
        "key:b",
    ]


def test_a_reference_that_is_longer_than_the_terminal_is_whole() -> None:
    long = f"gitlab:acme/{'group/' * 12}app#45"
    assert _lines(60, (long, "search", "A title"))[2:] == [f"{long}  search", "  A title"]


def test_the_columns_of_a_row_that_is_wider_than_the_first_rows_are_whole() -> None:
    table = Table(_TITLES, [("key:b", "ads", "B")], 40)
    assert list(table.row(_ROW)) == ["github:acme/app#45  search  Answer from…"]
    long = f"gitlab:acme/{'group/' * 4}app#45"
    assert list(table.row((long, "search", "A title"))) == [f"{long}  search…"]


def test_wide_characters_take_two_columns_and_combining_ones_none() -> None:
    wide = ("key:日本", "te\N{COMBINING ACUTE ACCENT}am", "日本語のタイトルはとても長い")
    assert _lines(40, wide, ("key:b", "ads", "B")) == [
        "reference  team  title",
        "key:日本   te\N{COMBINING ACUTE ACCENT}am  日本語のタイトルはとて…",
        "key:b      ads   B",
    ]
    assert all(columns(line) <= 40 for line in _lines(40, wide))


def test_a_paragraph_of_wide_characters_fits_the_terminal() -> None:
    lines = list(wrapped(["日本語 " * 10], 20))
    assert max(map(columns, lines)) <= 20
    assert " ".join(lines).split() == ["日本語"] * 10


def test_a_control_character_does_not_reach_the_terminal() -> None:
    assert printable("a\x1b[31mred\r\nb") == "a [31mred  b"
    assert printable("a\u202eb\u2066c\u200bd\x9be\u2028f\U000e0041g") == "a b c d e f g"


_HOSTILE = "a\x1b]0;title\x07b\u202ec\x9b31md"


def test_tables_paragraphs_and_wrapped_lines_show_no_control_character() -> None:
    table = Table(_TITLES, [(_HOSTILE, _HOSTILE, _HOSTILE)], 60)
    lines = [*table.row((_HOSTILE, _HOSTILE, _HOSTILE)), *wrapped([_HOSTILE], 60), fit(_HOSTILE), wrap(_HOSTILE)]
    assert [line for line in lines if not line.isprintable()] == []


def test_json_escapes_control_and_format_characters() -> None:
    document = msgspec.json.encode({"title": _HOSTILE, "\u202e": ["日本語 \U000e0041"]})
    shown = indented(document)
    assert [line for line in shown.split("\n") if not line.isprintable()] == []
    assert "日本語" in shown
    assert msgspec.json.decode(shown) == msgspec.json.decode(document)


def test_a_paragraph_does_not_break_a_long_word() -> None:
    long = "github:acme/" + "a" * 80
    assert list(wrapped(["2026-03-02", "issues opened", long], 40)) == ["2026-03-02  issues opened", f"  {long}"]


def test_a_last_column_that_must_stay_whole_is_wrapped_below_itself() -> None:
    table = Table(("source", "recent"), [], 30, whole=True)
    assert list(table.row(("github", "12 counted, 310 ignored, 2 failed"))) == [
        "github  12 counted, 310",
        "        ignored, 2 failed",
    ]


def test_a_line_is_wrapped_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    line = "  delivery 0f6ad4c5; `loopgauge explain github:acme/app#45` shows the event"
    assert fit(line) == line
    monkeypatch.setattr("sys.stdout", Mock(isatty=lambda: True))
    monkeypatch.setenv("COLUMNS", "50")
    assert fit(line).splitlines() == [
        "  delivery 0f6ad4c5; `loopgauge explain",
        "    github:acme/app#45` shows the event",
    ]


def test_an_error_is_wrapped_on_a_terminal_line_by_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("service.commands.faults.sys", Mock(stderr=Mock(isatty=lambda: True)))
    monkeypatch.setenv("COLUMNS", "40")
    with pytest.raises(SystemExit):
        fail("the reference is ambiguous, so name one of these:\n  github:acme/app#45")
    assert capsys.readouterr().err.splitlines() == [
        "loopgauge: the reference is ambiguous,",
        "    so name one of these:",
        "  github:acme/app#45",
    ]
