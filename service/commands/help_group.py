"""A group of commands that prints its help by default."""

import click


class HelpGroup(click.Group):
    """A group that prints its help if it has no arguments. Click's own group would exit with an error."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)
