"""Prose is what readers of a Markdown text see, without code, comments and quotations."""

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.deliveries.prose import LONGEST, read_prose

CODE = "\ufffc"


def words(text: str) -> list[str]:
    """The words of the prose of a text."""
    return re.findall(r"\w+", read_prose(text).text)


@pytest.mark.parametrize(
    "text",
    [
        "shown",
        "## shown ##",
        "shown\n=====",
        "- [x] shown",
        "1. shown",
        "- a\n    - shown",
        "a\n    shown",
        "**shown** `hidden`",
        "\\`shown\\` `hidden`",
        "``hidden ` hidden`` shown",
        "`shown",
        "[shown](https://acme.example) <b>",
        "<https://acme.example/> shown",
        "<details>\n<summary>shown</summary>\n</details>",
        "<details>\n\nshown\n\n</details>",
        "<div>shown <!-- hidden --> </div>",
        "<!-- hidden --> shown",
        "<!-- hidden\n\nhidden --> shown",
        "<!-- hidden -->\nshown",
        "> hidden\n\nshown",
        "> hidden\nshown",
        "```\nhidden\n```\nshown",
        "~~~\nhidden\n```\nhidden\n~~~\nshown",
        "    hidden\n\nshown",
        "[//]: # (hidden)\n\nshown",
        "[comment]: <> (hidden)\nshown",
        "a <!-- --> shown",
        "x < y > shown",
        "shown\r\n\r\n```\r\nhidden\r\n```",
    ],
)
def test_prose_is_shown_and_everything_else_is_hidden(text: str) -> None:
    assert "shown" in words(text)
    assert "hidden" not in words(text)


@pytest.mark.parametrize(
    "text",
    [
        "`hidden`",
        "`hidden\nhidden`",
        "```\nhidden",
        "- a\n\n      hidden",
        "- ```\n  hidden\n  ```",
        "\thidden",
        "<!-- hidden",
        "a <!-- hidden\nhidden --> a",
        "<pre>\nhidden\n\nhidden\n</pre>",
        "a <code>hidden</code>",
        "a <CODE>hidden <b>hidden</b></CODE>",
        "<div><code>hidden</code></div>",
        "<script>\nhidden\n</script>",
        "> hidden",
        "- > hidden",
        "> > hidden",
        "> ```\n> hidden\n> ```",
        '[a]: https://acme.example "hidden"',
    ],
)
def test_code_comments_quotations_and_definitions_of_links_are_hidden(text: str) -> None:
    assert "hidden" not in words(text)


def test_the_prose_keeps_the_places_of_lines_and_characters() -> None:
    prose = read_prose("- a `b` c\n\n  ```\n  d\n  ```\n  ## e ##\n<!-- f --> g")
    assert prose.lines == [f"- a {CODE * 3} c", "", "", "", "", "  ## e", "           g"]


def test_words_around_a_comment_follow_one_another_but_words_around_code_do_not() -> None:
    assert read_prose("fixes <!-- the number --> #1").text.split() == ["fixes", "#1"]
    assert read_prose("fixes `x` #1").text.split() == ["fixes", CODE * 3, "#1"]


def test_a_text_without_marks_is_prose_as_it_is() -> None:
    text = "Closes #45\n\n- [x] Tests\n* *really*"
    assert (read_prose(text).text, read_prose(text).hidden) == (text, {})


def test_the_lines_of_a_code_block_without_an_end_are_known() -> None:
    assert read_prose("a\n```\nb\nc").unclosed == range(2, 4)
    assert read_prose("a\n```\nb\n```").unclosed == range(0)
    assert read_prose("a\n```").unclosed == range(2, 2)


def test_the_cover_of_a_hidden_line_is_known() -> None:
    prose = read_prose("a\n    b\n\n    c\n> d\n\n<!-- e\nf -->\n`g\nh`")
    assert {
        number: cover for number, cover in prose.hidden.items() if prose.lines[number] or number in (3, 4, 6, 7)
    } == {
        3: "code",
        4: "quotation",
        6: "comment",
        7: "comment",
        9: "code",
    }


@given(st.text(alphabet="`~<>!-ab \n\t*[]()#/:.1\\\r\x00\u2028", max_size=200))
def test_any_text_has_the_prose_of_each_of_its_lines(text: str) -> None:
    prose = read_prose(text)
    lines = len(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))
    assert len(prose.lines) == lines
    assert prose.hidden.keys() <= set(range(lines))


@pytest.mark.parametrize(
    "part",
    [
        *(
            "[",
            "![",
            "> a\n",
            "- a\n",
            "> ",
            "- ",
            "**a *",
            "`a ",
            "`a` ",
            "a <![CDATA[ ",
            "a <code> ",
            "a <code></code>",
        ),
        *("a <!-- ", "<!--", "[a\n", "[a]: x\n", "a\n=\n", "<div>\n", "\t", "\\`", "```\n", "    a\n\n"),
    ],
)
def test_a_hostile_text_is_read_in_bounded_time(part: str) -> None:
    began = time.process_time()
    read_prose("`" + part * LONGEST)
    assert time.process_time() - began < 5


def test_what_follows_the_longest_text_is_not_read() -> None:
    assert len(read_prose("a`" + "b" * 2 * LONGEST).text) == LONGEST
