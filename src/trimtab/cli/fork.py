"""`trimtab fork`: give a version whose signature changed a model name of its own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli.change_forms import as_json as as_json_text
from trimtab.cli.completing import model_names
from trimtab.cli.store_option import who_options

if TYPE_CHECKING:
    from trimtab.bundles.forking.fork import Fork


@click.command()
@click.argument("repository", metavar="REPO", type=click.Path(path_type=Path))
@click.argument("model", shell_complete=model_names)
@click.argument("name", metavar="NEW_NAME")
@click.option(
    "--version",
    "versions",
    type=click.IntRange(1, 10**19 - 1),
    multiple=True,
    help="The version to fork; several become 1, 2, ...  [default: the highest]",
)
@click.option("--move", is_flag=True, help="Take the version away from MODEL once the fork is there.")
@click.option("--without-config", is_flag=True, help="Leave Triton's config.pbtxt behind.")
@who_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def fork(
    *,
    repository: Path,
    model: str,
    name: str,
    versions: tuple[int, ...],
    move: bool,
    without_config: bool,
    by: str,
    why: str,
    as_json: bool,
) -> None:
    """Make a new model out of a version whose signature changed.

    The version is copied to REPO/NEW_NAME/1, in one step, with Triton's config.pbtxt beside it, in which the name is
    changed. Where it comes from is written to trimtab-lineage.json. MODEL stays as it is, or with --move loses the
    version once the copy is complete.

    \b
    Examples:
      trimtab fork models/ ctr ctr_v2
      trimtab fork models/ ctr ctr_v2 --version 8 --move --why "takes the user's country"
    """
    from trimtab.bundles.forking.fork import fork_model

    done = fork_model(repository, model, name, versions, move=move, with_config=not without_config, by=by, why=why)
    if as_json:
        click.echo(as_json_text(_as_dict(done, repository)))
    else:
        click.echo(_text(done, repository))


def _as_dict(done: Fork, repository: Path) -> dict[str, object]:
    import msgspec

    return {
        "folder": str(done.folder),
        "moved": done.moved,
        "lineage": msgspec.to_builtins(done.lineage),
        "next": _next(done, repository),
    }


def _text(done: Fork, repository: Path) -> str:
    from trimtab.signature.render import printable, short

    lines = [
        printable(f"{done.folder / number}: forked from {origin.model}:{origin.version} ({short(origin.digest)})")
        for number, origin in done.lineage.versions.items()
    ]
    origin = next(iter(done.lineage.versions.values()))
    what = ", ".join(str(each.version) for each in done.lineage.versions.values())
    plural = "s" if len(done.lineage.versions) > 1 else ""
    if done.moved:
        lines.append(printable(f"{origin.model} no longer has version{plural} {what}. Next:"))
    else:
        lines.append(printable(f"{origin.model} still has version{plural} {what}. Take it away:"))
    lines += [f"  {printable(command)}" for command in _next(done, repository)]
    return "\n".join(lines)


def _next(done: Fork, repository: Path) -> list[str]:
    """The commands that are to follow."""
    from trimtab.bundles.forking.fork import fork_command

    place = shlex.quote(str(repository))
    origins = list(done.lineage.versions.values())
    away = fork_command(repository, origins[0].model, done.lineage.model, *(each.version for each in origins))
    return [*([] if done.moved else [away]), f"trimtab check {place} --against {place}"]
