"""`trimtab diff`: what changed between two signatures, who breaks by it, and what to do."""

from __future__ import annotations

import click

from trimtab.cli.change_forms import FORMS, as_json, as_report, change_lines, summary
from trimtab.cli.exit_codes import EXIT_REFUSED


@click.command()
@click.argument("old", type=click.Path())
@click.argument("new", type=click.Path())
@click.option(
    "--category",
    type=click.Choice(["FREEZE", "SCHEMA", "FEED", "WIRE"], case_sensitive=False),
    default="FREEZE",
    show_default=True,
    help="FREEZE: any change. SCHEMA: what callers rely on. FEED: requests of the old version. WIRE: their bytes.",
)
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True, help="How to print.")
@click.option("--json", "json_wanted", is_flag=True, help="Print one JSON object; the same as --format json.")
def diff(*, old: str, new: str, category: str, form: str, json_wanted: bool) -> int:
    """Compare two signatures, and say who breaks by what changed.

    OLD and NEW are model files, folders, URLs or signature documents, of any formats; versions of a repository
    (models/ctr/8, models#ctr:8, or models#ctr for the latest); entries of a bundle (ads.json#ctr:8) or of a store
    (STORE#ctr: in production, STORE@canary#ctr: at the canary). Exit code 100 when something changed that the category
    counts.

    \b
    Examples:
      trimtab diff models/ctr/7/model.onnx models/ctr/8/model.onnx
      trimtab diff models#ctr:7 models#ctr
      trimtab diff old.pt new.pt2 --category FEED --json
    """
    from trimtab.bundles.comparing.references import read_reference
    from trimtab.stability import Category
    from trimtab.stability import diff as changes_between

    held_to = Category(category.upper())
    changes = changes_between(read_reference(old), read_reference(new), held_to)
    if json_wanted or form == "json":
        found = {"old": old, "new": new, "category": held_to.value, "changes": [each.as_dict() for each in changes]}
        click.echo(as_json(found))
    elif form == "text":
        lines = [*change_lines(changes), summary(changes)] if changes else [f"nothing changed under {held_to.value}"]
        click.echo("\n".join(lines))
    else:
        from trimtab.findings.reports import Checked

        click.echo(as_report(form, [Checked(new, changes)]))
    return EXIT_REFUSED if changes else 0
