"""The generated dashboards match the code, and their variables, panels and links follow common rules."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

import pytest

from dashboards import BOARDS
from dashboards.document import DOCUMENTS, encode_board
from dashboards.words import BROKEN
from tests.support import catalogue
from tests.support.panel_queries import documents, panels

_DASHBOARDS = documents()
_PANELS = [
    pytest.param(uid, panel, id=f"{uid}: {panel['title']}")
    for uid, document in _DASHBOARDS.items()
    for panel in panels(document)
]
_dashboard = pytest.mark.parametrize("document", _DASHBOARDS.values(), ids=_DASHBOARDS)
_panel = pytest.mark.parametrize(("uid", "panel"), _PANELS)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_generated_dashboard_matches_the_code(board: Any) -> None:
    written = (DOCUMENTS / f"{board.uid}.json").read_text(encoding="utf-8")
    assert written == encode_board(board), "run `make dashboards`"


def test_every_dashboard_file_belongs_to_a_dashboard_in_the_code() -> None:
    assert {path.stem for path in DOCUMENTS.iterdir()} == {board.uid for board in BOARDS}


@_dashboard
def test_a_dashboard_has_one_data_source_variable(document: Mapping[str, Any]) -> None:
    sources = [variable for variable in document["templating"]["list"] if variable["type"] == "datasource"]
    assert [(source["name"], source["label"], source["query"]) for source in sources] == [
        ("datasource", "Data source", "prometheus")
    ]


@_dashboard
def test_the_variables_list_the_existing_installations_teams_and_windows(document: Mapping[str, Any]) -> None:
    variables = [variable for variable in document["templating"]["list"] if variable["type"] == "query"]
    assert [(variable["name"], variable["query"]["query"]) for variable in variables] == [
        ("namespace", "label_values(loopgauge_build_info, namespace)"),
        ("team", 'label_values(loopgauge_threshold_seconds{namespace="$namespace"}, team)'),
        ("window", 'label_values(loopgauge_excluded{namespace="$namespace"}, window)'),
    ]
    assert [variable.get("current", {}).get("value") for variable in variables] == [None, "_org", "90d"]
    assert {variable["refresh"] for variable in variables} == {2}


@_dashboard
def test_a_dashboard_works_before_a_user_chooses_anything(document: Mapping[str, Any]) -> None:
    assert "__inputs" not in document
    assert {source["uid"] for source in _find(document, "datasource")} == {"${datasource}"}


@_dashboard
def test_a_dashboard_is_read_only_in_grafana(document: Mapping[str, Any]) -> None:
    assert document["editable"] is False


@_dashboard
def test_the_schema_version_of_a_dashboard_is_the_current_version(document: Mapping[str, Any]) -> None:
    assert document["schemaVersion"] == 42


@_dashboard
def test_a_dashboard_has_a_title_and_a_description(document: Mapping[str, Any]) -> None:
    assert document["title"]
    assert document["description"].endswith(".")


@_dashboard
def test_panels_fit_into_the_grid_and_do_not_overlap(document: Mapping[str, Any]) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in document["panels"]]
    for title, place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24, title
        assert place["h"] > 0, title
    for (title, first), (other_title, second) in combinations(places, 2):
        beside = first["x"] + first["w"] <= second["x"] or second["x"] + second["w"] <= first["x"]
        below = first["y"] + first["h"] <= second["y"] or second["y"] + second["h"] <= first["y"]
        assert beside or below, f"{title} overlaps {other_title}"


@_dashboard
def test_panel_ids_are_unique(document: Mapping[str, Any]) -> None:
    ids = [panel["id"] for panel in document["panels"]]
    assert len(set(ids)) == len(ids)


def test_a_panel_keeps_its_id_when_its_title_changes() -> None:
    """The panel "Abandoned" keeps the id that was derived from its former title, "Given up"."""
    every = [panel for document in _DASHBOARDS.values() for panel in document["panels"]]
    ids = {panel["id"] for panel in every if panel["title"] == "Abandoned"}
    assert ids == {467158}


@_panel
def test_a_panel_has_a_title_and_a_caption(uid: str, panel: Mapping[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith("."), uid


@_panel
def test_the_type_of_a_panel_exists_in_the_current_grafana(uid: str, panel: Mapping[str, Any]) -> None:
    assert panel["type"] in {"stat", "timeseries", "bargauge", "table"}, uid


@_panel
def test_every_value_has_a_unit(uid: str, panel: Mapping[str, Any]) -> None:
    config = panel["fieldConfig"]
    assert config["defaults"]["unit"], uid
    if panel["type"] in {"stat", "timeseries"}:
        units = [override["matcher"]["options"] for override in config["overrides"] if "unit" in _properties(override)]
        assert units == [target["refId"] for target in panel["targets"]]


@_panel
def test_only_counts_are_shown_without_decimals(uid: str, panel: Mapping[str, Any]) -> None:
    overrides = panel["fieldConfig"]["overrides"]
    displays = [{each["id"]: each["value"] for each in override["properties"]} for override in overrides]
    assert all(display["unit"] == "none" for display in displays if "decimals" in display), uid
    cpu = [target["expr"] for target in panel["targets"] if "process_cpu_seconds_total" in target["expr"]]
    assert not (cpu and panel["fieldConfig"]["defaults"]["unit"] == "none")


@_panel
def test_a_panel_that_shows_a_share_also_shows_its_sample_size(uid: str, panel: Mapping[str, Any]) -> None:
    units = [entry["value"] for entry in _properties_named(panel, "unit")]
    if panel["type"] in {"stat", "table"} and "percentunit" in units:
        assert "none" in units, uid


def test_another_panel_shows_the_sample_size_if_a_panel_shows_only_shares() -> None:
    alone = [
        (uid, panel["title"])
        for uid, document in _DASHBOARDS.items()
        for panel in panels(document)
        if {entry["value"] for entry in _properties_named(panel, "unit")} == {"percentunit"}
    ]
    assert alone == [
        ("loopgauge-failures", "Failure rate by group, over time"),
        ("loopgauge-failures", "Failure rate by group"),
        ("loopgauge-learning", "Failure rate by group, over time"),
        ("loopgauge-learning", "Failure rate by group"),
        ("loopgauge-team", "Answered by the threshold, over time"),
    ]
    beside = {"loopgauge-failures": "Failed and answered", "loopgauge-learning": "Failed and answered"}
    beside["loopgauge-team"] = "Ideas and answers, over time"
    for uid, title in beside.items():
        assert title in {panel["title"] for panel in panels(_DASHBOARDS[uid])}


@_panel
def test_a_panel_has_a_text_that_explains_why_it_is_empty(uid: str, panel: Mapping[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["noValue"], uid


@_panel
def test_each_query_of_a_table_has_a_short_text_for_an_empty_cell(uid: str, panel: Mapping[str, Any]) -> None:
    if panel["type"] == "table":
        cells = [entry["value"] for entry in _properties_named(panel, "noValue")]
        assert len(cells) == len(panel["targets"]), uid
        assert max(map(len, cells)) < 20


@_panel
def test_a_range_that_is_shown_as_words_has_an_end(uid: str, panel: Mapping[str, Any]) -> None:
    """Grafana ignores a value mapping of type `range` that has no end."""
    for mapping in (mapping for entry in _properties_named(panel, "mappings") for mapping in entry["value"]):
        if mapping["type"] == "range":
            assert mapping["options"]["from"] <= mapping["options"]["to"], uid


@_panel
def test_a_missing_value_is_not_green(uid: str, panel: Mapping[str, Any]) -> None:
    of_queries = [entry["value"] for entry in _properties_named(panel, "thresholds")]
    every = [panel["fieldConfig"]["defaults"]["thresholds"], *of_queries]
    assert {thresholds["steps"][0]["color"] for thresholds in every} == {"text"}, uid
    assert not any("vector(" in target["expr"] for target in panel["targets"])


@_panel
def test_only_panels_about_the_service_use_red(uid: str, panel: Mapping[str, Any]) -> None:
    if f'"{BROKEN}"' in json.dumps(panel):
        assert panel["title"] in {"Metrics", "Queue"}, uid


@_panel
def test_trend_panels_use_range_queries_and_other_panels_use_instant_queries(
    uid: str, panel: Mapping[str, Any]
) -> None:
    trend = panel["type"] == "timeseries"
    for target in panel["targets"]:
        assert (target.get("range", False), target.get("instant", False)) == (trend, not trend), uid


@_panel
def test_a_trend_joins_points_across_a_gap_of_a_day_only_if_its_history_can_be_exported_to_prometheus(
    uid: str, panel: Mapping[str, Any]
) -> None:
    if panel["type"] == "timeseries":
        names = {
            name for target in panel["targets"] for name in re.findall(r"(?:loopgauge|process)_\w+", target["expr"])
        }
        about_processes = any(
            catalogue.is_of_processes(name) or name.startswith("loopgauge_snapshot_") for name in names
        )
        bridged = panel["fieldConfig"]["defaults"]["custom"]["spanNulls"]
        assert bridged == (False if about_processes else 25 * 3_600_000), uid


@_panel
def test_links_lead_to_existing_dashboards_and_keep_the_variables(uid: str, panel: Mapping[str, Any]) -> None:
    for link in _links(panel):
        if link["url"] == "${__data.fields.Address}":
            continue
        address = urlsplit(link["url"])
        assert address.path.removeprefix("/d/") in _DASHBOARDS, uid
        assert "${namespace:queryparam}" in address.query
        assert "${window:queryparam}" in address.query
        assert "${team:queryparam}" in address.query or "var-team=${__value.raw:percentencode}" in address.query
        assert "${datasource:queryparam}" in address.query
        assert "${__url_time_range}" in address.query


@_panel
def test_no_link_leads_to_its_own_dashboard(uid: str, panel: Mapping[str, Any]) -> None:
    assert uid not in {urlsplit(link["url"]).path.removeprefix("/d/") for link in _links(panel)}


@pytest.mark.parametrize("panel", panels(_DASHBOARDS["loopgauge-learning"]), ids=lambda panel: panel["title"])
def test_every_panel_of_the_dashboard_for_leaders_links_to_a_more_detailed_dashboard(panel: Mapping[str, Any]) -> None:
    assert _links(panel)


@_dashboard
def test_every_dashboard_links_to_the_other_dashboards(document: Mapping[str, Any]) -> None:
    assert document["tags"] == ["loopgauge"]
    [link] = document["links"]
    assert (link["type"], link["tags"]) == ("dashboards", ["loopgauge"])
    assert (link["includeVars"], link["keepTime"]) == (True, True)
    assert link["placement"] == "", "links in a menu are hard to find"


def test_tables_of_teams_are_sorted_by_team_name() -> None:
    tables = [panel for document in _DASHBOARDS.values() for panel in panels(document) if panel["type"] == "table"]
    orders = {panel["title"]: panel["options"]["sortBy"] for panel in tables}
    assert orders["Teams"] == orders["Shared learnings by team"] == [{"displayName": "Team", "desc": False}]


def _links(panel: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [link for value in _properties_named(panel, "links") for link in value["value"]]


def _properties_named(panel: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    overrides = panel["fieldConfig"]["overrides"]
    return [entry for override in overrides for entry in override["properties"] if entry["id"] == name]


def _properties(override: Mapping[str, Any]) -> set[str]:
    return {entry["id"] for entry in override["properties"]}


def _find(within: Any, name: str) -> Iterator[Any]:
    """Yield the value of every key with this name, at any depth."""
    if isinstance(within, dict):
        if name in within:
            yield within[name]
        within = list(within.values())
    if isinstance(within, list):
        for part in within:
            yield from _find(part, name)
