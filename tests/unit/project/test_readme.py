"""The README tells of every metric, and of no other."""

import re
from collections.abc import Iterator

from prometheus_client import Metric

from service.metrics import METRICS
from service.metrics.excluded import KNOWN, OTHER_REASONS
from service.metrics.view import View
from service.telemetry import Telemetry
from tests.support import catalogue
from tests.support.builders import at, terms
from tests.support.paths import README

MANUAL = README.read_text()
_ENDINGS = {"counter": "_total", "info": "_info"}
_OF_A_HISTOGRAM = re.compile("_(bucket|gcount|gsum|count|sum)$")


def test_every_metric_has_a_row_in_the_readme_with_its_labels_and_every_row_a_metric() -> None:
    assert _documented() == _exported()


def test_every_reason_for_leaving_an_experiment_out_has_a_row() -> None:
    (table,) = re.findall(r"\| `reason` in `loopgauge_excluded`.*\n\|---.*\n((?:\|.*\n)+)", MANUAL)
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(KNOWN)
    assert f"`{OTHER_REASONS}`" in table


def _documented() -> dict[str, set[str]]:
    """The labels of each metric that has a row, without the values that stand beside some in brackets."""
    rows = re.findall(r"^\| (`loopgauge_.*?) \|.*\|(.*)\|$", MANUAL, re.MULTILINE)
    told = [(name, _words(labels)) for names, labels in rows for name in re.findall("loopgauge_[a-z_]+", names)]
    assert len(dict(told)) == len(told), "a metric has two rows"
    return dict(told)


def _words(labels: str) -> set[str]:
    return set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", labels)))


def _exported() -> dict[str, set[str]]:
    """The labels of each metric, as a scrape of a service shows them that knows a bit of everything."""
    # A family that the scrape has no sample of is a metric all the same.
    found: dict[str, set[str]] = {family.name + _ENDINGS.get(family.type, ""): set() for family in _families()}
    for name, labels in catalogue.labels().items():
        found.setdefault(_OF_A_HISTOGRAM.sub("", name), set()).update(labels - {"le"})
    # When a counter began is told only where the service did not switch that off.
    return {
        name: labels
        for name, labels in found.items()
        if name.startswith("loopgauge_") and not name.endswith("_created")
    }


def _families() -> Iterator[Metric]:
    view = View.of((), terms("7d"))
    for make in METRICS:
        yield from make(view, at(20))
    yield from Telemetry([]).registry.collect()
