"""`loopgauge check-config --database` connects to PostgreSQL, and checks its schema."""

import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.commands import invoke
from tests.support.paths import REPOSITORY
from tests.support.serving import UNREACHABLE, serving


def test_a_database_with_the_schema_has_no_faults(database_url: str) -> None:
    ended = invoke("check-config", "--database", "--json", DATABASE_URL=database_url)
    document = json.loads(ended.stdout)
    newest = max(path.stem[:4] for path in (REPOSITORY / "migrations" / "versions").glob("0*.py"))
    assert (ended.returncode, document["faults"], document["database"]["schema"]) == (0, [], newest)
    assert re.fullmatch(r"\d+(\.\d+|\w+)", document["database"]["version"])
    assert "postgres@" not in document["database"]["address"]


def test_a_database_that_can_be_used_is_named_with_its_schema(database_url: str) -> None:
    ended = invoke("check-config", "--database", DATABASE_URL=database_url)
    line = ended.stdout.splitlines()[-2]
    assert re.fullmatch(r"PostgreSQL \S+ at .+: reachable, schema \d{4} is up to date", line)


def test_a_database_without_the_schema_is_a_fault(empty_database_url: str) -> None:
    ended = invoke("check-config", "--database", DATABASE_URL=empty_database_url)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "LOOPGAUGE_DATABASE_URL: the schema is missing, " in ended.stderr
    assert "run: loopgauge migrate" in ended.stderr


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"path": "/not_there"}, r"PostgreSQL refuses: .*; create this database, .*"),
        ({}, r"PostgreSQL is not available: .*; check that PostgreSQL runs there"),
        (
            {"netloc": "loopgauge:pass@no.such.host.invalid"},
            r"PostgreSQL is not available: .* \(is the password in LOOPGAUGE_DATABASE_URL percent-encoded\?\); .*",
        ),
        (
            {"netloc": "loopgauge:p@ss@no.such.host.invalid"},
            r"an @ in the user or in the password ends it; percent-encode it as %40",
        ),
    ],
    ids=["no such database", "unreachable", "no such host", "an @ in the password"],
)
def test_a_database_that_cannot_be_used_is_a_fault(database_url: str, change: dict[str, str], message: str) -> None:
    url = urlsplit(database_url)._replace(**change).geturl() if change else UNREACHABLE
    ended = invoke("check-config", "--database", "--json", DATABASE_URL=url)
    document = json.loads(ended.stdout)
    [fault] = document["faults"]
    assert (ended.returncode, document["valid"], fault["setting"]) == (1, False, "LOOPGAUGE_DATABASE_URL")
    assert re.fullmatch(message, fault["message"])


def test_without_the_option_the_database_is_not_needed() -> None:
    assert invoke("check-config", DATABASE_URL=UNREACHABLE).returncode == 0


def test_an_embedded_database_that_does_not_exist_is_not_created(tmp_path: Path) -> None:
    ended = invoke("check-config", "--database", DATA_DIR=str(tmp_path))
    assert ended.returncode == 0
    assert f"\n{tmp_path}/postgres does not exist: the first start of the service creates it\n" in ended.stdout
    assert [*tmp_path.iterdir()] == []


def test_the_embedded_database_is_shown_with_its_version_and_place(tmp_path: Path) -> None:
    with serving(None, tmp_path):
        ended = invoke("check-config", "--database", DATA_DIR=str(tmp_path / "data"))
    assert (ended.returncode, ended.stdout.splitlines()[-1]) == (0, "no faults")
    place = re.escape(str(tmp_path / "data" / "postgres"))
    assert re.search(rf"\nPostgreSQL \d+\.\d+ at {place}: reachable, schema \d{{4}} is up to date\n", ended.stdout)
    stopped = json.loads(invoke("check-config", "--database", "--json", DATA_DIR=str(tmp_path / "data")).stdout)
    assert (stopped["valid"], stopped["database"]["address"]) == (True, str(tmp_path / "data" / "postgres"))
