"""The check of prose reports each bad habit, and accepts good prose."""

from pathlib import Path

import pytest

from tests.support.prose import Passage, find_habits, list_files, read_passages


def _habits(file: str, text: str) -> list[str]:
    return [finding.habit for finding in find_habits(file, text)]


@pytest.mark.parametrize(
    ("sentence", "habit"),
    [
        ("What is kept is kept.", "What is …"),
        ("Who may post.", "Who may …"),
        ("Whatever arrives is read.", "Whatever arrives …"),
        ("How it is kept.", "How it …"),
        ("Which rows are read.", "Which rows …"),
        ("Where it is missing, skip it.", "Where it …"),
        ("Of these, three fail.", "Of these, …"),
        ("Those that fail are kept.", "Those that …"),
        ("All that was sent is read.", "All that …"),
        ("Not even a crash loses it.", "Not even …"),
    ],
)
def test_a_sentence_that_opens_with_a_question_word_or_a_relative_clause_is_reported(sentence: str, habit: str) -> None:
    assert _habits("a.md", sentence) == [habit]


@pytest.mark.parametrize(
    ("sentence", "habit"),
    [
        ("This waits for somebody.", "somebody"),
        ("Whoever comes first leads.", "Whoever"),
        ("The team is told later.", "told"),
        ("The alert tells of a fault.", "tells of"),
        ("The source was heard from today.", "heard from"),
        ("The page has it that all is well.", "has it that"),
        ("This is for who may write.", "for who"),
        ("You may leave away the tag.", "leave away"),
        ("It is right, so far as it goes.", "so far as"),
        ("A branch is none.", "is none"),
        ("The list is empty where nothing matches.", "where nothing"),
        ("The reason stands beside it.", "stands beside"),
        ("Each answer is held to its threshold.", "is held to"),
        ("An error of ours gets a 500.", "of ours"),
        ("The last sign of life is old.", "sign of life"),
        ("It shows what became of a delivery.", "what became of"),
        ("There is nothing to do.", "is nothing to"),
        ("It does not run any more.", "any more"),
        ("It takes ten years at the most.", "at the most"),
        ("It copies all rows, but for the last.", ", but for"),
        ("A comment goes before a label.", "goes before"),
        ("It runs in the place of another.", "in the place of"),
        ("The other is signed likewise.", "likewise"),
        ("This is no setting.", "is no setting"),
    ],
)
def test_a_phrase_that_is_hard_to_read_is_reported(sentence: str, habit: str) -> None:
    assert _habits("a.md", sentence) == [habit]


@pytest.mark.parametrize(
    "sentence",
    [
        "Record verdicts and the digest of the rules.",
        "Whether a subject is an experiment.",
        "What changed?",
        "How does it end?",
        "How long an experiment may take.",
        "The value is None.",
        "Where to look",
        "Of course it fails.",
        "If there is none, the list is empty.",
        "If there are any more rows, read them.",
        "Set a timeout of at most ten seconds.",
        "A name stands for a subject.",
    ],
)
def test_plain_prose_is_accepted(sentence: str) -> None:
    assert _habits("a.md", sentence) == []


def test_a_finding_shows_the_file_the_line_and_the_sentence() -> None:
    [finding] = find_habits("manual.md", "# Title\n\nIt is fine.\nNobody knows. All is well.\n")
    assert str(finding).startswith("manual.md:3: ")
    assert finding.sentence == "Nobody knows."


def _texts(file: str, text: str) -> list[tuple[int, str]]:
    return [(passage.line, " ".join(passage.text.split())) for passage in read_passages(Path(file), text)]


def test_the_check_reads_docstrings_messages_test_names_and_comments_of_python() -> None:
    source = '''"""A module."""

def test_a_run_is_counted() -> None:
    """Do it.

    Args:
        name: the name of it.
    """
    # Why it is done,
    # and when.
    fail("a message of some words")
    fail("three words only")
    fail("SELECT a FROM b")
    other()  # noqa: X1 - the reason for it
'''
    texts = _texts("a.py", source)
    assert (3, "A run is counted") in texts
    assert (4, "Do it.") in texts
    assert (7, "the name of it.") in texts
    assert (9, "Why it is done, and when.") in texts
    assert (11, "a message of some words") in texts
    assert (14, "the reason for it") in texts
    assert not {"three words only", "SELECT a FROM b"} & {text for _, text in texts}


def test_the_check_reads_paragraphs_list_items_and_table_rows_of_markdown_and_skips_code() -> None:
    document = "Some text\nof two lines.\n\n```sh\nwhat is run\n```\n- an item\n- another\n\n| a | row |\n"
    texts = ["Some text of two lines.", "- an item", "- another", "| a | row |"]
    assert [text for _, text in _texts("a.md", document)] == texts
    assert _habits("a.md", "Call `what became of` it.") == []


def test_the_check_reads_the_comments_and_the_texts_of_yaml() -> None:
    text = "# Why it is so.\nalert:\n  expr: up == 0\n  summary: >-\n    A text of two\n    lines.\n"
    assert _texts("a.yaml", text) == [(1, "Why it is so."), (4, "A text of two lines.")]


def test_the_check_reads_the_comments_of_templates_that_are_not_yaml() -> None:
    assert _texts("a.yaml", "# Why it is so.\n{{- if .Values.on }}\na: b\n") == [(1, "Why it is so.")]


def test_the_check_reads_the_comments_of_other_files() -> None:
    assert list(read_passages(Path("Makefile"), "all: one ## make all of it\n")) == [Passage(1, "make all of it")]
    assert list(read_passages(Path("a.png"), "# not a text")) == []


def test_the_check_reads_all_files_except_generated_files_and_lock_files() -> None:
    files = list_files([])
    assert {"README.md", "service/settings/model.py", "dashboards/rules/loops.yaml"} <= set(files)
    assert not [name for name in files if name.endswith((".json", ".lock")) or name.startswith("helm/loopgauge/files/")]
