"""`trimtab tour`: a SavedModel explained in the terminal, as JSON, or as one HTML page."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from trimtab.savedmodel.touring.outline import Branch
    from trimtab.savedmodel.touring.story import Tour


@click.command()
@click.argument("model", metavar="DIR", type=click.Path())
@click.option("--signature", metavar="KEY", help="Explain only this signature.")
@click.option("--function", metavar="PATH", help="Explain only the polymorphic function at this object path.")
@click.option("--all", "everything", is_flag=True, help="Tell every signature, function and trace, however many.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole tour as JSON; docs/savedmodel.md has its shape.")
@click.option("--html", metavar="FILE", type=click.Path(dir_okay=False), help="Write the tour as one HTML page.")
def tour(
    model: str, *, signature: str | None, function: str | None, everything: bool, as_json: bool, html: str | None
) -> None:
    """Explain a TensorFlow SavedModel, from each entry point down.

    DIR is the SavedModel's directory. For each signature: the whole chain through the five places of the proto that
    declare it, down to what is captured, and whether what is declared twice agrees. For each polymorphic function: its
    parameters, and its traces in the order in which they are tried. The page draws the object graph, works offline and
    needs nothing else.

    \b
    Examples:
      trimtab tour model/
      trimtab tour model/ --signature serving_default
      trimtab tour model/ --html tour.html
    """
    if signature is not None and function is not None:
        raise click.UsageError("--signature and --function exclude each other: name one of them.")
    from trimtab.savedmodel.model import load

    with load(model) as saved_model:
        told = saved_model.tour(signature=signature, function=function, everything=everything or as_json)
        if html is not None:
            from trimtab.web.tour_page import write_tour_page

            write_tour_page(saved_model, html, signature=signature, function=function)
            click.echo(f"wrote {html}", err=True)
    if as_json:
        from msgspec.json import encode
        from msgspec.json import format as indent

        click.echo(indent(encode(told), indent=2).decode())
    elif html is None:
        _show(told)


def _show(told: Tour) -> None:
    """In colors and within the window on a terminal; as plain lines elsewhere, without the time that rich costs."""
    if not sys.stdout.isatty():
        click.echo(str(told))
        return
    from rich.console import Console

    Console(highlight=False).print(_tree(told.outline()))


_STYLES = {
    "title": "bold",
    "graph": "bold",
    "signature": "bold cyan",
    "function": "bold green",
    "step": "",
    "trace": "green",
    "capture": "magenta",
    "fact": "",
    "note": "dim",
    "problem": "bold red",
}


def _tree(branch: Branch, parent: Tree | None = None) -> Tree:
    from rich.tree import Tree

    line = _line(branch)
    tree = Tree(line) if parent is None else parent.add(line)
    for child in branch.below:
        _tree(child, tree)
    return tree


def _line(branch: Branch) -> Text:
    from rich.text import Text

    line = Text(branch.text, style=_STYLES.get(branch.kind, ""))
    if branch.where:
        line.append(f"  @ {branch.where}", style="not bold dim")
    return line
