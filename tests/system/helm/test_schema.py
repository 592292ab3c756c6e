"""The schema of the values matches the chart and the service."""

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
    # The chart sets the role by the flag `--role`, not by a variable. It sets the variable for the thresholds only if
    # `settings.thresholds` has a value, and the variable for the rules only if `rules` has one.
    assert set(named) - always == {"LOOPGAUGE_ROLE", "LOOPGAUGE_THRESHOLDS", "LOOPGAUGE_RULES"}
    assert always <= set(named)


def _defaults() -> Iterator[tuple[str, Any, Any]]:
    """Yield the name, the values and the schema of each section."""
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    sections = _schema()["properties"]
    # The schema requires no value of `podSecurityContext`, because users of OpenShift remove the user and group ids:
    # OpenShift assigns them itself.
    named = {name: value for name, value in values.items() if isinstance(value, dict) and name != "podSecurityContext"}
    for name, value in named.items():
        yield name, value, sections[name]
    yield "api.autoscaling", values["api"]["autoscaling"], sections["api"]["properties"]["autoscaling"]


def test_a_value_with_a_default_cannot_be_removed() -> None:
    sections = {name: value for name, value, _ in _defaults() if value and "." not in name and name != "labels"}
    assert set(_schema()["required"]) == sections.keys()
    for name, values, schema in _defaults():
        with_default = {key for key, value in values.items() if isinstance(value, (str, int, list)) and value}
        assert with_default <= set(schema.get("required", [])), name


@pytest.mark.parametrize(
    "written",
    [
        "90s",
        "15m",
        "6h",
        "14d",
        "1w",
        "7 d",
        "2 weeks",
        "1 day",
        "90 mins",
        "1d 12h",
        "1 week 2 days",
        "0d",
        "1.5d",
        "d",
        " 7d",
        "",
        "-1d",
        "7",
        "1 month",
        "2 weeks 1",
        "1h 1w",
    ],
)
def test_the_schema_and_the_service_accept_the_same_durations(written: str) -> None:
    pattern = _schema()["definitions"]["duration"]["pattern"]
    try:
        given_alone(forgotten_after=written)
    except ValueError:
        accepted = False
    else:
        accepted = written == written.strip()
    assert bool(re.search(pattern, written)) is accepted


def _schema() -> Any:
    return json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))


def _objects(schema: Any) -> Iterator[Any]:
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("type") == "object":
            yield schema
        schema = list(schema.values())
    if isinstance(schema, list):
        for part in schema:
            yield from _objects(part)


def test_no_object_of_the_schema_accepts_unknown_keys() -> None:
    assert [part for part in _objects(_schema()) if part.get("additionalProperties") is not False] == []


def test_the_schema_has_every_value_of_the_chart_and_no_other_value() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    schema = _schema()
    # Helm passes `global` and `enabled` to a chart that is a dependency of another chart.
    assert schema["properties"].keys() - {"global", "enabled"} == values.keys()
    for name, value in values.items():
        known = schema["properties"][name].get("properties")
        if known and name != "sources":
            assert known.keys() == value.keys(), name


def test_the_schema_has_every_provider() -> None:
    schema = _schema()
    assert set(schema["definitions"]["source"]["properties"]["provider"]["enum"]) == set(PROVIDERS)
    [named] = schema["properties"]["sources"]["allOf"]
    assert named["properties"].keys() == PROVIDERS.keys()


_ELSEWHERE = {"ROLE", "ALLOW_EXAMPLE_SECRETS"}
"""Settings that the chart does not set as variables: it sets the role with a flag, and no pod needs example secrets."""


def test_the_values_cover_every_setting_of_the_service() -> None:
    [api] = of_kind(scenario("everything"), "StatefulSet")
    set_here = {name.removeprefix(PREFIX).split("__")[0] for name in environment(api["spec"]["template"])}
    assert {name.upper() for name in Settings.model_fields} - set_here == _ELSEWHERE


def test_the_chart_and_the_service_have_the_same_defaults() -> None:
    # The chart has its own values for these. It opens `/metrics` to the Prometheus in the cluster's network.
    own = {"data_dir", "host", "database_url", "open_metrics"}
    [api] = of_kind(minimal(), "Deployment", "api")
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environment(api["spec"]["template"]).items()
        if isinstance(value, str)
    }
    assert given.keys() >= {"windows", "min_sample", "max_inflight_bytes"}
    settings = given_alone(**given)
    assert settings.open_metrics
    assert settings.model_dump(exclude=own) == given_alone().model_dump(exclude=own)
