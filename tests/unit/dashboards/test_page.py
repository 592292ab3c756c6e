"""The page about dashboards and alerts describes exactly the dashboards, their words, and the alerts that exist."""

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from dashboards import BOARDS
from service.lifecycle.durations import parse_duration
from tests.support.documents import read_page
from tests.support.panel_queries import documents, panels
from tests.support.paths import RULE_FILES

_PAGE = read_page("dashboards-and-alerts.md")
_READERS = {"loops": "the team", "service": "operators"}


def test_the_page_has_a_row_for_each_dashboard_with_its_questions() -> None:
    documented = {title: questions for title, _, questions in _rows("| dashboard | for | questions |")}
    assert documented == {board.title: " ".join(part.caption for part in board.sections) for board in BOARDS}


def test_the_page_explains_each_word_that_a_panel_shows_in_place_of_a_number() -> None:
    documented = [word for words, _ in _rows("| words | meaning |") for word in words.split(", ")]
    assert sorted(documented) == sorted(set(_words()))


def test_the_page_has_a_row_for_each_alert() -> None:
    rows = list(_rows("| alert | fires when | after | severity | for |"))
    alerts = [rule for file in RULE_FILES for rule in _alerts(file.read_text())]
    assert [(name, parse_duration(after), severity, reader) for name, _, after, severity, reader in rows] == [
        (
            f"[{alert['alert']}](../dashboards/RUNBOOK.md#{alert['alert'].lower()})",
            parse_duration(alert["for"]),
            alert["labels"]["severity"],
            _READERS[alert["labels"]["about"]],
        )
        for alert in alerts
    ]
    assert all(condition for _, condition, *_ in rows)


def _rows(heading: str) -> Iterator[list[str]]:
    """Yield the cells of each row of the table with this heading."""
    [table] = re.findall(rf"^{re.escape(heading)}\n\|[-|]+\n((?:\|.*\n)+)", _PAGE, re.MULTILINE)
    for row in table.splitlines():
        yield [cell.strip() for cell in row.strip("|").split("|")]


def _words() -> Iterator[str]:
    """The texts that panels show instead of values."""
    for document in documents().values():
        for panel in panels(document):
            for override in panel["fieldConfig"]["overrides"]:
                for entry in override["properties"]:
                    if entry["id"] == "mappings":
                        yield from re.findall(r'"text": "(.*?)"', json.dumps(entry["value"]))


def _alerts(rules: str) -> Iterator[Any]:
    """Yield the alerts of a rules file, in their order."""
    for group in yaml.safe_load(rules)["groups"]:
        yield from (rule for rule in group["rules"] if "alert" in rule)
