"""`trimtab diff`: what changed between two signatures, who breaks by it, and what to do."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from trimtab.cli.exit_codes import EXIT_REFUSED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.stability import Change

FORMS = ("text", "json", "github", "sarif", "junit", "gitlab")


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
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; the same as --format json.")
def diff(*, old: str, new: str, category: str, form: str, as_json: bool) -> int:
    """Compare two signatures, and say who breaks by what changed.

    OLD and NEW are model files, folders or signature documents, of any formats. Exit code 100 when something changed
    that the category counts.

    \b
    Examples:
      trimtab diff models/ctr/7/model.onnx models/ctr/8/model.onnx
      trimtab diff old.pt new.pt2 --category FEED --json
    """
    from trimtab.artifacts import read_signature
    from trimtab.stability import RULES, Category
    from trimtab.stability import diff as changes_between

    held_to = Category(category.upper())
    changes = changes_between(read_signature(old), read_signature(new), held_to)
    if as_json or form == "json":
        found = {"old": old, "new": new, "category": held_to.value, "changes": [each.as_dict() for each in changes]}
        click.echo(json.dumps(found, ensure_ascii=False, indent=2))
    elif form == "text":
        click.echo(as_text(changes) or f"nothing changed under {held_to.value}")
    else:
        from trimtab.findings.reports import REPORTS, Checked

        click.echo(REPORTS[form]([Checked(new, changes)], RULES))
    return EXIT_REFUSED if changes else 0


def as_text(changes: Sequence[Change]) -> str:
    """The changes for a person: rule by rule, what changed, who breaks by it and what to do. Empty without changes."""
    from trimtab.signature.render import printable

    if not changes:
        return ""
    lines = []
    for name in dict.fromkeys(each.rule for each in changes):
        of_rule = [each for each in changes if each.rule == name]
        rule = of_rule[0].declaration
        lines.append(f"{of_rule[0].level} {name}")
        lines += [f"    {printable(each.where)}: {printable(each.sentence)}" for each in of_rule]
        lines += [f"  who breaks  {rule.breaks} ({rule.notice.value})", f"  what to do  {of_rule[0].remedy}"]
    count = f"{len(changes)} change{'s' if len(changes) > 1 else ''}"
    lines.append(f"{count}. What a rule is about: trimtab rules {changes[0].rule}")
    return "\n".join(lines)
