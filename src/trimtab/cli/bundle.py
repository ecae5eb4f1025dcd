"""`trimtab bundle`: build, show and ask the document that tells a root what each model takes."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli.bundle_printing import built_as_dict, bundle_as_dict, bundle_table, print_built
from trimtab.cli.change_forms import as_json as as_json_text
from trimtab.cli.lazy import OrderedGroup
from trimtab.cli.progress import progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trimtab.bundles.consolidated import Lookup

_FILE = click.Path(path_type=Path, dir_okay=False)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(cls=OrderedGroup)
def bundle() -> None:
    """Derive the allowlists of all models of a repository.

    A bundle is one file with the versions, signature digests and allowlists of the models in a repository. Roots load
    it, leaves check their artifacts against it.

    \b
    Example:
      trimtab bundle build models/ -o ads.json && trimtab bundle lookup ads.json ctr:7
    """


@bundle.command()
@click.argument("repository", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=_FILE, required=True, help="The bundle file to write, in one atomic step.")
@click.option("--name", help="The bundle's name.  [default: that of the previous bundle, or of the output file]")
@click.option("--previous", type=_FILE, help="The bundle that this one follows.  [default: the output file, if any]")
@click.option("--config", type=_FILE, help="The trimtab.toml.  [default: the nearest one above REPOSITORY]")
@click.option(
    "--category",
    type=click.Choice(["FREEZE", "SCHEMA", "FEED", "WIRE"], case_sensitive=False),
    help="Hold every model to this category, whatever the configuration says.",
)
@click.option(
    "--gate",
    type=click.Choice(["config", "none"]),
    default="config",
    show_default=True,
    help="config: refuse what `trimtab check` refuses. none: refuse nothing, and attest nothing.",
)
@click.option("--index", type=_FILE, help="Where what was read is remembered.  [default: beside the output file]")
@click.option("--no-index", is_flag=True, help="Read every artifact, and remember nothing.")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes that read.  [default: as many as processors]")
@_JSON
def build(
    *,
    repository: Path,
    output: Path,
    name: str | None,
    previous: Path | None,
    config: Path | None,
    category: str | None,
    gate: str,
    index: Path | None,
    no_index: bool,
    jobs: int | None,
    as_json: bool,
) -> None:
    """Read the artifacts of a model repository and write a bundle.

    REPOSITORY is a folder of MODEL/VERSION/artifact, as Triton, TF Serving and KServe have it. Artifacts that did not
    change since the last build are not read again. The serial rises by one when anything changed, and the file is left
    alone when nothing did. A version whose signature changed is refused with exit code 100, as trimtab.toml has it:
    give it a model name of its own.

    \b
    Examples:
      trimtab bundle build models/ -o ads.json
      trimtab bundle build models/ -o ads.json --category FEED --json | jq .serial
    """
    from trimtab.bundles.building.build import Gate, derive_bundle
    from trimtab.bundles.building.index import SignatureIndex, index_path
    from trimtab.bundles.building.indexing import check_index_path
    from trimtab.bundles.bundle import read_bundle, write_bundle
    from trimtab.bundles.repository import ModelRepository
    from trimtab.stability import Category
    from trimtab.stability.configuration import read_configuration

    if no_index and index is not None:
        raise click.UsageError("--index and --no-index exclude each other.")
    _check_output(output)
    if index is not None:
        check_index_path(index)
    before = read_bundle(previous or output) if previous is not None or os.path.isfile(output) else None
    with progress("reading artifacts") as told, SignatureIndex.beside(previous or output) as past:
        built = derive_bundle(
            ModelRepository(repository),
            name=name or (before.name if before is not None else output.name.partition(".")[0]),
            previous=before,
            gate=Gate(gate),
            configuration=read_configuration(config) if config is not None else None,
            category=Category(category.upper()) if category is not None else None,
            index=None if no_index else index or index_path(output),
            jobs=jobs,
            progress=told,
            past=past,
        )
    in_place = not built.changed and previous in (None, output)
    if not in_place:
        write_bundle(output, built.bundle)
    if as_json:
        _print_json(built_as_dict(built, output))
    else:
        print_built(built, before, output, written=not in_place)


@bundle.command()
@click.argument("file", type=_FILE)
@_JSON
def show(file: Path, as_json: bool) -> None:
    """Print what a bundle holds.

    FILE is checked as a root checks it when loading: schema, indices, digest.

    \b
    Example:
      trimtab bundle show ads.json
    """
    from trimtab.bundles.bundle import read_bundle

    loaded = read_bundle(file)
    if as_json:
        _print_json(bundle_as_dict(loaded))
        return
    click.echo(bundle_table(loaded))
    click.echo(f"bundle {loaded.name!r}, serial {loaded.serial}, created {loaded.created}, {loaded.digest}")


@bundle.command()
@click.argument("files", type=_FILE, nargs=-1, required=True, metavar="FILE...")
@click.argument("model", metavar="MODEL[:VERSION]")
@click.option(
    "--policy",
    type=click.Choice(["lenient", "strict"]),
    default="lenient",
    show_default=True,
    help="strict: an unknown version of a known model gets the latest version's allowlist.",
)
@_JSON
def lookup(files: tuple[Path, ...], model: str, policy: str, as_json: bool) -> None:
    """Ask bundles what a root that holds them would send to a model.

    Prints the outcome, the version whose allowlist is used, and the names that may be sent.

    \b
    Examples:
      trimtab bundle lookup ads.json ctr:7
      trimtab bundle lookup ads.json home.json ctr --policy strict --json | jq .outcome
    """
    from trimtab.bundles.bundle import read_bundle
    from trimtab.bundles.consolidated import ConsolidatedMap
    from trimtab.bundles.outcomes import MissPolicy

    bundles = ConsolidatedMap({str(file): read_bundle(file) for file in files})
    name, version = _model_and_version(model, frozenset(bundles.models))
    found = bundles.lookup(name, version, MissPolicy(policy))
    if as_json:
        _print_json(
            {
                "model": name,
                "version": version,
                "outcome": found.outcome,
                "version_used": found.version,
                "expected_digest": bundles.expected_digest(name, found.version or version),
                "allowlist": None if found.allowlist is None else sorted(found.allowlist),
                "notes": bundles.notes,
            }
        )
        return
    _print_lookup(found)
    for note in bundles.notes:
        click.echo(f"note: {note}", err=True)


def _model_and_version(text: str, known: frozenset[str]) -> tuple[str, str]:
    """A model's name may hold a colon: the whole text is tried first."""
    if text in known or ":" not in text:
        return text, ""
    name, _, version = text.rpartition(":")
    return name, version


def _print_lookup(found: Lookup) -> None:
    from trimtab.signature.render import printable

    if found.allowlist is None:
        click.echo(f"{found.outcome}: passes through untrimmed")
        return
    origin = f"version {found.version}" if found.version is not None else "all versions together"
    click.echo(f"{found.outcome}: {len(found.allowlist)} names, of {origin}")
    for name in sorted(found.allowlist):
        click.echo(f"  {printable(name)}")


def _print_json(facts: Mapping[str, object]) -> None:
    click.echo(as_json_text(facts))


def _check_output(output: Path) -> None:
    """Say so before reading 10,000 artifacts."""
    from trimtab.errors import BundleError

    if not os.path.isdir(output.parent):
        raise BundleError(
            "cannot be written",
            where=str(output),
            expected="a folder that is there",
            got="none",
            hint=f"Make it: mkdir -p {shlex.quote(str(output.parent))}",
        )
    if os.path.exists(output) and not os.path.isfile(output):
        raise BundleError(
            "cannot be written",
            where=str(output),
            expected="a bundle, or nothing there",
            got="something that is no file",
        )
