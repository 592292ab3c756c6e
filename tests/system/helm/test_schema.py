"""What the schema of the values knows is what the chart has and the service takes."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from service.providers import PROVIDERS
from service.settings import PREFIX, Settings, given_alone
from tests.system.helm.chart import CHART, environment, minimal, of_kind, scenario


def test_the_schema_refuses_every_variable_that_the_chart_always_sets() -> None:
    named = _schema()["properties"]["extraEnv"]["items"]["properties"]["name"]["if"]["enum"]
    [api] = of_kind(minimal(), "Deployment", "api")
    always = environment(api["spec"]["template"]).keys()
    # Each of these is set elsewhere, or under some values only: by a flag, `settings.thresholds`, and `rules`.
    assert set(named) - always == {"LOOPGAUGE_ROLE", "LOOPGAUGE_THRESHOLDS", "LOOPGAUGE_RULES"}
    assert always <= set(named)


def _defaults() -> Iterator[tuple[str, Any, Any]]:
    """Each section by its name, with its values and its schema."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    sections = _schema()["properties"]
    # Numbers that OpenShift gives out itself may be taken away.
    named = {name: value for name, value in values.items() if isinstance(value, dict) and name != "podSecurityContext"}
    for name, value in named.items():
        yield name, value, sections[name]
    yield "api.autoscaling", values["api"]["autoscaling"], sections["api"]["properties"]["autoscaling"]


def test_what_has_a_default_that_says_something_cannot_be_left_empty() -> None:
    sections = {name: value for name, value, _ in _defaults() if value and "." not in name and name != "labels"}
    assert set(_schema()["required"]) == sections.keys()
    for name, values, schema in _defaults():
        telling = {key for key, value in values.items() if isinstance(value, (str, int, list)) and value}
        assert telling <= set(schema.get("required", [])), name


@pytest.mark.parametrize("written", ["90s", "15m", "6h", "14d", "0d", "1w", "1.5d", "d", " 7d", "", "7 d", "-1d"])
def test_a_duration_passes_the_schema_just_where_the_service_takes_it(written: str) -> None:
    pattern = _schema()["definitions"]["duration"]["pattern"]
    try:
        given_alone(forgotten_after=written)
    except ValueError:
        taken = False
    else:
        taken = written == written.strip()
    assert bool(re.search(pattern, written)) is taken


def _schema() -> Any:
    return json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def _objects(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for one in schema:
            yield from _objects(one)


def test_no_object_of_the_schema_takes_what_it_does_not_name() -> None:
    assert [one for one in _objects(_schema()) if one.get("additionalProperties") is not False] == []


def test_the_schema_knows_every_value_of_the_chart_and_no_other() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = _schema()
    # What Helm itself hands to a chart that another one has as a dependency.
    assert schema["properties"].keys() - {"global", "enabled"} == values.keys()
    for name, value in values.items():
        known = schema["properties"][name].get("properties")
        if known and name != "sources":
            assert known.keys() == value.keys(), name


def test_the_schema_knows_every_provider() -> None:
    schema = _schema()
    assert set(schema["definitions"]["source"]["properties"]["provider"]["enum"]) == set(PROVIDERS)
    [named] = schema["properties"]["sources"]["allOf"]
    assert named["properties"].keys() == PROVIDERS.keys()


_ELSEWHERE = {"ROLE"}
"""Settings of the service that the chart sets otherwise: the role, as a flag."""


def test_every_setting_of_the_service_can_be_reached() -> None:
    [api] = of_kind(scenario("everything"), "StatefulSet")
    set_here = {name.removeprefix(PREFIX).split("__")[0] for name in environment(api["spec"]["template"])}
    assert {name.upper() for name in Settings.model_fields} - set_here == _ELSEWHERE


def test_what_is_not_set_is_as_the_service_has_it() -> None:
    own = {"data_dir", "host", "database_url"}
    [api] = of_kind(minimal(), "Deployment", "api")
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment(api["spec"]["template"]).items()
        if isinstance(value, str)
    }
    assert given.keys() >= {"windows", "min_sample", "max_inflight_bytes"}
    taken = given_alone(**given)
    assert taken.model_dump(exclude=own) == given_alone().model_dump(exclude=own)
