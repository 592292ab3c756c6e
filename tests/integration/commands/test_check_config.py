"""`loopgauge check-config --database` connects to PostgreSQL, and checks its schema."""

import json
from urllib.parse import urlsplit

import pytest

from tests.support.commands import invoke
from tests.support.serving import UNREACHABLE


def test_a_database_with_the_schema_has_no_faults(database_url: str) -> None:
    ended = invoke("check-config", "--database", "--json", DATABASE_URL=database_url)
    assert (ended.returncode, json.loads(ended.stdout)["faults"]) == (0, [])


def test_a_database_without_the_schema_is_a_fault(empty_database_url: str) -> None:
    ended = invoke("check-config", "--database", DATABASE_URL=empty_database_url)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "LOOPGAUGE_DATABASE_URL: the schema is missing, " in ended.stderr
    assert "run: loopgauge migrate" in ended.stderr


@pytest.mark.parametrize("change", [{"path": "/not_there"}, {}], ids=["no such database", "unreachable"])
def test_a_database_that_cannot_be_used_is_a_fault(database_url: str, change: dict[str, str]) -> None:
    url = urlsplit(database_url)._replace(**change).geturl() if change else UNREACHABLE
    ended = invoke("check-config", "--database", "--json", DATABASE_URL=url)
    document = json.loads(ended.stdout)
    [fault] = document["faults"]
    assert (ended.returncode, document["valid"], fault["setting"]) == (1, False, "LOOPGAUGE_DATABASE_URL")
    assert fault["message"].startswith("PostgreSQL is not available: ")


def test_without_the_option_the_database_is_not_needed() -> None:
    assert invoke("check-config", DATABASE_URL=UNREACHABLE).returncode == 0


def test_the_embedded_database_needs_no_check() -> None:
    assert invoke("check-config", "--database").returncode == 0
