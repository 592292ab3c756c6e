"""Settings that open the service to more clients than intended are warnings, which never show a value."""

from typing import Any

import pytest

from service.settings import Settings, find_exposures, find_weak_secrets, given_alone

_STRONG = ("4f0c1b7e9a2d4c8f", "b81d5e0f73a94c26", "09c7e6d5b4a31f28", "7a6b5c4d3e2f1908")
_EVERYWHERE: dict[str, Any] = {"host": "0.0.0.0", "metrics_token": _STRONG[0], "api_tokens": {"read": _STRONG[1]}}


def _settings(**given: Any) -> Settings:
    return given_alone(**{"sources": {"github": {"secret": "bars-secret"}}, **given})


def _exposures(**given: Any) -> list[str]:
    return list(find_exposures(_settings(**given)))


def test_the_defaults_and_strong_tokens_open_nothing() -> None:
    tokens = dict(zip(("read", "write", "admin"), _STRONG, strict=False))
    assert _exposures() == []
    assert _exposures(api_tokens=tokens, metrics_token=_STRONG[3]) == []
    assert _exposures(**_EVERYWHERE, root_path="/loopgauge") == []
    assert list(find_weak_secrets(_settings())) == []


@pytest.mark.parametrize(
    "token",
    [
        *("change-me", "change-me-to-read", "Change-Me!", "secret", "SECRET", "token", "test", " test ", "pass-word"),
        *("changeme", "loopgauge", "admin", "short", "fifteen-letters", "aaaaaaaaaaaaaaaaaaaaaaaa", "1212121212121212"),
    ],
)
@pytest.mark.parametrize("name", ["read", "write", "admin", "metrics"])
def test_a_short_or_well_known_token_is_named_without_its_value(name: str, token: str) -> None:
    given = {"metrics_token": token} if name == "metrics" else {"api_tokens": {name: token}}
    variable = "LOOPGAUGE_METRICS_TOKEN" if name == "metrics" else f"LOOPGAUGE_API_TOKENS__{name.upper()}"
    [warning] = _exposures(**given)
    danger, _, remedy = warning.removeprefix(f"{variable} ").partition("; ")
    assert remedy == "set the output of: openssl rand -hex 32"
    assert danger in (
        "has the value of an example, which everyone knows",
        "is a word that attackers try first",
        "is short or has few different characters, so attackers can guess it",
    )


@pytest.mark.parametrize("secret", ["change-me", "change-me-too", "secret", "Test", "to-ken", "password"])
def test_a_well_known_webhook_secret_is_named_without_its_value(secret: str) -> None:
    sources = {"jira_cloud": {"provider": "jira", "secret": "bars-secret", "previous_secret": secret}}
    [warning] = find_weak_secrets(_settings(sources=sources))
    assert warning.startswith("LOOPGAUGE_SOURCES__JIRA_CLOUD__PREVIOUS_SECRET ")
    assert secret not in warning.removeprefix("LOOPGAUGE_SOURCES__JIRA_CLOUD__PREVIOUS_SECRET").partition(";")[0]
    assert warning.endswith("; set the output of: openssl rand -hex 32")


def test_two_equal_tokens_are_both_named() -> None:
    [warning] = _exposures(api_tokens={"read": _STRONG[0], "write": _STRONG[0], "admin": _STRONG[1]})
    assert warning.startswith("LOOPGAUGE_API_TOKENS__WRITE is the same token as LOOPGAUGE_API_TOKENS__READ, so ")
    assert _STRONG[0] not in warning
    assert len(_exposures(api_tokens={"read": _STRONG[0], "write": _STRONG[0]}, metrics_token=f"{_STRONG[0]} ")) == 3


@pytest.mark.parametrize("key", ["secret", "previous_secret"])
@pytest.mark.parametrize("written", ["{}", "{}\n", "whsec_{}"])
def test_a_webhook_secret_that_is_a_token_is_named(key: str, written: str) -> None:
    sources = {"github": {"secret": "bars-secret", key: written.format(_STRONG[1])}}
    [warning] = _exposures(sources=sources, api_tokens={"admin": _STRONG[1]})
    variable = f"LOOPGAUGE_SOURCES__GITHUB__{key.upper()}"
    assert warning.startswith(f"{variable} is the same as LOOPGAUGE_API_TOKENS__ADMIN, so the tool ")
    assert _STRONG[1] not in warning


@pytest.mark.parametrize(
    ("given", "warning"),
    [
        (
            {**_EVERYWHERE, "metrics_token": None, "open_metrics": True},
            (
                "the service listens on 0.0.0.0 with LOOPGAUGE_OPEN_METRICS: everyone who reaches it can read "
                "/metrics; set LOOPGAUGE_METRICS_TOKEN instead, unless only Prometheus can reach the service"
            ),
        ),
        (
            {"open_metrics": True, "root_path": "/loopgauge"},
            (
                "LOOPGAUGE_OPEN_METRICS opens /metrics to every client of the proxy that serves /loopgauge; set "
                "LOOPGAUGE_METRICS_TOKEN instead, or do not forward /metrics"
            ),
        ),
        (
            {**_EVERYWHERE, "api_tokens": {}, "open_reads": True},
            (
                "the service listens on 0.0.0.0 with LOOPGAUGE_OPEN_READS: everyone who reaches it may read; remove "
                "LOOPGAUGE_OPEN_READS, and set LOOPGAUGE_API_TOKENS__READ"
            ),
        ),
        (
            {"open_reads": True, "root_path": "/loopgauge"},
            (
                "LOOPGAUGE_OPEN_READS opens the reads to every client of the proxy that serves /loopgauge; remove "
                "LOOPGAUGE_OPEN_READS, and sign browsers in with loopgauge sign-in"
            ),
        ),
        (
            {**_EVERYWHERE, "api_tokens": {}},
            (
                "the service listens on 0.0.0.0 without a read token, so the API refuses reads; set "
                "LOOPGAUGE_API_TOKENS__READ"
            ),
        ),
    ],
)
def test_reads_and_metrics_that_are_open_to_others_are_named_with_the_remedy(
    given: dict[str, Any], warning: str
) -> None:
    assert _exposures(**given) == [warning]


@pytest.mark.parametrize(
    "given",
    [
        {"open_metrics": True},
        {"open_reads": True},
        {**_EVERYWHERE, "open_metrics": True, "open_reads": True},
        {**_EVERYWHERE, "api_tokens": {}, "role": "worker"},
        {**_EVERYWHERE, "api_tokens": {"admin": _STRONG[2]}},
    ],
)
def test_reads_and_metrics_that_are_open_on_loopback_only_or_have_a_token_are_no_warning(given: dict[str, Any]) -> None:
    assert _exposures(**given) == []
