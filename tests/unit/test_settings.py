"""Settings come from arguments, the environment and files, and an invalid setting is reported in one clear line."""

from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic_core.core_schema import ErrorType

from service.app import configured_sources, metric_terms
from service.deliveries.delivery import source_name
from service.lifecycle.durations import format_duration
from service.providers import PROVIDERS
from service.rules.reader import read_rules
from service.settings import (
    InvalidSetting,
    Settings,
    given_alone,
    load_rules,
    packaged_rules,
    read_settings,
)
from service.settings.faults import explain
from tests.support.paths import REPOSITORY


@pytest.fixture(autouse=True)
def _empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Change to an empty directory, because the directory where the suite starts may have a .env file.
    monkeypatch.chdir(tmp_path)


def _read(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    for name, value in variables.items():
        monkeypatch.setenv(f"LOOPGAUGE_{name}", value)
    return read_settings()


def test_the_default_settings_are_the_documented_values() -> None:
    settings = read_settings()
    assert (settings.host, settings.port, settings.role, settings.log_level) == ("127.0.0.1", 8080, "all", "info")
    assert (settings.max_body_bytes, settings.max_inflight_bytes) == (26_214_400, 268_435_456)
    assert [format_duration(window) for window in settings.windows] == ["7d", "30d", "90d", "365d"]
    assert settings.snapshot_interval == timedelta(seconds=5)
    assert settings.raw_retention == settings.evidence_retention == timedelta(days=90)
    assert (settings.database_url, settings.sources) == (None, {})


def test_the_packaged_rules_are_the_common_rules_followed_by_the_rules_of_providers() -> None:
    common, *own = (Path(file.name).relative_to(REPOSITORY / "service").as_posix() for file in packaged_rules())
    assert common == "rules/defaults.yaml"
    possible = [f"providers/{name}/rules.yaml" for name in sorted(PROVIDERS)]
    assert own == [file for file in possible if (REPOSITORY / "service" / file).exists()]
    assert "providers/jira/rules.yaml" in own


def test_the_rules_of_a_provider_apply_only_to_its_deliveries() -> None:
    for file in packaged_rules()[1:]:
        providers = {rule.providers for of_kind in read_rules(file, [], PROVIDERS).by_kind.values() for rule in of_kind}
        assert providers == {frozenset({Path(file.name).parent.name})}


def test_the_data_directory_of_root_is_not_in_a_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    monkeypatch.delenv("LOOPGAUGE_DATA_DIR")
    assert read_settings().data_dir == Path("/var/lib/loopgauge")


def test_the_data_directory_of_other_users_is_the_default_of_the_platform(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.delenv("LOOPGAUGE_DATA_DIR")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert read_settings().data_dir == tmp_path / "loopgauge"


def test_a_source_defaults_to_the_provider_of_the_same_name(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _read(monkeypatch, SOURCES__GITHUB__SECRET="one", SOURCES__GITHUB__PREVIOUS_SECRET="two")
    source = configured_sources(settings)["github"]
    assert (source.provider.name, source.secrets) == ("github", (b"one", b"two"))


def test_a_source_may_have_another_name_than_its_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _read(monkeypatch, SOURCES__ACME_EU__SECRET="one", SOURCES__ACME_EU__PROVIDER="GitHub")
    assert configured_sources(settings)["acme_eu"].provider.name == "github"
    assert source_name("Acme-EU") == "acme_eu"


def test_secrets_are_read_from_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    directory = tmp_path / "secrets"
    directory.mkdir()
    (directory / "LOOPGAUGE_SOURCES__GITHUB__SECRET").write_text("from a file\n")
    (directory / "LOOPGAUGE_API_TOKENS__READ").write_text("a token to read")
    settings = _read(monkeypatch, SECRETS_DIR=str(directory))
    assert settings.sources["github"].secret.get_secret_value() == "from a file"
    assert settings.api_tokens.read is not None
    assert settings.api_tokens.read.get_secret_value() == "a token to read"


def test_white_space_at_the_ends_of_secrets_is_no_part_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _read(
        monkeypatch,
        SOURCES__GITHUB__SECRET="one\n",
        SOURCES__GITHUB__PREVIOUS_SECRET="\tsome words\r\n",
        API_TOKENS__READ=" read ",
        METRICS_TOKEN="metrics\n",
        DATABASE_URL="postgresql://db.example/loopgauge\n",
    )
    source = settings.sources["github"]
    found = [source.secret, source.previous_secret, settings.api_tokens.read, settings.metrics_token]
    assert [one.get_secret_value() for one in found if one] == ["one", "some words", "read", "metrics"]
    assert settings.database_url
    assert settings.database_url.get_secret_value() == "postgresql://db.example/loopgauge"


def test_a_secret_of_white_space_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSetting, match="LOOPGAUGE_SOURCES__GITHUB__SECRET"):
        _read(monkeypatch, SOURCES__GITHUB__SECRET=" \n")


def test_the_environment_takes_precedence_over_a_dotenv_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOOPGAUGE_PORT=9000\nLOOPGAUGE_HOST=localhost\nUNRELATED=1\n")
    settings = _read(monkeypatch, PORT="9001")
    assert (settings.host, settings.port) == ("localhost", 9001)


def test_keyword_arguments_take_precedence_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPGAUGE_PORT", "9001")
    assert read_settings(port=9002, host=None).port == 9002


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("PORT", "http", "LOOPGAUGE_PORT: expected a whole number, got 'http'"),
        ("PORT", "70000", "LOOPGAUGE_PORT: expected at most 65535, got '70000'"),
        ("SPOOL", "maybe", "LOOPGAUGE_SPOOL: expected true or false, got 'maybe'"),
        ("ROLE", "wroker", "got 'wroker'; did you mean worker?"),
        ("ROLE", "boss", "LOOPGAUGE_ROLE: expected one of all, api, worker, got 'boss'"),
        ("LOG_LEVEL", "loud", "LOOPGAUGE_LOG_LEVEL: expected one of debug, info, warning, error, got 'loud'"),
        (
            "SNAPSHOT_INTERVAL",
            "5",
            "LOOPGAUGE_SNAPSHOT_INTERVAL: expected a duration such as 90s, 15m, 6h, 14d or 2 weeks",
        ),
        (
            "SNAPSHOT_INTERVAL",
            "0s",
            "LOOPGAUGE_SNAPSHOT_INTERVAL: expected a duration such as 90s, 15m, 6h, 14d or 2 weeks",
        ),
        ("WINDOWS", "7d,soon", "LOOPGAUGE_WINDOWS: expected a duration such as 90s, 15m, 6h, 14d or 2 weeks"),
        ("WINDOWS", "", "LOOPGAUGE_WINDOWS: expected a duration such as 90s, 15m, 6h, 14d or 2 weeks"),
        ("MAX_BODY_BYTES", "0", "LOOPGAUGE_MAX_BODY_BYTES: expected 1 or more, got '0'"),
        ("DATABASE_URL", "mysql://h/d", "LOOPGAUGE_DATABASE_URL: expected postgresql://user:password@host/database"),
        ("SOURCES", "github", "LOOPGAUGE_SOURCES: expected JSON"),
        ("SOURCES", '"x"', "LOOPGAUGE_SOURCES is not a setting of its own; set LOOPGAUGE_SOURCES__<NAME>__SECRET"),
        ("SOURCES", '["x"]', "LOOPGAUGE_SOURCES is not a setting of its own; set LOOPGAUGE_SOURCES__<NAME>__SECRET"),
        (
            "SOURCES",
            '{"github": {"secret": "x", "provider": ["y"]}}',
            "LOOPGAUGE_SOURCES__GITHUB__PROVIDER: expected a text, got '[\"y\"]'",
        ),
        ("SOURCES", '{"a b": {"secret": "x", "provider": "github"}}', "LOOPGAUGE_SOURCES: expected source names"),
        ("SOURCES__GITHUB__SECRET", "", "LOOPGAUGE_SOURCES__GITHUB__SECRET: expected a value that is not empty"),
        ("SOURCES__GITHUB__PROVIDER", "github", "LOOPGAUGE_SOURCES__GITHUB__SECRET is missing"),
        (
            "SOURCES__GITHUB",
            "x",
            "LOOPGAUGE_SOURCES__GITHUB is not a setting of its own; set LOOPGAUGE_SOURCES__GITHUB__P",
        ),
        ("SOURCES__GITHUB__SECRT", "x", "LOOPGAUGE_SOURCES__GITHUB__SECRT is not a setting"),
        (
            "SOURCES__NOBODYS__SECRET",
            "x",
            f"LOOPGAUGE_SOURCES__NOBODYS__PROVIDER: expected one of {', '.join(sorted(PROVIDERS))}, got 'nobodys'",
        ),
        ("API_TOKENS__REED", "x", "LOOPGAUGE_API_TOKENS__REED is not a setting"),
        ("HOST", "", "LOOPGAUGE_HOST: expected a value that is not empty"),
        ("DATA_DIR", "", "LOOPGAUGE_DATA_DIR: expected a path that is not empty"),
        ("RULES", "", "LOOPGAUGE_RULES: expected a path that is not empty"),
        ("WINDOWS", "999999999d", "LOOPGAUGE_WINDOWS: expected a duration such as"),
        ("THRESHOLDS", "14d", "LOOPGAUGE_THRESHOLDS: expected JSON"),
        (
            "THRESHOLDS",
            '{"search": "soon"}',
            "LOOPGAUGE_THRESHOLDS__SEARCH: expected a duration such as 90s, 15m, 6h, 14d",
        ),
        (
            "THRESHOLDS",
            '{"_org": "7d"}',
            "LOOPGAUGE_THRESHOLDS: expected a team name of at most 100 characters that does not begin with _ ",
        ),
        ("THRESHOLDS", '{"' + "x" * 101 + '": "7d"}', "at most 100 characters"),
        ("THRESHOLDS", '{"@jane": "7d"}', "has no @"),
        ("THRESHOLDS", '{"ML": "7d", "ml": "8d"}', "expected each team once, in upper or lower case, got 'ML, ml'"),
        (
            "FORGOTTEN_AFTER",
            "30",
            "LOOPGAUGE_FORGOTTEN_AFTER: expected a duration such as 90s, 15m, 6h, 14d or 2 weeks",
        ),
        ("MIN_SAMPLE", "0", "LOOPGAUGE_MIN_SAMPLE: expected 1 or more, got '0'"),
        ("MAX_TEAMS", "0", "LOOPGAUGE_MAX_TEAMS: expected 1 or more, got '0'"),
        ("METRICS_TOKEN", "", "LOOPGAUGE_METRICS_TOKEN: expected a token"),
        ("API_TOKENS__ADMIN", " " * 20, "LOOPGAUGE_API_TOKENS__ADMIN: expected a token"),
        ("SECRETS_DIR", "/nowhere/at/all", "LOOPGAUGE_SECRETS_DIR: "),
    ],
)
def test_an_invalid_setting_is_reported_in_one_line_with_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    with pytest.raises(InvalidSetting) as wrong:
        _read(monkeypatch, **{name: value})
    assert message in str(wrong.value)
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("MAX_BODY_BYTES", "-3", "'-3'"),
        ("PORT", "1.5", "'1.5'"),
        ("PORT", "9" * 5000, f"'{'9' * 60}…'"),
        ("OPEN_READS", "", "nothing"),
        ("HOST", "", "nothing"),
        ("RULES", " ", "' '"),
        ("RAW_RETENTION", "", "nothing"),
        ("ROOT_PATH", "foo", "'foo'"),
        ("ROOT_PATH", "/metrics", "'/metrics'"),
        ("ROOT_PATH", "https://me:hush@acme.example/x", "'https://me:***@acme.example/x'"),
        ("LOG_LEVEL", "https://me:hush@acme.example", "'https://me:***@acme.example'"),
        ("SNAPSHOT_INTERVAL", "https://me:hush@acme.example", "'https://me:***@acme.example'"),
        ("THRESHOLDS", "14d", "'14d'"),
        ("THRESHOLDS", '["14d"]', "'[\"14d\"]'"),
        ("THRESHOLDS", '{"search": 14}', "'14'; the unit is missing, so write 14d for days"),
        ("THRESHOLDS", '{"search": null}', "'null'"),
        ("THRESHOLDS", '{"_org": "7d"}', "'_org'"),
        ("SECRETS_DIR", "/nowhere/at/all", "'/nowhere/at/all': No such file or directory"),
    ],
)
def test_the_given_value_is_shown_beside_the_expected_one(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, shown: str
) -> None:
    with pytest.raises(InvalidSetting) as wrong:
        _read(monkeypatch, **{name: value})
    assert str(wrong.value).endswith(f", got {shown}") or f", got {shown};" in str(wrong.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("THRESHOLDS", '{"@hush": "7d"}'),
        ("SOURCES", "hush"),
        ("SOURCES", '["hush"]'),
        ("SOURCES", '{"github": "hush"}'),
        ("SOURCES", '{"github": {"secret": ["hush"]}}'),
        ("SOURCES", '{"github": {"secret": "x", "previous_secret": ["hush"]}}'),
        ("SOURCES", '{"github": {"secrett": "hush"}}'),
        ("SOURCES__GITHUB", "hush"),
        ("API_TOKENS", "hush"),
        ("API_TOKENS", '["hush"]'),
        ("API_TOKENS", '{"read": ["hush"]}'),
        ("API_TOKENS__REED", "hush"),
        ("METRICS_TOKENN", "hush"),
        ("DATABASE_URL", "mysql://u:hush@h/d"),
        ("DATABASE_URL", "postgresql://u:hush@h/d?sslmode=hushed"),
    ],
)
def test_a_secret_a_token_or_an_account_is_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(InvalidSetting) as wrong:
        _read(monkeypatch, **{name: value})
    assert "hush" not in str(wrong.value).replace("hushed", "")


@pytest.mark.parametrize("kind", get_args(ErrorType))
@pytest.mark.parametrize("path", [("port",), ("metrics_token",)])
def test_no_fault_has_the_words_of_pydantic(kind: Any, path: tuple[str, ...]) -> None:
    context = {"expected": "'a' or 'b'", "ge": 1, "le": 2}
    message = explain({"type": kind, "loc": path, "msg": "Input should be pydantic", "input": "x", "ctx": context})
    assert "pydantic" not in message or kind == "value_error"
    assert message


def test_an_invalid_setting_is_reported_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSetting) as wrong:
        _read(monkeypatch, PORT="x", SOURCES__GITHUB__SECRET="hush", SOURCES__NOBODYS__SECRET="hush")
    assert "hush" not in str(wrong.value)
    assert wrong.value.__cause__ is None


@pytest.mark.parametrize(
    ("name", "similar"),
    [
        ("SNAPSHT_INTERVAL", "SNAPSHOT_INTERVAL"),
        ("THRESHOLD", "THRESHOLDS"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("DATABASE", "DATABASE_URL"),
        ("API_TOKENS_READ", "API_TOKENS__READ"),
        ("API_TOKEN__READ", "API_TOKENS__READ"),
        ("SOURCE__GITHUB__SECRET", "SOURCES__GITHUB__SECRET"),
        ("SOURCES_JIRA_SECRET", "SOURCES__JIRA__SECRET"),
        ("GITHUB_SECRET", "SOURCES__GITHUB__SECRET"),
        ("SECRET_DIR", "SECRETS_DIR"),
        # Names below a setting
        ("API_TOKENS__REED", "API_TOKENS__READ"),
        ("SOURCES__GITHUB__SECRETT", "SOURCES__GITHUB__SECRET"),
        ("SOURCES__ACME__PROVIDR", "SOURCES__ACME__PROVIDER"),
        # Names below a setting that has none
        ("PORT__X", "PORT"),
        ("DATABASE_URL__X", "DATABASE_URL"),
    ],
)
def test_a_misspelt_variable_is_refused_and_the_error_suggests_the_nearest_setting(
    monkeypatch: pytest.MonkeyPatch, name: str, similar: str
) -> None:
    with pytest.raises(InvalidSetting) as wrong:
        _read(monkeypatch, SOURCES__ACME__PROVIDER="github", SOURCES__ACME__SECRET="x", **{name: "7d"})
    assert str(wrong.value) == f"LOOPGAUGE_{name} is not a setting; did you mean LOOPGAUGE_{similar}?"


def test_a_variable_that_is_like_no_setting_is_refused_without_a_suggestion(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidSetting, match=r"^LOOPGAUGE_XYZZY is not a setting$"):
        _read(monkeypatch, XYZZY="1")


def test_a_misspelt_variable_of_a_dotenv_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOOPGAUGE_THRESHOLD=7d\nUNRELATED=1\n")
    with pytest.raises(InvalidSetting, match=r"^LOOPGAUGE_THRESHOLD in \.env is not a setting; did you"):
        read_settings()


def test_a_misspelt_file_in_the_directory_of_secrets_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "LOOPGAUGE_API_TOKENS__REED").write_text("x")
    (tmp_path / "secrets" / "unrelated").write_text("x")
    with pytest.raises(InvalidSetting, match=r"^LOOPGAUGE_API_TOKENS__REED in the secrets directory is not a setting"):
        _read(monkeypatch, SECRETS_DIR=str(tmp_path / "secrets"))


@pytest.mark.parametrize("service", ["", "_METRICS", "_MY_RELEASE"])
def test_the_variables_of_a_service_in_kubernetes_are_ignored(monkeypatch: pytest.MonkeyPatch, service: str) -> None:
    settings = _read(
        monkeypatch,
        **{
            f"{service}_{name}".removeprefix("_"): value
            for name, value in {
                "SERVICE_HOST": "10.0.0.1",
                "SERVICE_PORT": "80",
                "SERVICE_PORT_HTTP": "80",
                "PORT": "tcp://10.0.0.1:80",
                "PORT_80_TCP": "tcp://10.0.0.1:80",
                "PORT_80_TCP_PROTO": "tcp",
                "PORT_80_TCP_PORT": "80",
                "PORT_80_TCP_ADDR": "10.0.0.1",
            }.items()
        },
    )
    assert settings.port == 8080


def test_the_variables_of_a_remote_service_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LOOPGAUGE_DATA_DIR")
    assert _read(monkeypatch, URL="https://loopgauge.example", TOKEN="x") == given_alone()


def test_a_fault_names_the_file_that_has_the_wrong_value(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "LOOPGAUGE_PORT=http\nLOOPGAUGE_WINDOWS=7d,soon\nLOOPGAUGE_ROLE=boss\nLOOPGAUGE_SOURCES=x\n"
    )
    with pytest.raises(InvalidSetting) as wrong:
        _read(monkeypatch, ROLE="wroker")
    assert [(fault.setting, fault.origin) for fault in wrong.value.faults] == [
        ("LOOPGAUGE_SOURCES", ".env"),
        ("LOOPGAUGE_WINDOWS", ".env"),
        ("LOOPGAUGE_ROLE", "environment"),
        ("LOOPGAUGE_PORT", ".env"),
    ]
    assert "LOOPGAUGE_PORT in .env: expected a whole number, got 'http'" in str(wrong.value)
    assert "LOOPGAUGE_ROLE: expected one of all, api, worker, got 'wroker'" in str(wrong.value)


@pytest.mark.parametrize(
    "other",
    [
        {"SOURCES__JIRA__SECRET": "one"},
        {"SOURCES__JIRA__SECRET": "two", "SOURCES__JIRA__PREVIOUS_SECRET": "one"},
        {"SOURCES__JIRA__SECRET": "old", "SOURCES__GITHUB__PREVIOUS_SECRET": "old"},
    ],
)
def test_two_sources_with_one_secret_are_refused_off_loopback(
    monkeypatch: pytest.MonkeyPatch, other: dict[str, str]
) -> None:
    assert _read(monkeypatch, SOURCES__GITHUB__SECRET="one", **other).sources
    with pytest.raises(InvalidSetting) as wrong:
        _read(monkeypatch, HOST="0.0.0.0", SOURCES__GITHUB__SECRET="one", **other)
    [fault] = wrong.value.faults
    assert "expected a secret of its own, but LOOPGAUGE_SOURCES__" in str(fault)
    assert "openssl rand -hex 32" in str(fault)


_KEY = "bG9vcGdhdWdlIGxvb3BnYXVnZQ"


@pytest.mark.parametrize(
    "spelt", [_KEY, f"{_KEY}==", f"whsec_{_KEY}", f"whsec_{_KEY}==", "loopgauge loopgauge", f" {_KEY}==", f"{_KEY}\t"]
)
def test_two_sources_with_one_secret_in_two_spellings_are_refused(monkeypatch: pytest.MonkeyPatch, spelt: str) -> None:
    for github, cloudevents in ((f"whsec_{_KEY}==", spelt), (spelt, f"whsec_{_KEY}==")):
        given = {"SOURCES__GITHUB__SECRET": github, "SOURCES__CLOUDEVENTS__SECRET": cloudevents}
        with pytest.raises(InvalidSetting, match="expected a secret of its own, but LOOPGAUGE_SOURCES__"):
            _read(monkeypatch, HOST="0.0.0.0", **given)


def test_one_source_may_have_one_secret_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _read(monkeypatch, SOURCES__GITHUB__SECRET="one", SOURCES__GITHUB__PREVIOUS_SECRET="one").sources


_EXAMPLES = [
    "SOURCES__GITHUB__SECRET",
    "SOURCES__GITHUB__PREVIOUS_SECRET",
    "API_TOKENS__READ",
    "API_TOKENS__WRITE",
    "API_TOKENS__ADMIN",
    "METRICS_TOKEN",
]


@pytest.mark.parametrize("name", _EXAMPLES)
@pytest.mark.parametrize("secret", ["change-me", "change-me-to-read", "Change-Me"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "loopgauge.example.com"])
def test_the_secrets_of_the_examples_are_refused_off_loopback(
    monkeypatch: pytest.MonkeyPatch, name: str, secret: str, host: str
) -> None:
    with pytest.raises(InvalidSetting) as wrong:
        _read(monkeypatch, **{"HOST": host, "SOURCES__GITHUB__SECRET": "s3cret", name: secret})
    [fault] = wrong.value.faults
    assert fault.setting == f"LOOPGAUGE_{name}"
    assert "published in the examples" in fault.message
    assert "openssl rand -hex 32" in fault.message


@pytest.mark.parametrize(
    "where",
    [{"HOST": "127.0.0.1"}, {"HOST": "::1"}, {"HOST": "localhost"}, {"HOST": "::", "ALLOW_EXAMPLE_SECRETS": "true"}],
)
def test_the_secrets_of_the_examples_are_accepted_on_loopback_or_if_a_setting_allows_them(
    monkeypatch: pytest.MonkeyPatch, where: dict[str, str]
) -> None:
    assert _read(monkeypatch, SOURCES__GITHUB__SECRET="change-me", API_TOKENS__READ="change-me-too", **where).sources


def test_every_fault_is_reported_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LOOPGAUGE_WINDOW=7d\n")
    with pytest.raises(InvalidSetting) as wrong:
        _read(
            monkeypatch,
            PORT="http",
            ROLE="boss",
            THRESHOLDS="14d",
            SOURCES__GITHUB__SECRT="x",
            SOURCES__GITHIB__SECRET="x",
            SOURCES__JIRA__SECRET="",
            API_TOKENS__REED="x",
            FORGOTTEN_AFTER="1 month",
            XYZZY="1",
        )
    assert sorted(fault.setting for fault in wrong.value.faults) == [
        "LOOPGAUGE_API_TOKENS__REED",
        "LOOPGAUGE_FORGOTTEN_AFTER",
        "LOOPGAUGE_PORT",
        "LOOPGAUGE_ROLE",
        "LOOPGAUGE_SOURCES__GITHIB__SECRET",
        "LOOPGAUGE_SOURCES__GITHUB__SECRT",
        "LOOPGAUGE_SOURCES__JIRA__SECRET",
        "LOOPGAUGE_THRESHOLDS",
        "LOOPGAUGE_WINDOW",
        "LOOPGAUGE_XYZZY",
    ]


def test_values_of_one_source_may_come_from_several_origins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('LOOPGAUGE_SOURCES__ACME__PROVIDER=github\nLOOPGAUGE_THRESHOLDS={"a": "1d"}\n')
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "LOOPGAUGE_SOURCES__ACME__SECRET").write_text("x")
    settings = _read(monkeypatch, SECRETS_DIR=str(tmp_path / "secrets"), THRESHOLDS__B="2d")
    assert settings.sources["acme"].provider == "github"
    assert settings.thresholds == {"a": timedelta(days=1), "b": timedelta(days=2)}


def test_a_root_path_is_a_prefix_that_is_no_path_of_the_service() -> None:
    assert [read_settings(root_path=path).root_path for path in ("", "/", "/a", "/a/b/", "/docs-of/a")] == [
        *["", ""],
        *["/a", "/a/b", "/docs-of/a"],
    ]
    for wrong in ("a", "//a", "/a//b", "/a b", "/a?b", "/ü", "https://a.example.com/b", "/webhooks", "/docs/x"):
        with pytest.raises(InvalidSetting, match=r"LOOPGAUGE_ROOT_PATH: expected a (path|prefix)"):
            read_settings(root_path=wrong)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("db", False),
    ],
)
def test_every_form_of_a_loopback_address_is_recognised(host: str, loopback: bool) -> None:
    assert read_settings(host=host).listens_on_loopback is loopback


def test_two_spellings_of_a_window_are_one_window_with_one_label(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = _read(monkeypatch, WINDOWS="1w, 7d, 30 days,7 Days, 1 week 2 days")
    assert [window.label for window in metric_terms(settings, load_rules(settings)).windows] == ["7d", "30d", "9d"]


def test_a_dotenv_file_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"LOOPGAUGE_HOST=\xff\n")
    with pytest.raises(InvalidSetting, match="not UTF-8"):
        read_settings()


def test_a_line_of_a_dotenv_file_that_looks_like_a_setting_must_be_one(tmp_path: Path) -> None:
    lines = ["# LOOPGAUGE_", "", "not a line", "LOOPGAUGE_PORT: 8081", "", 'export LOOPGAUGE_TOKEN="hush']
    (tmp_path / ".env").write_text("\n".join([*lines, "LOOPGAUGE_HOST=127.0.0.2", ""]))
    with pytest.raises(InvalidSetting) as wrong:
        read_settings()
    problem = "is not NAME=value, or its quotation mark has no end"
    assert str(wrong.value) == f".env: line 4 {problem}; .env: line 6 {problem}"


def test_the_variable_of_the_directory_of_secrets_may_have_any_case(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "loopgauge_port").write_text("8081")
    monkeypatch.setenv("loopgauge_secrets_dir", str(tmp_path / "secrets"))
    assert read_settings().port == 8081
