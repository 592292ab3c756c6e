"""The generated parts of the documentation: the reference of commands, and the tables of endpoints, problems and acts.

A generated part lies between `<!-- generated: NAME; run make docs -->` and `<!-- end of NAME -->`. After a change to a
command, an endpoint, a problem or an act, run `make docs`, or `python -m tests.support.reference`.
"""

import re
import textwrap
from collections.abc import Callable, Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Any

import click

from service.api.http.auth import BEARER
from service.api.http.problems import PROBLEMS
from service.app import create_app
from service.cli import main
from service.storage.database import Database
from tests.support.paths import DOCS
from tests.support.road import RULES, settings
from tests.support.serving import UNREACHABLE
from tests.support.vocabulary import acts_table

_PART = re.compile(
    r"(?P<begin><!-- generated: (?P<name>\w+); run make docs -->\n).*?(?P<end><!-- end of (?P=name) -->)", re.DOTALL
)
_WIDTH = 120


def pages() -> list[Path]:
    """The pages that have generated parts."""
    return [page for page in sorted(DOCS.rglob("*.md")) if _PART.search(page.read_text())]


def fill(text: str) -> str:
    """The text of a page with its generated parts written anew."""
    return _PART.sub(lambda part: f"{part['begin']}\n{_PARTS[part['name']]()}\n\n{part['end']}", text)


def _commands() -> str:
    return "\n\n".join(_describe(click.Context(main, info_name="loopgauge", **main.context_settings)))


def _describe(context: click.Context) -> Iterator[str]:
    """Describe a command, and each command of a group."""
    command = context.command
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"### {context.command_path}", f"`{usage}`", *_paragraphs(command.help or ""), *_options(context)]
    yield "\n\n".join(parts)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from _describe(click.Context(found, info_name=name, parent=context))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in cleandoc(text).replace("\b\n", "").split("\n\n"):
        yield textwrap.fill(paragraph, _WIDTH, break_long_words=False, break_on_hyphens=False)


def _options(context: click.Context) -> Iterator[str]:
    """A table of the options, except `--help`, which every command has."""
    options = [parameter for parameter in context.command.params if isinstance(parameter, click.Option)]
    records = [option.get_help_record(context) for option in options]
    rows = [f"| `{_cell(names)}` | {_cell(meaning)} |" for names, meaning in filter(None, records)]
    if rows:
        yield "\n".join(["| option | meaning |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def openapi() -> Mapping[str, Any]:
    """The OpenAPI document of a service with no tokens, which listens on loopback."""
    return create_app(settings(), RULES, Database(UNREACHABLE, pool_size=1)).app.openapi()


def _endpoints() -> str:
    rows = [
        f"| `{method.upper()} {path}` | {operation['summary']} | {_proof(operation.get('security', []))} |"
        for path, methods in sorted(openapi()["paths"].items())
        for method, operation in sorted(methods.items())
    ]
    return "\n".join(["| endpoint | does | needs |", "|---|---|---|", *rows])


def _proof(security: list[Mapping[str, Any]]) -> str:
    schemes = [name for scheme in security for name in scheme]
    if not schemes:
        return "nothing"
    if {} in security:
        return "a token, unless the endpoint is open"
    ways = {"a token": BEARER in schemes, "a signature or secret": any(name != BEARER for name in schemes)}
    return " or ".join(way for way, possible in ways.items() if possible)


def _problems() -> str:
    rows = sorted(
        f"| {int(problem.status)} | `{problem.slug}` | {_cell(_first_paragraph(error))} |"
        for error, problem in PROBLEMS.items()
    )
    return "\n".join(["| status | type | means |", "|---|---|---|", *rows])


def _first_paragraph(error: type[Exception]) -> str:
    return cleandoc(error.__doc__ or "").partition("\n\n")[0]


_PARTS: Mapping[str, Callable[[], str]] = {
    "commands": _commands,
    "endpoints": _endpoints,
    "problems": _problems,
    "acts": acts_table,
}


if __name__ == "__main__":
    for page in pages():
        page.write_text(fill(page.read_text()))
