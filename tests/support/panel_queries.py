"""Every query of the dashboards, with Grafana's variables filled in, so that Prometheus can evaluate it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dashboards.document import DOCUMENTS

_LABEL_VALUES = re.compile(r"label_values\((?P<metric>.+), (?P<label>\w+)\)")
_VARIABLE = re.compile(r"\$\{?(?P<name>\w+)\}?")


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a panel, an annotation or a variable.

    Attributes:
        dashboard: the uid of its dashboard.
        owner: the title of its panel, or the name of its annotation or variable.
        letter: the letter of a panel's query; empty for annotations and variables.
        written: the expression with Grafana's variables.
        expression: the expression with values for the variables.
    """

    dashboard: str
    owner: str
    letter: str
    written: str
    expression: str


def documents() -> dict[str, dict[str, Any]]:
    """Read the generated dashboards, by uid."""
    contents = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(DOCUMENTS.glob("*.json")))
    return {document["uid"]: document for document in contents}


def panels(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The panels of a dashboard, without its rows."""
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def queries(
    team: str = "_org",
    window: str = "90d",
    rate_interval: str = "1m",
    time_range: str = "1h",
    namespace: str = "",
) -> list[Query]:
    """Fill in the variables in every query of every dashboard.

    Args:
        team: the chosen team; `_org` for all teams.
        namespace: the chosen installation; empty if the series have no label `namespace`.
        rate_interval, time_range: the values that Grafana derives from its time range.
    """
    values = {
        "namespace": namespace,
        "team": team,
        "window": window,
        "__rate_interval": rate_interval,
        "__range": time_range,
    }
    return [
        Query(uid, owner, letter, written, _fill(written, values))
        for uid, document in documents().items()
        for owner, letter, written in _written_queries(document)
    ]


def _written_queries(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for panel in panels(document):
        for target in panel["targets"]:
            yield panel["title"], target["refId"], target["expr"]
    for annotation in _list_items(document, "annotations"):
        yield annotation["name"], "", annotation["expr"]
    for variable in _list_items(document, "templating"):
        if variable["type"] == "query":
            yield variable["name"], "", _count_values(variable["query"]["query"])


def _list_items(document: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    items: Sequence[Mapping[str, Any]] = document[name].get("list", [])
    return items


def _count_values(query: str) -> str:
    """Turn the query of a variable into an expression with a series for each value."""
    parts = _LABEL_VALUES.fullmatch(query)
    assert parts, f"unknown form of a variable's query: {query}"
    return f"count by ({parts['label']}) ({parts['metric']})"


def _fill(expression: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda variable: values[variable["name"]], expression)
