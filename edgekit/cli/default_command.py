"""A group with a default command: arguments whose first word names none of its commands go to that one."""

from __future__ import annotations

import click


class DefaultGroup(click.Group):
    """``edgekit bench B --threads 2`` runs the command ``default`` with everything behind ``bench``.

    Only the first word decides; a file called like a command is given as ``./compare``. The group's help is that of the
    default command, with the others listed below it.
    """

    def __init__(self, *args, default: str, **options):
        super().__init__(*args, **options)
        self.default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ctx.help_option_names:
            args = [self.default, *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        command = self.commands[self.default]
        inner = click.Context(command, info_name=ctx.command_path, help_option_names=ctx.help_option_names)
        command.format_usage(inner, formatter)
        command.format_help_text(inner, formatter)
        command.format_options(inner, formatter)
        self.format_commands(ctx, formatter)
        command.format_epilog(inner, formatter)
