"""Every query of the dashboards, with Grafana's variables filled in, so that Prometheus can be asked."""

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
        dashboard, asker: whose it is; of a variable its name.
        letter: what tells a panel's queries apart; empty for others.
        written: the expression with Grafana's variables.
        expression: the expression as Prometheus gets it.
    """

    dashboard: str
    asker: str
    letter: str
    written: str
    expression: str


def documents() -> dict[str, dict[str, Any]]:
    """The dashboards as they are written, by uid."""
    read = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(DOCUMENTS.glob("*.json")))
    return {document["uid"]: document for document in read}


def panels(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A dashboard's panels without the rows that caption them."""
    return [panel for panel in document["panels"] if panel["type"] != "row"]


def queries(
    team: str = "_org",
    window: str = "90d",
    rate_interval: str = "1m",
    time_range: str = "1h",
    namespace: str = "",
) -> list[Query]:
    """Every query of every dashboard.

    Args:
        team: what is chosen; `_org` for the organisation.
        namespace: what is chosen; empty where series have no such label.
        rate_interval, time_range: what Grafana would derive from the time range that is looked at.
    """
    filled = {
        "namespace": namespace,
        "team": team,
        "window": window,
        "__rate_interval": rate_interval,
        "__range": time_range,
    }
    return [
        Query(uid, asker, letter, written, _filled(written, filled))
        for uid, document in documents().items()
        for asker, letter, written in _written(document)
    ]


def _written(document: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for panel in panels(document):
        for target in panel["targets"]:
            yield panel["title"], target["refId"], target["expr"]
    for annotation in _listed(document, "annotations"):
        yield annotation["name"], "", annotation["expr"]
    for variable in _listed(document, "templating"):
        if variable["type"] == "query":
            yield variable["name"], "", _of_variable(variable["query"]["query"])


def _listed(document: Mapping[str, Any], name: str) -> Sequence[Mapping[str, Any]]:
    found: Sequence[Mapping[str, Any]] = document[name].get("list", [])
    return found


def _of_variable(query: str) -> str:
    """A variable's query as an expression that has a series for each of its values."""
    parts = _LABEL_VALUES.fullmatch(query)
    assert parts, f"a query of a variable that nobody knows: {query}"
    return f"count by ({parts['label']}) ({parts['metric']})"


def _filled(expression: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values[found["name"]], expression)
