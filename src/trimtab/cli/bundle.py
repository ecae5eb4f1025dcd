"""`trimtab bundle`: build, show and ask the document that tells a root what each model takes."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.bundles.build import Progress
    from trimtab.bundles.bundle import Bundle
    from trimtab.bundles.consolidated import Lookup

_FILE = click.Path(path_type=Path, dir_okay=False)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group()
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
@click.option(
    "--gate",
    type=click.Choice(["freeze", "none"]),
    default="freeze",
    show_default=True,
    help="freeze: refuse a version whose inputs differ from any published under its model's name.",
)
@_JSON
def build(*, repository: Path, output: Path, name: str | None, previous: Path | None, gate: str, as_json: bool) -> None:
    """Read every artifact of a model repository and write a bundle.

    REPOSITORY is a folder of MODEL/VERSION/artifact, as Triton, TF Serving and KServe have it. The serial rises by one
    when anything changed, and the file is left alone when nothing did. A version whose inputs changed is refused with
    exit code 100: give it a model name of its own.

    \b
    Examples:
      trimtab bundle build models/ -o ads.json
      trimtab bundle build models/ -o ads.json --gate none --json | jq .serial
    """
    from trimtab.bundles.build import Gate, build_bundle
    from trimtab.bundles.bundle import read_bundle, write_bundle
    from trimtab.bundles.repository import ModelRepository

    before = read_bundle(previous or output) if previous is not None or output.exists() else None
    with _progress() as progress:
        built = build_bundle(
            ModelRepository(repository),
            name=name or (before.name if before is not None else output.name.partition(".")[0]),
            previous=before,
            gate=Gate(gate),
            progress=progress,
        )
    unchanged = built is before
    in_place = unchanged and previous in (None, output)
    if not in_place:
        write_bundle(output, built)
    if as_json:
        _print_json({**_summary(built), "path": str(output), "unchanged": unchanged})
        return
    _print_table(built)
    done = "nothing changed, left as it is" if in_place else "written"
    click.echo(f"{output}: {done}: bundle {built.name!r}, serial {built.serial}, {built.digest}")


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
        _print_json(_summary(loaded))
        return
    _print_table(loaded)
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


def _summary(loaded: Bundle) -> dict[str, object]:
    """A bundle without its name tables: what fits on a screen."""
    return {
        "name": loaded.name,
        "serial": loaded.serial,
        "created": loaded.created,
        "digest": loaded.digest,
        "models": {
            name: {
                "attested_stable": model.attested_stable,
                "versions": {
                    version: {
                        "digest": each.digest,
                        "input_digest": each.input_digest,
                        "format": each.format,
                        "allowed": len(loaded.allowlists[each.allowlist]),
                    }
                    for version, each in model.versions.items()
                },
            }
            for name, model in loaded.models.items()
        },
    }


def _print_table(loaded: Bundle) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from trimtab.signature.render import printable, short

    table = Table("model", "version", "format", "inputs allowed", "input digest", "attested stable", box=None)
    for name, model in loaded.models.items():
        for version, each in model.versions.items():
            table.add_row(
                Text(printable(name)),
                version,
                Text(printable(each.format)),
                str(len(loaded.allowlists[each.allowlist])),
                short(each.input_digest),
                "yes" if model.attested_stable else "no",
            )
    Console(highlight=False).print(table)


def _print_json(value: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2))


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A line on standard error that says what is being read; nothing when that is not a terminal."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with console.status("reading artifacts") as status:
        yield lambda done, total, version: status.update(
            Text(f"reading artifact {done + 1} of {total}: {version.model}:{version.version}")
        )
