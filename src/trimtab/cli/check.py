"""`trimtab check`: the stability gate. A new version whose signature changed is refused."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli.change_forms import FORMS
from trimtab.cli.check_output import Outcome, as_printed
from trimtab.cli.exit_codes import EXIT_ERROR, EXIT_REFUSED
from trimtab.cli.progress import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimtab.stability import Change
    from trimtab.stability.configuration import Configuration
    from trimtab.stability.waivers import Waiver


@click.command()
@click.argument("new", metavar="NEW")
@click.option(
    "--against",
    required=True,
    metavar="OLD",
    help="What NEW is held against: a version, or a repository, a bundle or a store of them.",
)
@click.option("--model", default="", help="The model's name.  [default: of MODEL/VERSION/artifact]")
@click.option(
    "--config", type=click.Path(path_type=Path), help="The trimtab.toml.  [default: the nearest one above NEW]"
)
@click.option(
    "--category",
    type=click.Choice(["FREEZE", "SCHEMA", "FEED", "WIRE"], case_sensitive=False),
    help="Hold every model to this category, whatever the configuration says.",
)
@click.option(
    "--write-waivers",
    "waivers",
    is_flag=False,
    flag_value="-",
    metavar="[FILE]",
    help="Propose a waiver for each change that is refused: print them, or append them to a trimtab.toml.",
)
@click.option("--jobs", type=click.IntRange(1), help="Processes that read.  [default: one per processor when it pays]")
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True, help="How to print.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; the same as --format json.")
def check(
    *,
    new: str,
    against: str,
    model: str,
    config: Path | None,
    category: str | None,
    waivers: str | None,
    jobs: int | None,
    form: str,
    as_json: bool,
) -> int:
    """Refuse a new version of a model whose signature changed.

    NEW is a version, which is held against OLD or against its model's version in OLD; or a repository or a bundle,
    each of whose versions is held against the one that is live in OLD, or before it. A version is an artifact, its
    folder models/ctr/8, models#ctr:8, or an entry ads.json#ctr:8 of a bundle; of a store, what is in production counts
    (STORE@canary: at the canary). trimtab.toml says what each model is held to; without one, nothing may change. Exit
    code 100 when a change is refused, 1 when something could not be read: everything else is still reported.

    \b
    Examples:
      trimtab check incoming/ctr/8/model.onnx --against models/
      trimtab check models/ --against models/ --format github
      trimtab check ads.json --against deploy/store
      trimtab check models/ --against deploy/store --write-waivers trimtab.toml
    """
    form = "json" if as_json else form
    if waivers == "-" and form != "text":
        raise click.UsageError(f"--write-waivers prints, and so does --format {form}: name a file to append them to.")
    from trimtab.bundles.comparing.checking import hold
    from trimtab.bundles.comparing.succession import successors
    from trimtab.stability import Category
    from trimtab.stability.gate import judged
    from trimtab.stability.proposing import as_toml, proposed

    configuration, configured_by = _configuration(config, new)
    succession = successors(new, against, model)
    if model and succession.whole:
        raise click.UsageError(f"--model names the model of one version, and {new} holds many.")
    today = datetime.datetime.now(datetime.UTC).date()
    held_to = Category(category.upper()) if category else None
    with counted("comparing", len(succession.successors)) as advance:
        held = hold(succession, configuration, today, category=held_to, jobs=jobs, advance=advance)
    models = None if succession.whole else {each.model for each in succession.successors}
    verdict = judged([change for each in held for change in each.changes], configuration, today, models)
    printed = as_printed(form, Outcome(held, verdict, succession.notes, configured_by))
    if waivers is not None:
        proposals = proposed(verdict.changes, today)
        if waivers == "-":
            click.echo(printed, err=True)
            printed = as_toml(proposals).rstrip()
        else:
            _write(waivers, proposals)
    if printed:
        click.echo(printed)
    if any(each.error is not None for each in held):
        return EXIT_ERROR
    return EXIT_REFUSED if verdict.refused else 0


def _configuration(given: Path | None, new: str) -> tuple[Configuration, str]:
    """The configuration, and the file that it is of; the defaults and the file's usual name where there is none."""
    from trimtab.bundles.comparing.references import parse_reference
    from trimtab.stability.configuration import FILE_NAME, Configuration, configuration_file, read_configuration

    place = parse_reference(new).place
    found = os.fspath(given) if given is not None else configuration_file("." if "://" in place else place)
    return (read_configuration(found), found) if found else (Configuration(), FILE_NAME)


def _write(path: str, proposals: Mapping[Waiver, Change]) -> None:
    """Append proposals to a configuration, in one step; a new file where there is none."""
    from trimtab.bundles.atomic import write_atomically
    from trimtab.stability.configuration import configuration_text
    from trimtab.stability.proposing import appended

    if proposals:
        text = configuration_text(path) if os.path.lexists(path) else ""
        write_atomically(Path(os.path.realpath(path)), appended(text, proposals, path).encode())
    what = f"{len(proposals)} waiver{'' if len(proposals) == 1 else 's'} proposed in {path}"
    advice = ": give each a reason and an owner, or remove it; until then the file is refused" if proposals else ""
    click.echo(f"{what}{advice}", err=True)
