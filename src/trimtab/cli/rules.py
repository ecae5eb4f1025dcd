"""`trimtab rules`: the rules that hold between two versions of a model."""

from __future__ import annotations

import json

import click

from trimtab.cli.completing import rule_names


@click.command()
@click.argument("rule", required=False, shell_complete=rule_names)
@click.option(
    "--category",
    type=click.Choice(["FREEZE", "SCHEMA", "FEED", "WIRE"], case_sensitive=False),
    default="FREEZE",
    show_default=True,
    help="List the rules of this category.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rules(*, rule: str | None, category: str, as_json: bool) -> None:
    """List the rules between versions of a model, or explain one.

    Categories are sets of rules, each a part of the one before: FREEZE (nothing of the contract changes), SCHEMA (what
    callers rely on stays), FEED (requests of the old version are read as they were meant), WIRE (their bytes are).

    \b
    Examples:
      trimtab rules --category FEED
      trimtab rules INPUT_NO_DELETE
    """
    from trimtab.cli.rule_names import check_rule_names
    from trimtab.stability import RULES, Category

    if rule:
        rule = rule.upper()
        check_rule_names([rule], RULES, listed_by="trimtab rules")
    held_to = Category(category.upper())
    chosen = [RULES[rule]] if rule else [each for each in RULES.values() if held_to.includes(each.category)]
    if as_json:
        listed = [
            {
                "rule": each.name,
                "category": each.category.value,
                "level": each.level.value,
                "law": each.law,
                "breaks": each.breaks,
                "notice": each.notice.value,
                "remedy": each.remedy,
                "fork": each.forks,
                "why": each.why,
            }
            for each in chosen
        ]
        click.echo(json.dumps({"rules": listed}, ensure_ascii=False, indent=2))
    elif rule:
        click.echo(f"{chosen[0].name} ({chosen[0].level.value})\n\n{chosen[0].page}")
    else:
        width = max(len(each.name) for each in chosen)
        click.echo("\n".join(f"{each.name:{width}}  {each.category.value:6}  {each.law}" for each in chosen))
