"""`trimtab verify`: whether what a model declares of its inputs and outputs is true of it, and what a rule is about."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from trimtab.cli.exit_codes import EXIT_REFUSED
from trimtab.cli.rule_names import check_rule_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trimtab.artifacts.verifying import Verification


@click.command()
@click.argument("model", type=click.Path(), required=False)
@click.option("--rule", "only", multiple=True, metavar="RULE", help="Run only this rule; may be given several times.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Leave this rule out; may be given several times.")
@click.option("--strict", is_flag=True, help="Refuse warnings too, and not only errors.")
@click.option("--notes", is_flag=True, help="Also show what refuses no model, and is good to know.")
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
    """Check that what a model declares of its inputs and outputs is true.

    MODEL is a model file or folder of any format that is read. Its signature document is compared with its graph, and
    every contradiction is listed; names and constraints are checked. Of a SavedModel, the five places that declare its
    signatures are compared with each other, with the graph and, where it lies beside them, with the checkpoint:
    TensorFlow loads many a model in which they differ, and answers with wrong numbers. Exit code 100 when there are
    errors, 1 when the model cannot be read or is of a kind that is refused.

    \b
    Examples:
      trimtab verify model.onnx
      trimtab verify saved_model_folder/ --strict --json | jq '.findings[].rule'
      trimtab verify --explain SIGNATURE_CONTRADICTED
    """
    if explain is not None or only or ignore:
        from trimtab.artifacts.verifying import rules

        check_rule_names(
            [*only, *ignore, *([explain] if explain not in (None, "all") else [])],
            rules(),
            listed_by="trimtab verify --explain all",
        )
    if explain is not None:
        click.echo(_pages(explain, as_json=as_json))
        return 0
    if model is None:
        raise click.UsageError("Missing argument 'MODEL'.")
    from trimtab.artifacts.verifying import verify_artifact
    from trimtab.findings import Level, worst

    verified = verify_artifact(model, only=only, ignore=ignore, notes=notes)
    level = worst(verified.findings)
    refused = level is Level.ERROR or (strict and level is Level.WARNING)
    if as_json:
        summary = {
            "model": verified.artifact,
            "format": verified.format,
            "document": verified.document,
            "refused": refused,
            "findings": [finding.as_dict() for finding in verified.findings],
        }
        click.echo(json.dumps(summary, ensure_ascii=False, indent=2))
    else:
        click.echo(_table(verified) if verified.findings else _verdict(verified, only))
    return EXIT_REFUSED if refused else 0


def _pages(name: str, *, as_json: bool) -> str:
    from trimtab.artifacts.verifying import rules

    every = rules()
    chosen = every.values() if name == "all" else [every[name]]
    if as_json:
        listed = [{"rule": each.name, "level": each.level.value, "page": each.page} for each in chosen]
        return json.dumps({"rules": listed}, ensure_ascii=False, indent=2)
    if name == "all":
        width = max(map(len, every))
        return "\n".join(f"{each.name:{width}}  {each.level.value:7}  {each.law}" for each in chosen)
    return "\n\n".join(f"{each.name} ({each.level.value})\n\n{each.page}" for each in chosen)


def _verdict(verified: Verification, only: Sequence[str]) -> str:
    """What holds of a model without findings: no more than what was there to compare."""
    from trimtab.signature.render import printable

    if only:
        verdict = f"nothing against {' or '.join(only)}"
    elif verified.format == "savedmodel":
        verdict = "the five places agree" + (", and the document with them" if verified.document else "")
    elif verified.document and verified.graph:
        verdict = "the document and the graph agree"
    elif verified.document:
        verdict = f"the document is sound; {verified.format} files say nothing themselves to compare it with"
    elif verified.format == "document":
        verdict = "a sound signature document"
    else:
        verdict = f"nothing against what its graph says; no document is embedded (trimtab embed {verified.artifact})"
    return printable(f"{verified.artifact}: {verdict}")


def _table(verified: Verification) -> str:
    """The findings for a person: what, then where below it."""
    from trimtab.signature.render import printable

    findings = verified.findings
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
