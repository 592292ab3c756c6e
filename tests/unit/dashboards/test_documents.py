"""The written dashboards are those of the code, and Grafana shows them as they are meant."""

import json
import re
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any
from urllib.parse import urlsplit

import pytest

from dashboards import BOARDS
from dashboards.document import DOCUMENTS, document
from dashboards.words import BROKEN
from tests.support import catalogue
from tests.support.panel_queries import documents, panels

_DASHBOARDS = documents()
_PANELS = [
    pytest.param(uid, panel, id=f"{uid}: {panel['title']}")
    for uid, made in _DASHBOARDS.items()
    for panel in panels(made)
]
_dashboard = pytest.mark.parametrize("made", _DASHBOARDS.values(), ids=_DASHBOARDS)
_panel = pytest.mark.parametrize(("uid", "panel"), _PANELS)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_the_written_dashboard_is_what_the_code_makes(board: Any) -> None:
    written = (DOCUMENTS / f"{board.uid}.json").read_text(encoding="utf-8")
    assert written == document(board), "run `make dashboards`"


def test_no_dashboard_is_left_of_which_there_is_no_code() -> None:
    assert {path.stem for path in DOCUMENTS.iterdir()} == {board.uid for board in BOARDS}


@_dashboard
def test_there_is_one_data_source_to_choose(made: Mapping[str, Any]) -> None:
    sources = [variable for variable in made["templating"]["list"] if variable["type"] == "datasource"]
    assert [(source["name"], source["label"], source["query"]) for source in sources] == [
        ("datasource", "Data source", "prometheus")
    ]


@_dashboard
def test_installation_team_and_window_are_chosen_from_what_there_is(made: Mapping[str, Any]) -> None:
    variables = [variable for variable in made["templating"]["list"] if variable["type"] == "query"]
    assert [(variable["name"], variable["query"]["query"]) for variable in variables] == [
        ("namespace", "label_values(loopgauge_build_info, namespace)"),
        ("team", 'label_values(loopgauge_threshold_seconds{namespace="$namespace"}, team)'),
        ("window", 'label_values(loopgauge_excluded{namespace="$namespace"}, window)'),
    ]
    assert [variable.get("current", {}).get("value") for variable in variables] == [None, "_org", "90d"]
    assert {variable["refresh"] for variable in variables} == {2}


@_dashboard
def test_nothing_has_to_be_filled_in_before_it_works(made: Mapping[str, Any]) -> None:
    assert "__inputs" not in made
    assert {source["uid"] for source in _found(made, "datasource")} == {"${datasource}"}


@_dashboard
def test_it_is_not_edited_in_grafana(made: Mapping[str, Any]) -> None:
    assert made["editable"] is False


@_dashboard
def test_its_schema_is_current(made: Mapping[str, Any]) -> None:
    assert made["schemaVersion"] == 42


@_dashboard
def test_it_says_what_it_is_for(made: Mapping[str, Any]) -> None:
    assert made["title"]
    assert made["description"].endswith(".")


@_dashboard
def test_panels_are_within_the_grid_and_beside_each_other(made: Mapping[str, Any]) -> None:
    places = [(panel["title"], panel["gridPos"]) for panel in made["panels"]]
    for title, place in places:
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24, title
        assert place["h"] > 0, title
    for (one, first), (other, second) in combinations(places, 2):
        beside = first["x"] + first["w"] <= second["x"] or second["x"] + second["w"] <= first["x"]
        below = first["y"] + first["h"] <= second["y"] or second["y"] + second["h"] <= first["y"]
        assert beside or below, f"{one} lies over {other}"


@_dashboard
def test_each_panel_has_an_id_of_its_own(made: Mapping[str, Any]) -> None:
    ids = [panel["id"] for panel in made["panels"]]
    assert len(set(ids)) == len(ids)


def test_a_panel_keeps_its_id_when_others_come_and_go() -> None:
    given = {panel["id"] for made in _DASHBOARDS.values() for panel in made["panels"] if panel["title"] == "Given up"}
    assert given == {467158}


@_panel
def test_a_panel_says_what_it_shows(uid: str, panel: Mapping[str, Any]) -> None:
    assert panel["title"]
    assert panel["description"].endswith("."), uid


@_panel
def test_a_panel_is_of_a_kind_that_grafana_still_has(uid: str, panel: Mapping[str, Any]) -> None:
    assert panel["type"] in {"stat", "timeseries", "bargauge", "table"}, uid


@_panel
def test_every_figure_has_a_unit(uid: str, panel: Mapping[str, Any]) -> None:
    shown = panel["fieldConfig"]
    assert shown["defaults"]["unit"], uid
    if panel["type"] in {"stat", "timeseries"}:
        units = [override["matcher"]["options"] for override in shown["overrides"] if "unit" in _properties(override)]
        assert units == [target["refId"] for target in panel["targets"]]


@_panel
def test_only_whole_things_are_shown_without_a_fraction(uid: str, panel: Mapping[str, Any]) -> None:
    overrides = panel["fieldConfig"]["overrides"]
    shown = [{one["id"]: one["value"] for one in override["properties"]} for override in overrides]
    assert all(one["unit"] == "none" for one in shown if "decimals" in one), uid
    parts = [target["expr"] for target in panel["targets"] if "process_cpu_seconds_total" in target["expr"]]
    assert not (parts and panel["fieldConfig"]["defaults"]["unit"] == "none")


@_panel
def test_under_every_share_stands_of_how_many(uid: str, panel: Mapping[str, Any]) -> None:
    units = [shown["value"] for shown in _valued(panel, "unit")]
    if panel["type"] in {"stat", "table"} and "percentunit" in units:
        assert "none" in units, uid


def test_shares_that_stand_alone_have_their_sample_beside_them() -> None:
    alone = [
        (uid, panel["title"])
        for uid, made in _DASHBOARDS.items()
        for panel in panels(made)
        if {shown["value"] for shown in _valued(panel, "unit")} == {"percentunit"}
    ]
    assert alone == [
        ("loopgauge-failures", "Failures over answers, over time"),
        ("loopgauge-failures", "Failures over answers"),
        ("loopgauge-learning", "Failures over answers, over time"),
        ("loopgauge-learning", "Failures over answers"),
        ("loopgauge-team", "Answered by the threshold, over time"),
    ]
    beside = {"loopgauge-failures": "Failed, of how many", "loopgauge-learning": "Failed, of how many"}
    beside["loopgauge-team"] = "Ideas and answers, over time"
    for uid, title in beside.items():
        assert title in {panel["title"] for panel in panels(_DASHBOARDS[uid])}


@_panel
def test_what_is_empty_says_why(uid: str, panel: Mapping[str, Any]) -> None:
    assert panel["fieldConfig"]["defaults"]["noValue"], uid


@_panel
def test_a_cell_that_is_empty_does_not_say_that_all_is(uid: str, panel: Mapping[str, Any]) -> None:
    if panel["type"] == "table":
        cells = [shown["value"] for shown in _valued(panel, "noValue")]
        assert len(cells) == len(panel["targets"]), uid
        assert max(map(len, cells)) < 20


@_panel
def test_words_are_for_ranges_that_have_an_end(uid: str, panel: Mapping[str, Any]) -> None:
    """Grafana maps nothing to a range without one."""
    for mapping in (one for shown in _valued(panel, "mappings") for one in shown["value"]):
        if mapping["type"] == "range":
            assert mapping["options"]["from"] <= mapping["options"]["to"], uid


@_panel
def test_what_is_absent_is_not_green(uid: str, panel: Mapping[str, Any]) -> None:
    of_figures = [shown["value"] for shown in _valued(panel, "thresholds")]
    every = [panel["fieldConfig"]["defaults"]["thresholds"], *of_figures]
    assert {thresholds["steps"][0]["color"] for thresholds in every} == {"text"}, uid
    assert not any("vector(" in target["expr"] for target in panel["targets"])


@_panel
def test_only_the_service_itself_is_ever_red(uid: str, panel: Mapping[str, Any]) -> None:
    if f'"{BROKEN}"' in json.dumps(panel):
        assert panel["title"] in {"Figures", "Inbox"}, uid


@_panel
def test_panels_that_tell_of_now_ask_for_now(uid: str, panel: Mapping[str, Any]) -> None:
    trend = panel["type"] == "timeseries"
    for target in panel["targets"]:
        assert (target.get("range", False), target.get("instant", False)) == (trend, not trend), uid


@_panel
def test_a_trend_goes_on_over_a_day_only_where_its_past_may_have_been_brought_in(
    uid: str, panel: Mapping[str, Any]
) -> None:
    if panel["type"] == "timeseries":
        asked = {
            name for target in panel["targets"] for name in re.findall(r"(?:loopgauge|process)_\w+", target["expr"])
        }
        watched = any(catalogue.is_of_processes(name) or name.startswith("loopgauge_snapshot_") for name in asked)
        bridged = panel["fieldConfig"]["defaults"]["custom"]["spanNulls"]
        assert bridged == (False if watched else 25 * 3_600_000), uid


@_panel
def test_links_lead_to_dashboards_that_exist_and_keep_what_was_chosen(uid: str, panel: Mapping[str, Any]) -> None:
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
def test_no_link_leads_to_where_one_is(uid: str, panel: Mapping[str, Any]) -> None:
    assert uid not in {urlsplit(link["url"]).path.removeprefix("/d/") for link in _links(panel)}


@pytest.mark.parametrize("panel", panels(_DASHBOARDS["loopgauge-learning"]), ids=lambda panel: panel["title"])
def test_every_figure_for_leaders_leads_to_the_next_level_of_detail(panel: Mapping[str, Any]) -> None:
    assert _links(panel)


@_dashboard
def test_every_dashboard_lists_the_others(made: Mapping[str, Any]) -> None:
    assert made["tags"] == ["loopgauge"]
    [link] = made["links"]
    assert (link["type"], link["tags"]) == ("dashboards", ["loopgauge"])
    assert (link["includeVars"], link["keepTime"]) == (True, True)
    assert link["placement"] == "", "in a menu nobody finds it"


def test_tables_of_teams_stand_in_the_order_of_names() -> None:
    tables = [panel for made in _DASHBOARDS.values() for panel in panels(made) if panel["type"] == "table"]
    orders = {panel["title"]: panel["options"]["sortBy"] for panel in tables}
    assert orders["Each team"] == orders["Shared, team by team"] == [{"displayName": "Team", "desc": False}]


def _links(panel: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [link for value in _valued(panel, "links") for link in value["value"]]


def _valued(panel: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    overrides = panel["fieldConfig"]["overrides"]
    return [shown for override in overrides for shown in override["properties"] if shown["id"] == name]


def _properties(override: Mapping[str, Any]) -> set[str]:
    return {shown["id"] for shown in override["properties"]}


def _found(within: Any, name: str) -> Iterator[Any]:
    """Every value under a name, however deep."""
    if isinstance(within, dict):
        if name in within:
            yield within[name]
        within = list(within.values())
    if isinstance(within, list):
        for part in within:
            yield from _found(part, name)
