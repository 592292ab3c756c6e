"""Every command has help, and wrong usage has a clear error."""

import re
from collections.abc import Iterator, Sequence

import click
import pytest

from service.cli import main
from service.lifecycle.acts import COMMANDS
from tests.support.commands import invoke
from tests.support.paths import REPOSITORY
from tests.support.serving import UNREACHABLE

# `serve` and `demo` run until they are stopped and print no result, `export-history` prints OpenMetrics, and
# `postgres` runs a program of PostgreSQL.
_WITHOUT_JSON = {"serve", "sign-in", "demo", "export-history", "postgres"}
_DELIVERY = "00000000-0000-0000-0000-000000000001"


def _commands() -> Iterator[tuple[list[str], click.Command]]:
    """Yield every command with the words that invoke it."""
    pending: list[tuple[list[str], click.Command]] = [([], main)]
    while pending:
        words, command = pending.pop()
        yield words, command
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                subcommand = command.get_command(context, name)
                assert subcommand is not None, name
                pending.append(([*words, name], subcommand))


def test_every_command_is_listed() -> None:
    listed = {words[0] for words, _ in _commands() if words}
    files = {file.stem for file in (REPOSITORY / "service" / "commands").glob("*.py")}
    others = {
        "__init__",
        "acts",
        "address",
        "client",
        "demo_session",
        "faults",
        "help_group",
        "listening",
        "listing",
        "local_service",
        "options",
        "running",
        "table",
    }
    assert {name.replace("-", "_") for name in listed - set(COMMANDS)} == files - others
    assert set(COMMANDS) <= listed


@pytest.mark.parametrize("words", [words for words, _ in _commands()], ids=" ".join)
def test_each_command_prints_its_help_in_eighty_columns(words: list[str]) -> None:
    ended = invoke(*words, "-h")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Usage: loopgauge")
    assert max(map(len, ended.stdout.splitlines())) <= 80


@pytest.mark.parametrize("words", [[], ["deliveries"], ["experiments"], ["rules"]], ids=" ".join)
def test_a_command_group_without_arguments_prints_its_help(words: list[str]) -> None:
    assert invoke(*words).stdout == invoke(*words, "--help").stdout
    assert invoke(*words).returncode == 0


def test_each_command_that_prints_a_result_can_print_it_as_json() -> None:
    assert {
        " ".join(words)
        for words, command in _commands()
        if not isinstance(command, click.Group) and "as_json" not in {option.name for option in command.params}
    } == _WITHOUT_JSON


def test_no_line_about_a_command_is_cut() -> None:
    for words, command in _commands():
        if isinstance(command, click.Group):
            assert "..." not in invoke(*words, "-h").stdout.replace("[ARGS]...", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["experiments", "list", "--limit", "0"], "expected a whole number of 1 or more, got '0'"),
        (["serve", "--port", "http"], "expected a whole number from 0 to 65535, got 'http'"),
        (["serve", "--role", "wroker"], "expected one of all, api, worker; did you mean worker?"),
        (
            ["deliveries", "show", "1"],
            "expected the id of a delivery, as `loopgauge deliveries list` shows it, got '1'",
        ),
    ],
)
def test_a_malformed_value_is_refused_with_the_expected_one(arguments: list[str], message: str) -> None:
    ended = invoke(*arguments, DATABASE_URL=UNREACHABLE)
    assert ended.returncode == 2
    assert ended.stderr.splitlines()[-1].endswith(message)


def _with_a_blank(words: list[str], command: click.Command) -> Iterator[tuple[list[str], str]]:
    """Yield the arguments of a command with one blank value, and the name of this value."""
    needed = [parameter for parameter in command.params if isinstance(parameter, click.Argument)]
    for place, argument in enumerate(needed):
        values = [" " if other == place else "x" for other in range(len(needed))]
        yield [*words, *values], argument.make_metavar(click.Context(command)).strip("[].")
    for option in command.params:
        if isinstance(option, click.Option) and not option.is_flag:
            yield [*words, *("x" for _ in needed), option.opts[0], ""], option.opts[0]


@pytest.mark.parametrize(
    ("words", "command"), [each for each in _commands() if not isinstance(each[1], click.Group)], ids=str
)
def test_an_empty_argument_is_refused_in_one_line_with_the_remedy(words: list[str], command: click.Command) -> None:
    for arguments, name in _with_a_blank(words, command):
        ended = invoke(*arguments, DATABASE_URL=UNREACHABLE)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert re.fullmatch(rf"loopgauge: {re.escape(name)} is empty; give .+\n", ended.stderr), arguments


def test_help_is_printed_beside_an_empty_argument() -> None:
    assert invoke("explain", "", "-h").stdout == invoke("explain", "-h").stdout


def test_a_misspelt_command_is_refused_and_the_error_suggests_the_nearest_command() -> None:
    ended = invoke("deliverys", "list")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "Did you mean 'deliveries'?" in ended.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["dance"],
        ["serve", "--port", "http"],
        ["deliveries", "retry"],
        ["deliveries", "retry", _DELIVERY, "--failed"],
        ["deliveries", "retry", _DELIVERY, "--source", "github"],
        ["deliveries", "retry", "--since", "2026"],
        ["deliveries", "retry", "1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_of_a_command_exits_with_status_two(arguments: Sequence[str]) -> None:
    ended = invoke(*arguments, DATABASE_URL=UNREACHABLE)
    assert (ended.returncode, ended.stdout) == (2, "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--since", "2026-05-02", "--until", "2026-05-01"],
            "--since is after --until; give an earlier --since, or a later --until",
        ),
        (["--step", "daily"], "expected a duration such as 90s, 15m, 6h, 14d or 2 weeks"),
        (["--label", "instance"], "expected a label such as job=loopgauge, got 'instance'"),
        (["--label", "__name__=a"], "expected a label such as job=loopgauge"),
    ],
)
def test_wrong_options_of_export_history_are_refused_with_the_reason(options: list[str], message: str) -> None:
    ended = invoke("export-history", *options, DATABASE_URL=UNREACHABLE)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert message in ended.stderr


def test_a_scorecard_window_that_is_too_short_is_refused() -> None:
    ended = invoke("scorecard", "--window", "59m", DATABASE_URL=UNREACHABLE)
    assert ended.returncode == 2
    assert "expected a window such as 36h, 90d or 2 weeks" in ended.stderr
