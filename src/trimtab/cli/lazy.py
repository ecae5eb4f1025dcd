"""Groups of commands: in the order in which they are used, and imported, where that costs, only when one is called.

The help of a group needs each command's name and one line; importing servers and frameworks for that would cost
seconds. The line is kept beside the name, and a test holds it equal to the command's own first line.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import click

from trimtab.cli.other_words import for_command

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class LazyCommand(NamedTuple):
    """Where a command lives (`package.module:attribute`) and its one-line purpose."""

    target: str
    purpose: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self.target.partition(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.target} is not a click command")
        return command


class OrderedGroup(click.Group):
    """A group that lists its commands in the order in which they were added, and knows other tools' words for them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Names, in the order of their adding."""
        return [*self.commands]

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of a word. An unknown one is answered with the one that may be meant."""
        word = args[0]
        if not ctx.resilient_parsing and not word.startswith("-") and self.get_command(ctx, word) is None:
            group = ctx.command_path.split()[1:]
            advice = for_command(word, group, self.list_commands(ctx), list(_paths(ctx.find_root())))
            raise click.UsageError(f"No such command {word!r}. {advice}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands, with the whole first sentence of each."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, each.get_short_help_str(_WHOLE)) for name, each in commands if each is not None])


_WHOLE = 1000


def _paths(root: click.Context) -> Iterator[str]:
    """Every command of one and of two words."""
    if not isinstance(root.command, click.Group):
        return
    for name in root.command.list_commands(root):
        yield name
        command = root.command.get_command(root, name)
        if isinstance(command, click.Group):
            yield from (f"{name} {each}" for each in command.list_commands(root))


class LazyGroup(OrderedGroup):
    """A group over a table of lazy commands, listed in the table's order."""

    def __init__(self, *args: object, lazy: Mapping[str, LazyCommand], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # handed through untouched
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click's signature
        """Names, in the table's order."""
        return [*self.lazy]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import and return one command."""
        return self.lazy[cmd_name].load() if cmd_name in self.lazy else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.lazy[name].purpose) for name in self.list_commands(ctx)])
