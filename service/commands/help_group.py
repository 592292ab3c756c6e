"""A group of commands that prints its help by default, and refuses empty arguments of its commands."""

from collections.abc import Mapping

import click


class HelpGroup(click.Group):
    """A group that prints its help if it has no arguments. Click's own group would exit with an error."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if command is not None and not isinstance(command, click.Group):
            _refuse_blank(click.Context(command, parent=ctx, info_name=name, **command.context_settings), rest)
        return name, command, rest


def _refuse_blank(context: click.Context, args: list[str]) -> None:
    """End the process with one line if an argument or the value of an option is blank.

    A script passes such a value if its own variable is empty. Some values would then mean something else: the current
    directory, all teams, or the local database.
    """
    given, _, _ = context.command.make_parser(context).parse_args(list(args))
    asks_for_help = (option := context.command.get_help_option(context)) is not None and given.get(option.name or "")
    for parameter in () if asks_for_help else context.command.params:
        if _is_blank(given.get(parameter.name or "")):
            from service.commands.running import fail

            fail(f"{_label(parameter, context)} is empty; {_remedy(parameter)}", status=2)


def _is_blank(value: object) -> bool:
    match value:
        case str():
            return not value.strip()
        case list() | tuple():
            return any(map(_is_blank, value))
        case _:
            return False


def _label(parameter: click.Parameter, context: click.Context) -> str:
    if isinstance(parameter, click.Option):
        return max(parameter.opts, key=len)
    return parameter.make_metavar(context).strip("[].")


_REFERENCE = "a reference such as github:acme/app#45 or ML-12, or the address in your browser"
_DELIVERY = "the id of a delivery, as `loopgauge deliveries list` shows it"
_EXPECTED: Mapping[str, str] = {
    "reference": _REFERENCE,
    "ref": _REFERENCE,
    "delivery": _DELIVERY,
    "ids": _DELIVERY,
    "url": "an address such as https://loopgauge.example.com",
    "learning_url": "an address such as https://wiki.example.com/cache",
    "token": "a token, or @ and the name of a file with a token",
    "team": "the name of a team",
    "source": "the name of a source, such as github",
    "header_lines": "a header such as 'X-GitHub-Event: issues'",
    "labels": "a label such as job=loopgauge",
    "file": "the name of a rules file",
    "body": "the name of a file with the body of a delivery, or - for standard input",
    "data_dir": "the name of a directory",
    "output": "the name of a file",
    "host": "an address such as 127.0.0.1",
    "window": "a length of time such as 90d",
    "step": "a length of time such as 1d",
}
"""The expected values of parameters. The types of the other parameters describe them."""


def _remedy(parameter: click.Parameter) -> str:
    choices = getattr(parameter.type, "choices", ())
    of_type = f"one of {', '.join(choices)}" if choices else "a value"
    if isinstance(parameter.type, click.DateTime):
        of_type = "a time such as 2026-01-31, or how long ago it was, such as 2d"
    elif isinstance(parameter.type, click.types.IntParamType):
        of_type = "a whole number"
    expected = _EXPECTED.get(parameter.name or "", of_type)
    may_omit = isinstance(parameter, click.Option) and not parameter.required
    return f"give {expected}{', or omit the option' if may_omit else ''}"
