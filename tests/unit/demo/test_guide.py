"""The guide of the demo links to the pages that the installed Prometheus has."""

import pytest

from service.demo.guide import guide

_SERVICE = "http://127.0.0.1:8080"
_PROMETHEUS = "http://127.0.0.1:9090"


@pytest.mark.parametrize(
    ("graph_page", "alerts"), [("/graph", "/alerts"), ("/query", "/alerts"), ("/classic/graph", "/classic/alerts")]
)
def test_links_lead_to_the_pages_of_each_version_of_prometheus(graph_page: str, alerts: str) -> None:
    lines = guide(_SERVICE, f"{_PROMETHEUS}{graph_page}", {}, "loopgauge").splitlines()
    assert len([line for line in lines if line.startswith(f"  {_PROMETHEUS}{graph_page}?g0.expr=")]) == 3
    assert [line for line in lines if line.startswith(f"  {_PROMETHEUS}{alerts} ")]
    assert f"  export PROMETHEUS_URL={_PROMETHEUS}" in lines


def test_without_prometheus_the_guide_says_how_to_load_the_past() -> None:
    text = guide(_SERVICE, None, {}, "loopgauge")
    assert "g0.expr" not in text
    assert "promtool tsdb create-blocks-from" in text


@pytest.mark.parametrize("graph_page", [f"{_PROMETHEUS}/graph", None])
def test_commands_in_another_terminal_ask_the_service_of_the_demo(graph_page: str | None) -> None:
    lines = guide(_SERVICE, graph_page, {"LOOPGAUGE_DATABASE_URL": "postgresql://x"}, "loopgauge").splitlines()
    begin = lines.index("Commands that ask the demo's service, for another terminal")
    assert lines[begin + 1] == f"  export LOOPGAUGE_URL={_SERVICE}"
    own_database = "  export LOOPGAUGE_DATABASE_URL=postgresql://x"
    assert (own_database in lines) == (graph_page is None)
