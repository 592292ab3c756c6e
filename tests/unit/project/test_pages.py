"""The pages about metrics, settings and sources document exactly those that the service has."""

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from prometheus_client import Metric
from pydantic import BaseModel

from service.metrics import METRICS
from service.metrics.excluded import KNOWN, OTHER_REASONS
from service.metrics.view import View
from service.providers import PROVIDERS
from service.settings import PREFIX, ApiTokens, Settings, SourceSettings, given_alone
from service.settings.names import OF_COMMANDS, SECRETS_DIR, find_unknown, is_service_link
from service.telemetry import Telemetry
from tests.support import catalogue
from tests.support.builders import at, terms
from tests.support.documents import read_page
from tests.support.paths import DOCS, REPOSITORY

METRICS_PAGE = read_page("metrics.md")
SETTINGS_PAGE = read_page("settings.md")
PLAIN = (int, str, tuple, timedelta)
"""The page states defaults of these types as values, and describes all other defaults in words."""
_ENDINGS = {"counter": "_total", "info": "_info"}
_OF_A_HISTOGRAM = re.compile("_(bucket|gcount|gsum|count|sum)$")


def test_the_page_has_one_row_for_every_metric_with_its_labels_and_no_other_rows() -> None:
    assert _documented() == _exported()


def test_the_page_has_a_row_for_every_known_reason_for_an_exclusion() -> None:
    (table,) = re.findall(r"\| `reason` in `loopgauge_excluded`.*\n\|---.*\n((?:\|.*\n)+)", METRICS_PAGE)
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(KNOWN)
    assert f"`{OTHER_REASONS}`" in table


def test_the_page_has_one_row_for_every_setting_and_no_other_rows() -> None:
    names = [name for name, _ in _setting_rows()]
    assert len(set(names)) == len(names), "a setting has two rows"
    assert set(names) == {f"{PREFIX}{name}" for name in _settings()}


def test_the_other_variables_of_the_page_are_accepted_although_they_are_no_settings() -> None:
    section = SETTINGS_PAGE.partition("\n## Other variables with the prefix\n")[2].partition("\n## ")[0]
    names = [
        name for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for name in re.findall(r"`(\w+)`", row)
    ]
    ours = {name for name in names if not is_service_link(name, "10.0.0.1")}
    assert ours == {SECRETS_DIR, *(f"{PREFIX}{name}" for name in OF_COMMANDS)}
    assert len(names) > len(ours)
    assert list(find_unknown(ours)) == []


def test_the_page_states_the_default_of_every_setting_whose_default_is_plain() -> None:
    documented = {name.removeprefix(PREFIX).lower(): default for name, default in _setting_rows()}
    plain = {name for name, field in Settings.model_fields.items() if isinstance(field.default, PLAIN)}
    assert {"windows", "port", "spool", "raw_retention"} <= plain
    stated, defaults = given_alone(**{name: documented[name] for name in plain}), given_alone()
    assert {name: getattr(stated, name) for name in plain} == {name: getattr(defaults, name) for name in plain}


def test_each_provider_has_a_page_with_the_same_sections_and_there_is_no_other_page() -> None:
    pages = {page.stem: page.read_text() for page in (DOCS / "sources").glob("*.md") if page.stem != "README"}
    assert pages.keys() == PROVIDERS.keys()
    sections = {name: set(re.findall("^## (.*)$", text, re.MULTILINE)) for name, text in pages.items()}
    expected = {"Connect it", "Limits", "A worked delivery", "See that it arrived"}
    assert {name: expected - found for name, found in sections.items() if expected - found} == {}


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("README.md", "the webhooks of the tools that you use: ", r"\."),
        ("docs/concepts.md", r"^\| provider \| the kind of a sender: ", r" \|$"),
        ("docs/settings.md", r"^\| `LOOPGAUGE_SOURCES__<NAME>__PROVIDER` \| the kind of sender: ", r" \|"),
        ("helm/loopgauge/values.yaml", r"`provider`[\s#]+is ", "; its default"),
    ],
)
def test_each_list_of_the_providers_names_every_provider_and_no_other(file: str, before: str, after: str) -> None:
    text = (REPOSITORY / file).read_text()
    [listed] = re.findall(f"{before}(.*?){after}", text, re.MULTILINE | re.DOTALL)
    names = re.findall(r"(?<=`)\w+(?=`)|\b[A-Z]\w+", listed)
    assert sorted(name.lower() for name in names) == sorted(PROVIDERS)


def test_the_index_of_sources_links_every_page() -> None:
    assert set(re.findall(r"\]\((\w+)\.md\)", read_page("sources/README.md"))) == PROVIDERS.keys()


def _setting_rows() -> Iterator[tuple[str, str]]:
    """Yield the name and the default of each setting in the page's table."""
    for names, default in re.findall(rf"^\| (`{PREFIX}.*?) \|.*\| (.*) \|$", SETTINGS_PAGE, re.MULTILINE):
        yield from zip(names.replace("`", "").split(", "), default.replace("`", "").split(", "), strict=True)


def _settings() -> Iterator[str]:
    """The name of every setting. A setting with fields has one name for each field."""
    with_fields: dict[str, tuple[str, type[BaseModel]]] = {
        "sources": ("SOURCES__<NAME>__", SourceSettings),
        "api_tokens": ("API_TOKENS__", ApiTokens),
    }
    yield from (name.upper() for name in Settings.model_fields if name not in with_fields)
    yield from (prefix + name.upper() for prefix, model in with_fields.values() for name in model.model_fields)


def _documented() -> dict[str, set[str]]:
    """The labels of each metric in the page, without the label values that the page puts in brackets."""
    rows = re.findall(r"^\| (`loopgauge_.*?) \|.*\|(.*)\|$", METRICS_PAGE, re.MULTILINE)
    entries = [(name, _words(labels)) for names, labels in rows for name in re.findall("loopgauge_[a-z_]+", names)]
    assert len(dict(entries)) == len(entries), "a metric has two rows"
    return dict(entries)


def _words(labels: str) -> set[str]:
    return set(re.findall(r"\w+", re.sub(r"\(.*?\)", "", labels)))


def _exported() -> dict[str, set[str]]:
    """The labels of each metric that the service exports."""
    # Begin with all metrics, because `catalogue.labels` omits metrics without samples.
    exported: dict[str, set[str]] = {family.name + _ENDINGS.get(family.type, ""): set() for family in _families()}
    for name, labels in catalogue.labels().items():
        exported.setdefault(_OF_A_HISTOGRAM.sub("", name), set()).update(labels - {"le"})
    # Omit the `_created` metrics of the client library, because the service switches them off when it starts.
    return {
        name: labels
        for name, labels in exported.items()
        if name.startswith("loopgauge_") and not name.endswith("_created")
    }


def _families() -> Iterator[Metric]:
    view = View.of((), terms("7d"), at(20))
    for make in METRICS:
        yield from make(view)
    yield from Telemetry([]).registry.collect()
