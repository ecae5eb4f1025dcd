"""Write docs/cli.md from the help texts of the commands.

    python docs/cli_reference.py > docs/cli.md

A test compares the page with what this prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from trimtab.cli.commands import trimtab

INTRODUCTION = """\
# Command line

Generated from the commands' own help: `python docs/cli_reference.py > docs/cli.md`.

Exit codes: 0 done, 1 error, 2 wrong usage, 100 refused on purpose. With `--json`, results and errors are JSON on
standard output. Progress goes to standard error, and only to a terminal. Completion:
`eval "$(_TRIMTAB_COMPLETE=bash_source trimtab)"` (or `zsh_source`, `fish_source`).
"""


def commands(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[tuple[str, str]]:
    """Every command below and including this one, with its help."""
    context = click.Context(
        command, info_name=name.rpartition(" ")[2], parent=parent, terminal_width=100, max_content_width=100
    )
    yield name, command.get_help(context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            assert inner is not None
            yield from commands(inner, f"{name} {each}", context)


def reference() -> str:
    """The whole page."""
    sections = [f"## {name}\n\n```text\n{text.rstrip()}\n```\n" for name, text in commands(trimtab, "trimtab")]
    return "\n".join([INTRODUCTION, *sections])


if __name__ == "__main__":
    sys.stdout.write(reference())
