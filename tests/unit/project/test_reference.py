"""The generated parts of the documentation describe exactly the commands, endpoints and problems that exist."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from service.api.http.problems import PROBLEMS
from service.cli import main
from service.lifecycle.acts import ACTS
from service.lifecycle.fields import DATA_PROPERTIES
from tests.support.documents import read_page
from tests.support.paths import REPOSITORY
from tests.support.reference import fill, openapi, pages

_CLI, _API = read_page("cli.md"), read_page("api.md")


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(REPOSITORY).as_posix())
def test_the_generated_parts_are_up_to_date(page: Path) -> None:
    """If a page differs, run `make docs`."""
    assert page.read_text() == fill(page.read_text())


def test_the_page_has_every_command_and_no_other() -> None:
    paths = {
        context.command_path
        for context in _contexts(click.Context(main, info_name="loopgauge", **main.context_settings))
    }
    assert len(paths) > 10
    assert sorted(re.findall(r"^### (loopgauge.*)$", _CLI, re.MULTILINE)) == sorted(paths)


def test_the_page_has_every_option_with_its_help() -> None:
    for context in _contexts(click.Context(main, info_name="loopgauge", **main.context_settings)):
        section = _CLI.partition(f"\n### {context.command_path}\n")[2].partition("\n### ")[0]
        options = [parameter for parameter in context.command.params if isinstance(parameter, click.Option)]
        assert [option.name for option in options if not (option.help and option.help.split()[0] in section)] == []
        assert all(name in section for option in options for name in [*option.opts, *option.secondary_opts])


def test_the_page_has_every_endpoint_and_no_other() -> None:
    exist = {f"{method.upper()} {path}" for path, methods in openapi()["paths"].items() for method in methods}
    assert len(exist) > 10
    assert set(re.findall(r"^\| `((?:GET|POST|PUT|DELETE) [^`]+)` \|", _API, re.MULTILINE)) == exist


def test_the_page_has_every_problem_with_its_status_and_no_other() -> None:
    exist = {(str(int(problem.status)), problem.slug) for problem in PROBLEMS.values()}
    assert set(re.findall(r"^\| (\d{3}) \| `([a-z-]+)` \|", _API, re.MULTILINE)) == exist


def _contexts(context: click.Context) -> Iterator[click.Context]:
    yield context
    if isinstance(context.command, click.Group):
        for name in context.command.list_commands(context):
            command = context.command.get_command(context, name)
            assert command is not None
            yield from _contexts(click.Context(command, info_name=name, parent=context))


def test_the_page_describes_every_parameter_of_the_list_of_experiments_and_no_other() -> None:
    declared = {parameter["name"] for parameter in openapi()["paths"]["/experiments"]["get"]["parameters"]}
    section = _API.partition("\n## Look experiments up\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section, re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"\w+", row)} | {"limit", "cursor"} == declared


@pytest.mark.parametrize("name", ["state", "outcome", "failure_category"])
def test_the_page_lists_every_value_of_a_filter_and_no_other(name: str) -> None:
    document = openapi()
    [parameter] = [one for one in document["paths"]["/experiments"]["get"]["parameters"] if one["name"] == name]
    declared = parameter["schema"]["anyOf"][0]
    values = declared.get("enum") or document["components"]["schemas"][declared["$ref"].rpartition("/")[2]]["enum"]
    [meaning] = re.findall(rf"^\| `{name}` \| (.*) \|$", _API, re.MULTILINE)
    assert re.findall(r"`(\w+)`", meaning) == values


def test_the_messages_that_troubleshooting_quotes_exist() -> None:
    files = [path for room in ("service", "dashboards") for path in (REPOSITORY / room).rglob("*.py")]
    sources = " ".join(" ".join(path.read_text().split()) for path in files)
    first_columns = re.findall(r"^\| ([^|]+) \|", read_page("troubleshooting.md"), re.MULTILINE)
    quoted = [part for cell in first_columns for text in re.findall(r"\*(.+?)\*", cell) for part in text.split("…")]
    phrases = {part.strip() for part in quoted if len(part.split()) > 1}
    assert len(phrases) > 5
    assert {phrase for phrase in phrases if phrase not in sources} == set()


def test_the_page_about_cloudevents_lists_every_act_and_every_property_and_no_other() -> None:
    rows = dict(re.findall(r"^\| `(type|data)` \| (.*) \|$", read_page("sources/cloudevents.md"), re.MULTILINE))
    words = {name: re.findall(r"`(\w+)`", meaning) for name, meaning in rows.items()}
    assert words["type"] == list(ACTS)
    assert set(words["data"]) == {"result", "links", *(data.name for data in DATA_PROPERTIES.values())}
