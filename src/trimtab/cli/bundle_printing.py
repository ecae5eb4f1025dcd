"""How `trimtab bundle` prints a bundle and a build: a table for people, an object for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from trimtab.cli.columns import in_columns

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trimtab.bundles.building.build import Built
    from trimtab.bundles.bundle import Bundle

_MOST_ROWS = 20
"""A build lists so many versions that are new or changed; `bundle show` lists all."""


def print_built(built: Built, before: Bundle | None, output: Path, *, written: bool) -> None:
    """What a build did: what is new in the bundle, what the gate let through, and how much was read."""
    from trimtab.bundles.building.refusals import comparison_lines
    from trimtab.signature.render import printable

    fresh = _fresh(built.bundle, before)
    if fresh:
        click.echo(bundle_table(built.bundle, fresh[:_MOST_ROWS]))
        if len(fresh) > _MOST_ROWS:
            click.echo(f"... and {len(fresh) - _MOST_ROWS:,} more: trimtab bundle show {output}")
    for comparison in built.judgement.comparisons:
        click.echo("\n".join(comparison_lines([comparison])))
    for waived in built.judgement.waived:
        click.echo(f"waived: {printable(waived.change.model)}: {printable(waived.change.where)}: {waived.waiver}")
    for problem in built.judgement.problems:
        click.echo(f"{problem.level} {problem.rule}: {printable(problem.sentence)}")
    for note in built.notes:
        click.echo(f"note: {printable(note)}", err=True)
    click.echo(f"{built.read:,} read, {built.indexed:,} known from the index")
    bundle = built.bundle
    done = "written" if written else "nothing changed, left as it is"
    click.echo(f"{output}: {done}: bundle {bundle.name!r}, serial {bundle.serial}, {bundle.digest}")


def built_as_dict(built: Built, output: Path) -> dict[str, object]:
    """A build as the object that `--json` prints."""
    from trimtab.bundles.building.refusals import judgement_as_dict

    return {
        **bundle_as_dict(built.bundle),
        "path": str(output),
        "unchanged": not built.changed,
        "read": built.read,
        "indexed": built.indexed,
        **judgement_as_dict(built.judgement),
        "notes": list(built.notes),
    }


def bundle_as_dict(loaded: Bundle) -> dict[str, object]:
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
                "published": model.published,
            }
            for name, model in loaded.models.items()
        },
    }


def bundle_table(loaded: Bundle, versions: Iterable[tuple[str, str]] | None = None) -> str:
    """A line for each version, or for those given by model and version."""
    from trimtab.signature.render import printable, short

    header = ("model", "version", "format", "inputs allowed", "digest", "input digest", "attested stable")
    rows = [header]
    for name, version in _all_versions(loaded) if versions is None else versions:
        model = loaded.models[name]
        each = model.versions[version]
        rows.append(
            (
                printable(name),
                version,
                printable(each.format),
                str(len(loaded.allowlists[each.allowlist])),
                short(each.digest),
                short(each.input_digest),
                "yes" if model.attested_stable else "no",
            )
        )
    return "\n".join(in_columns(rows, right=(1, 3)))


def _all_versions(loaded: Bundle) -> list[tuple[str, str]]:
    return [(name, version) for name, model in loaded.models.items() for version in model.versions]


def _fresh(bundle: Bundle, before: Bundle | None) -> list[tuple[str, str]]:
    """The versions that the bundle before had not, or had otherwise."""
    if before is None:
        return _all_versions(bundle)
    known = before.models
    return [
        (name, version)
        for name, version in _all_versions(bundle)
        if name not in known
        or version not in known[name].versions
        or known[name].versions[version].digest != bundle.models[name].versions[version].digest
    ]
