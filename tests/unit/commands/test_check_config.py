"""`loopgauge check-config` reports every fault of the configuration, or shows what is in force without secrets."""

import json
import re
import socket
from pathlib import Path
from typing import Any

import pytest
import structlog

from service.commands.listening import announce
from service.settings import RunningService, Settings, given_alone, recorded
from service.settings.masking import mask_password
from tests.support.commands import invoke
from tests.support.rules_files import BETS

_TOKEN = "4f0c1b7e9a2d4c8fb81d5e0f73a94c26"


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def shown(**variables: str) -> dict[str, tuple[Any, str]]:
    """The value and the origin of each setting."""
    document = json.loads(invoke("check-config", "--json", **variables).stdout)
    return {
        each["setting"].removeprefix("LOOPGAUGE_"): (each["value"], each["origin"]) for each in document["settings"]
    }


def test_each_setting_in_force_is_shown_with_its_value_and_origin(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOOPGAUGE_PORT=9000\nLOOPGAUGE_HOST=localhost\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "LOOPGAUGE_SOURCES__ACME__SECRET").write_text("hush")
    settings = shown(
        SECRETS_DIR=str(tmp_path / "secrets"), PORT="9001", SOURCES__ACME__PROVIDER="github", WINDOWS="1w, 2 weeks"
    )
    assert settings["PORT"] == ("9001", "environment")
    assert settings["HOST"] == ("localhost", ".env")
    assert settings["SOURCES__ACME__SECRET"] == ("set", "secrets directory")
    assert settings["SOURCES__ACME__PROVIDER"] == ("github", "environment")
    assert settings["SOURCES__ACME__PREVIOUS_SECRET"] == (None, "default")
    assert settings["WINDOWS"] == ("7d,14d", "environment")
    assert settings["SPOOL"] == ("true", "default")


def test_thresholds_name_every_origin_that_states_a_part_of_them(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('LOOPGAUGE_THRESHOLDS={"a": "1w"}\n')
    assert shown(THRESHOLDS__B="36h")["THRESHOLDS"] == ('{"a": "7d", "b": "36h"}', "environment and .env")


def test_every_setting_is_shown() -> None:
    names = {name.split("__")[0].lower() for name in shown(SOURCES__GITHUB__SECRET="x")}
    assert names == set(Settings.model_fields)


def test_no_secret_is_shown() -> None:
    secrets = {
        "DATABASE_URL": "postgresql://u:hush@db/x",
        "SOURCES__GITHUB__SECRET": "hush",
        "SOURCES__GITHUB__PREVIOUS_SECRET": "hush",
        "API_TOKENS__READ": "hush",
        "API_TOKENS__WRITE": "hush",
        "API_TOKENS__ADMIN": "hush",
        "METRICS_TOKEN": "hush",
    }
    for arguments in (["check-config"], ["check-config", "--json"]):
        for more in ({}, {"PORT": "http"}):
            ended = invoke(*arguments, **secrets, **more)
            assert "hush" not in ended.stdout + ended.stderr
    document = json.loads(invoke("check-config", "--json", **secrets).stdout)
    assert {each["setting"].removeprefix("LOOPGAUGE_") for each in document["settings"] if each["secret"]} == set(
        secrets
    )


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("postgresql://u:hush@db:5432/x", "postgresql://u:***@db:5432/x"),
        ("postgres://u:hu@sh/hush@db/x", "postgres://u:***@db/x"),
        ("postgresql://u:hu\nsh@db/x", "postgresql://u:***@db/x"),
        ("postgresql://u@db/x", "postgresql://u@db/x"),
        ("postgresql://db:5432/x", "postgresql://db:5432/x"),
        ("postgresql:///x?host=/run&user=u&password=hush&a=b", "postgresql:///x?host=/run&user=u&password=***&a=b"),
        ("postgresql://u@db/x?sslpassword=hush", "postgresql://u@db/x?sslpassword=***"),
        ("postgresql://u@db/x?a=b&p%61ssword=hush&c=d", "postgresql://u@db/x?a=b&p%61ssword=***&c=d"),
        ("postgresql://u@db/x?sslmode=require", "postgresql://u@db/x?sslmode=require"),
    ],
)
def test_the_password_of_a_database_url_is_masked(url: str, masked: str) -> None:
    assert mask_password(url) == masked


def test_the_faults_of_settings_and_rules_are_reported_together(tmp_path: Path) -> None:
    (tmp_path / "bets.yaml").write_text(BETS.replace("label: bet", "lable: bet"))
    ended = invoke("check-config", RULES="bets.yaml", THRESHOLD="7d", PORT="http")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines() == [
        "loopgauge: 3 faults",
        "LOOPGAUGE_THRESHOLD is not a setting; did you mean LOOPGAUGE_THRESHOLDS?",
        "LOOPGAUGE_PORT: expected a whole number, got 'http'",
        "bets.yaml:4:30: rule 1 'a bet', when.lable: lable is not a condition; did you mean label?",
        "docs/settings.md describes settings",
        "docs/rules.md describes rules files",
    ]


def test_the_faults_are_in_the_json(tmp_path: Path) -> None:
    (tmp_path / "bets.yaml").write_text("colour: red")
    ended = invoke("check-config", "--json", RULES="bets.yaml", THRESHOLD="7d")
    document = json.loads(ended.stdout)
    assert (ended.returncode, document["valid"], document["settings"]) == (1, False, [])
    [fault] = document["faults"]
    assert fault == {
        "setting": "LOOPGAUGE_THRESHOLD",
        "message": "is not a setting; did you mean LOOPGAUGE_THRESHOLDS?",
        "origin": "environment",
    }
    [fault] = document["rules"]["faults"]
    assert (fault["file"], fault["line"], fault["path"]) == ("bets.yaml", 1, "colour")


def test_a_valid_configuration_is_printed_as_a_table_with_the_number_of_rules_and_the_database(tmp_path: Path) -> None:
    (tmp_path / "bets.yaml").write_text(BETS)
    ended = invoke("check-config", RULES="bets.yaml", SOURCES__GITHUB__SECRET="s3cret")
    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert lines[0].split() == ["from", "setting", "value"]
    assert ["environment", "LOOPGAUGE_RULES", "bets.yaml"] in [line.split() for line in lines]
    assert re.fullmatch(r"rules: bets\.yaml has 2 rules of its own, and \d+ packaged rules that it extends", lines[-3])
    assert lines[-2].startswith("loopgauge uses the embedded database in /")
    assert lines[-1] == "no faults"


def test_the_threshold_of_each_team_is_shown_with_its_origin(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("thresholds: {growth: 10d, search: 9d}\n")
    variables = {"RULES": "rules.yaml", "THRESHOLDS__SEARCH": "1w", "SOURCES__GITHUB__SECRET": "s3cret"}
    assert json.loads(invoke("check-config", "--json", **variables).stdout)["thresholds"] == [
        {"team": "default", "threshold": "14d", "origin": "default"},
        {"team": "growth", "threshold": "10d", "origin": "rules file"},
        {"team": "search", "threshold": "7d", "origin": "environment"},
    ]
    printed = invoke("check-config", **variables).stdout
    assert re.search(
        r"default +\(all other teams\) +14 days\nrules file +growth +10 days\nenvironment +search +7 days", printed
    )


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hush@db.example/x", "the database x at db.example"),
        ("postgresql://u:hush@a:1,b:2/x", "the database x at a:1, b:2"),
        ("postgresql://u:hush@[fd00::1]:5432/x", "the database x at [fd00::1]:5432"),
        ("postgresql:///x?host=/run/postgresql&user=u&password=hush", "the database x at /run/postgresql"),
        ("postgresql://u:hush@db.example", "the default database of the user at db.example"),
    ],
)
def test_the_database_in_use_is_shown_without_its_user_and_password(url: str, shown: str) -> None:
    document = json.loads(invoke("check-config", "--json", DATABASE_URL=url).stdout)
    assert (document["database"], document["database_in_use"]) == (None, shown)
    assert f"\nloopgauge uses {shown}\n" in invoke("check-config", DATABASE_URL=url).stdout


@pytest.mark.parametrize(
    ("variables", "warning"),
    [
        ({}, "no source is configured: every webhook is refused"),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "HOST": "::", "API_TOKENS__READ": _TOKEN, "OPEN_METRICS": "true"},
            "listens on :: with LOOPGAUGE_OPEN_METRICS: everyone who reaches it can read /metrics",
        ),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "API_TOKENS__READ": _TOKEN, "API_TOKENS__WRITE": _TOKEN},
            "LOOPGAUGE_API_TOKENS__WRITE is the same token as LOOPGAUGE_API_TOKENS__READ",
        ),
        (
            {"SOURCES__GITHUB__SECRET": "token"},
            "LOOPGAUGE_SOURCES__GITHUB__SECRET is a word that attackers try first",
        ),
        ({"SOURCES__GITHUB__SECRET": "change-me"}, "LOOPGAUGE_SOURCES__GITHUB__SECRET has the value of an example"),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "SOURCES__JIRA__SECRET": "s3cret"},
            "LOOPGAUGE_SOURCES__JIRA__SECRET: expected a secret of its own, but LOOPGAUGE_SOURCES__GITHUB__SECRET has",
        ),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "API_TOKENS__READ": "change-me-to-read"},
            "LOOPGAUGE_API_TOKENS__READ has the value of an example",
        ),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "HOST": "0.0.0.0", "METRICS_TOKEN": _TOKEN},
            "listens on 0.0.0.0 without a read token",
        ),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "HOST": "0.0.0.0", "API_TOKENS__READ": _TOKEN},
            "listens on 0.0.0.0 without a metrics token, so /metrics refuses every scrape",
        ),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "HOST": "::", "METRICS_TOKEN": _TOKEN, "OPEN_READS": "true"},
            "listens on :: with LOOPGAUGE_OPEN_READS: everyone who reaches it may read",
        ),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "RAW_RETENTION": "3m"},
            "older than 3 minutes, so a replay skips these deliveries; m means minutes, so write months in days",
        ),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "RAW_RETENTION": "23h"},
            "older than 23 hours, so a replay skips these deliveries; set 1d or more",
        ),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "EVIDENCE_RETENTION": "6m"},
            "LOOPGAUGE_EVIDENCE_RETENTION is 6 minutes: loopgauge deletes evidence",
        ),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "FORGOTTEN_AFTER": "1m"},
            "LOOPGAUGE_FORGOTTEN_AFTER is 1 minute: an experiment counts as forgotten",
        ),
        ({"SOURCES__GITHUB__SECRET": "s3cret", "WINDOWS": "90d,3m"}, "a window in LOOPGAUGE_WINDOWS is 3 minutes: "),
        (
            {"SOURCES__GITHUB__SECRET": "s3cret", "THRESHOLDS__SEARCH": "2m"},
            "LOOPGAUGE_THRESHOLDS__SEARCH is 2 minutes: an experiment counts as overdue 2 minutes after its idea",
        ),
    ],
)
def test_settings_that_are_probably_not_intended_are_warnings(variables: dict[str, str], warning: str) -> None:
    ended = invoke("check-config", **variables)
    assert ended.returncode == 0
    assert warning in ended.stderr
    [told] = json.loads(invoke("check-config", "--json", **variables).stdout)["warnings"]
    assert warning in told


def test_a_threshold_of_minutes_in_the_rules_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("thresholds: {growth: 2m}\n")
    ended = invoke("check-config", RULES="rules.yaml", SOURCES__GITHUB__SECRET="s3cret")
    assert ended.stderr.startswith("warning: thresholds.growth in the rules is 2 minutes: ")


def test_a_service_logs_the_same_warning_before_it_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = invoke("serve", "--port", str(port), RAW_RETENTION="3m")
    assert ended.returncode == 1
    assert "LOOPGAUGE_RAW_RETENTION is 3 minutes: loopgauge deletes bodies of deliveries" in ended.stderr


def test_a_service_logs_what_it_opens_to_others(tmp_path: Path) -> None:
    settings = given_alone(open_metrics=True, root_path="/loopgauge", api_tokens={"read": "short"}, data_dir=tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listening, structlog.testing.capture_logs() as logged:
        announce(settings, listening)
    warnings = [entry["event"] for entry in logged if entry["log_level"] == "warning"]
    assert [warning.split()[0] for warning in warnings] == [
        "no",
        "LOOPGAUGE_API_TOKENS__READ",
        "LOOPGAUGE_OPEN_METRICS",
    ]
    assert not any("short," in warning for warning in warnings)


def test_the_running_service_is_shown_with_the_settings_that_are_not_seen_here(tmp_path: Path) -> None:
    service = RunningService(
        "http://127.0.0.1:8081", "all", "made", "the database x", {"jira_cloud": "jira"}, ["LOOPGAUGE_PORT"]
    )
    with recorded(tmp_path, service):
        ended = invoke("check-config", DATA_DIR=str(tmp_path))
        document = json.loads(invoke("check-config", "--json", DATA_DIR=str(tmp_path)).stdout)
        same = invoke("check-config", DATA_DIR=str(tmp_path), PORT="8081")
    line = "running: http://127.0.0.1:8081 runs with this data directory; role all, sources: jira_cloud (jira)"
    assert line in ended.stdout.splitlines()
    # The service has a source, so webhooks are not refused.
    assert ended.stderr == (
        "warning: http://127.0.0.1:8081 was started with settings that this command does not see: LOOPGAUGE_PORT; run "
        "check-config with the variables of the service, or in the directory of its .env\n"
    )
    assert same.stderr == ""
    assert document["running"] == [
        {
            "url": "http://127.0.0.1:8081",
            "role": "all",
            "database": "the database x",
            "sources": {"jira_cloud": "jira"},
            "reads": "made",
        }
    ]
    assert "running:" not in invoke("check-config", DATA_DIR=str(tmp_path)).stdout


def test_the_output_says_whether_there_is_a_settings_file(tmp_path: Path) -> None:
    assert "\nsettings: this directory has no .env\n" in invoke("check-config").stdout
    (tmp_path / ".env").write_text("LOOPGAUGE_PORT=9000\n")
    assert "settings:" not in invoke("check-config").stdout


def test_retentions_of_a_day_or_more_are_no_warnings() -> None:
    ended = invoke(
        "check-config",
        RAW_RETENTION="1d",
        EVIDENCE_RETENTION="24h",
        FORGOTTEN_AFTER="1d",
        WINDOWS="1h",
        THRESHOLDS__A="60m",
        SOURCES__GITHUB__SECRET="s3cret",
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_a_service_with_wrong_settings_prints_every_fault_and_does_not_start() -> None:
    ended = invoke("serve", PORT="http", THRESHOLD="7d")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.splitlines() == [
        "loopgauge: 2 settings are wrong; docs/settings.md describes all settings",
        "LOOPGAUGE_THRESHOLD is not a setting; did you mean LOOPGAUGE_THRESHOLDS?",
        "LOOPGAUGE_PORT: expected a whole number, got 'http'",
    ]
