"""`loopgauge serve` prints addresses that a browser can open, each with the token that it needs."""

import socket
from pathlib import Path
from typing import Any

import pytest
import structlog

from service.commands.listening import Address, addresses, describe, record_running
from service.settings import find_running, given_alone

_BASE = "http://127.0.0.1:8080"


def _listed(host: str = "127.0.0.1", **given: Any) -> list[Address]:
    return list(addresses(given_alone(host=host, **given), host, 8080))


def _scorecard(**given: Any) -> str:
    lines = describe("", 8080, _listed(**given), width=200).splitlines()
    [line] = [line for line in lines if "/scorecard" in line]
    return line.partition("answers to the four questions")[2]


def test_each_source_has_the_address_of_its_webhook() -> None:
    sources = {
        "github": {"secret": "x"},
        "jira_cloud": {"secret": "y", "provider": "jira"},
        "cloudevents": {"secret": "z"},
    }
    paths = ["/", "/docs", "/metrics", "/scorecard?format=html", "/webhooks/github", "/webhooks/jira-cloud", "/events"]
    settings = given_alone(sources=sources)
    assert [address.url for address in addresses(settings, "127.0.0.1", 8080)] == [f"{_BASE}{path}" for path in paths]


@pytest.mark.parametrize(
    ("host", "opened"),
    [
        ("0.0.0.0", _BASE),
        ("::", "http://[::1]:8080"),
        ("::1", "http://[::1]:8080"),
        ("10.1.2.3", "http://10.1.2.3:8080"),
    ],
)
def test_the_addresses_open_in_a_browser(host: str, opened: str) -> None:
    listed = _listed(host)
    assert {address.url.removeprefix(opened) for address in listed} == {
        "/",
        "/docs",
        "/metrics",
        "/scorecard?format=html",
    }


def test_the_first_line_says_where_the_service_listens() -> None:
    assert describe("::", 8080, _listed("::")).startswith("loopgauge listens on [::]:8080.\n  http://[::1]:8080/ ")


def _fits(text: str, width: int) -> bool:
    """Whether each line fits, except for a single long word."""
    return all(len(line) <= width or len(line.split()) == 1 for line in text.splitlines())


@pytest.mark.parametrize("root_path", ["", "/loopgauge", "/a/long/path/below/which/a/proxy/serves/loopgauge"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "2001:db8:85a3:8d3:1319:8a2e:370:7348"])
@pytest.mark.parametrize("width", [72, 80, 120])
def test_the_addresses_fit_the_terminal_and_are_never_broken(root_path: str, host: str, width: int) -> None:
    sources = {name: {"provider": "jira", "secret": name * 9} for name in ("jira", "jira_cloud_of_the_search_team")}
    listed = _listed(host, root_path=root_path, sources=sources, metrics_token="x")
    shown = describe(host, 18080, listed, width)
    assert _fits(shown, width)
    words = shown.split()
    assert [address.url for address in listed if address.url not in words] == []
    assert words.count("LOOPGAUGE_METRICS_TOKEN") == 1


def test_a_source_with_a_name_of_its_own_names_its_provider() -> None:
    sources = {"jira_cloud": {"provider": "jira", "secret": "x"}, "github": {"secret": "y"}}
    assert {address.about for address in _listed(sources=sources) if "/webhooks/" in address.url} == {
        "webhooks of jira_cloud (jira)",
        "webhooks of github",
    }


def test_the_scorecard_is_open_if_reads_are_open_unless_a_token_is_set() -> None:
    assert _scorecard(open_reads=True) == ""
    assert _scorecard(api_tokens={"read": "x"}, open_reads=True) == "; needs the token of LOOPGAUGE_API_TOKENS__READ"


def test_elsewhere_the_scorecard_needs_a_token() -> None:
    reachable = {"host": "0.0.0.0"}
    assert _scorecard(**reachable) == "; closed until LOOPGAUGE_API_TOKENS__READ is set"
    assert _scorecard(**reachable, api_tokens={"admin": "x"}) == "; needs the token of LOOPGAUGE_API_TOKENS__ADMIN"
    assert _scorecard(**reachable, api_tokens={"read": "x"}) == "; needs the token of LOOPGAUGE_API_TOKENS__READ"


def test_metrics_name_their_token() -> None:
    tokens = {address.url: address.token for address in _listed(metrics_token="x")}
    assert tokens[f"{_BASE}/metrics"] == "LOOPGAUGE_METRICS_TOKEN"


def test_elsewhere_metrics_are_closed_until_they_are_opened_or_have_a_token() -> None:
    for given, expected in (
        ({}, ("LOOPGAUGE_METRICS_TOKEN", True)),
        ({"open_metrics": True}, (None, False)),
        ({"open_metrics": True, "metrics_token": "x"}, ("LOOPGAUGE_METRICS_TOKEN", False)),
    ):
        [metrics] = [address for address in _listed("0.0.0.0", **given) if address.url.endswith("/metrics")]
        assert (metrics.token, metrics.closed) == expected


def test_the_addresses_have_the_prefix_of_the_proxy() -> None:
    urls = [address.url for address in _listed(root_path="/loopgauge/", sources={"github": {"secret": "x"}})]
    assert urls[0] == f"{_BASE}/loopgauge/"
    assert urls[-1] == f"{_BASE}/loopgauge/webhooks/github"


def test_a_worker_receives_no_webhooks_and_has_no_scorecard() -> None:
    listed = _listed(role="worker", sources={"github": {"secret": "x"}})
    assert [address.url for address in listed] == [f"{_BASE}{path}" for path in ("/", "/docs", "/metrics")]


def test_a_service_that_cannot_write_its_data_directory_runs_and_is_not_found(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a directory")
    settings = given_alone(data_dir=tmp_path / "data")
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        structlog.testing.capture_logs() as logged,
        record_running(settings, listening, made=True),
    ):
        assert find_running(tmp_path / "data") == []
    assert [entry["event"] for entry in logged] == [
        "commands on this machine cannot find the service by its data directory"
    ]


def test_a_service_is_found_at_the_port_on_which_it_listens(tmp_path: Path) -> None:
    settings = given_alone(data_dir=tmp_path, port=0, root_path="/loopgauge", host="0.0.0.0")
    with socket.create_server(("0.0.0.0", 0)) as listening:
        port = listening.getsockname()[1]
        with record_running(settings, listening, made=False):
            [found] = find_running(tmp_path)
    assert (found.url, found.reads) == (f"http://127.0.0.1:{port}/loopgauge", "closed")
