"""A group of commands that helps where nothing is asked for."""

import click


class Helping(click.Group):
    """Without arguments it prints its help, which is no error: whoever asks for nothing wants to know what there is."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args and not ctx.resilient_parsing:
            click.echo(ctx.get_help())
            ctx.exit()
        return super().parse_args(ctx, args)
