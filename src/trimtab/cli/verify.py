"""`trimtab verify`: whether the places where a SavedModel declares its signatures agree, and what a rule is about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from trimtab.findings import Finding

EXIT_FINDINGS = 100


@click.command()
@click.argument("model", type=click.Path(), required=False)
@click.option("--rule", "only", multiple=True, metavar="RULE", help="Run only this rule; may be given several times.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Leave this rule out; may be given several times.")
@click.option("--strict", is_flag=True, help="Refuse warnings too, and not only errors.")
@click.option("--notes", is_flag=True, help="Also show what is as TensorFlow wrote it, and yet surprises.")
@click.option("--explain", metavar="RULE", help="Print what a rule is about, and check nothing; 'all' lists the rules.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def verify(
    *,
    model: str | None,
    only: tuple[str, ...],
    ignore: tuple[str, ...],
    strict: bool,
    notes: bool,
    explain: str | None,
    as_json: bool,
) -> int:
    """Check that the places where a SavedModel declares its signatures agree.

    MODEL is a SavedModel's directory. The five places are compared with each other, with the graph and, where it lies
    beside them, with the checkpoint. TensorFlow loads many a model in which they differ, and answers with wrong
    numbers. Exit code 100 when there are errors.

    \b
    Examples:
      trimtab verify model/
      trimtab verify model/ --strict --json | jq '.findings[].rule'
      trimtab verify --explain SIGNATURE_FEED
    """
    from trimtab.findings import Level, worst
    from trimtab.savedmodel.verifying import RULES
    from trimtab.savedmodel.verifying import verify as findings_of

    _check_names([*only, *ignore, *([explain] if explain not in (None, "all") else [])], RULES)
    if explain is not None:
        click.echo(_pages(explain, as_json=as_json))
        return 0
    if model is None:
        raise click.UsageError("Missing argument 'MODEL'.")
    findings = findings_of(model, only=only, ignore=ignore, notes=notes)
    refused = worst(findings) is Level.ERROR or (strict and worst(findings) is Level.WARNING)
    if as_json:
        summary = {"model": model, "refused": refused, "findings": [finding.as_dict() for finding in findings]}
        click.echo(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        click.echo(_table(model, findings))
    return EXIT_FINDINGS if refused else 0


def _check_names(names: Sequence[str], known: Collection[str]) -> None:
    import difflib

    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name.upper(), list(known), n=1)
            hint = f" Did you mean {near[0]}?" if near else " List them all: trimtab verify --explain all"
            raise click.UsageError(f"No rule is called {name!r}.{hint}")


def _pages(name: str, *, as_json: bool) -> str:
    from trimtab.savedmodel.verifying import RULES

    chosen = RULES.values() if name == "all" else [RULES[name]]
    if as_json:
        rules = [{"rule": each.name, "level": each.level.value, "page": each.page} for each in chosen]
        return json.dumps({"rules": rules}, ensure_ascii=False, indent=2)
    if name == "all":
        width = max(map(len, RULES))
        return "\n".join(f"{each.name:{width}}  {each.level.value:7}  {each.law}" for each in chosen)
    return "\n\n".join(f"{each.name} ({each.level.value})\n\n{each.page}" for each in chosen)


def _table(model: str, findings: Sequence[Finding]) -> str:
    """The findings for a person: what, then where below it."""
    from trimtab.signature.render import printable

    if not findings:
        return f"{printable(model)}: the five places agree"
    lines = []
    for finding in findings:
        lines.append(f"{finding.level.value} {finding.rule}: {printable(finding.sentence)}")
        lines.append(f"  {printable(finding.where)}")
    counts: dict[str, int] = {}
    for finding in findings:
        counts[finding.level.value] = counts.get(finding.level.value, 0) + 1
    total = ", ".join(f"{count} {level}{'s' if count > 1 else ''}" for level, count in counts.items())
    lines.append(f"{total}. What a rule is about: trimtab verify --explain {findings[0].rule}")
    return "\n".join(lines)
