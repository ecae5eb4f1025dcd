"""The table of lazy commands agrees with the commands themselves."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from trimtab.cli.commands import trimtab
from trimtab.cli.lazy import LazyGroup
from trimtab.cli.main import main


def commands(group: click.Group, prefix: str = "trimtab") -> Iterator[tuple[str, click.Command, str | None]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{prefix} {name}", command, group.lazy[name].purpose if isinstance(group, LazyGroup) else None
        if isinstance(command, click.Group):
            arguments = "".join(
                f" {each.make_metavar(context)}" for each in command.params if isinstance(each, click.Argument)
            )
            yield from commands(command, f"{prefix} {name}{arguments}")


ALL = list(commands(trimtab))


@pytest.mark.parametrize(("name", "command", "purpose"), ALL, ids=[name for name, _, _ in ALL])
def test_every_command_says_what_it_does_and_shows_an_example(
    name: str, command: click.Command, purpose: str | None
) -> None:
    assert command.help
    first = command.help.split("\n\n")[0].replace("\n", " ").strip()
    assert purpose is None or first == purpose
    if not isinstance(command, click.Group):
        assert "Example" in command.help
        assert f"{name} " in command.help


@pytest.mark.parametrize(("name", "command", "purpose"), ALL, ids=[name for name, _, _ in ALL])
def test_every_option_has_help(name: str, command: click.Command, purpose: str | None) -> None:
    silent = [each.name for each in command.params if isinstance(each, click.Option) and not each.help]
    assert not silent, f"{name}: {silent}"


def test_wrong_usage_exits_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no-such-command"]) == 2
    assert "no-such-command" in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("trimtab, version ")
