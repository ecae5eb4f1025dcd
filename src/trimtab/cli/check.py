"""`trimtab check`: the stability gate. A new version whose signature changed is refused."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from trimtab.cli.diff import FORMS, as_text
from trimtab.cli.exit_codes import EXIT_REFUSED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trimtab.bundles.succession import Successor
    from trimtab.signature.model import Signature
    from trimtab.stability.change import Seen
    from trimtab.stability.gate import Candidate, Verdict


@click.command()
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Path(path_type=Path),
    required=True,
    metavar="OLD",
    help="What NEW is held against: an artifact, a document, or a repository of models.",
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
@click.option("--format", "form", type=click.Choice(FORMS), default="text", show_default=True, help="How to print.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object; the same as --format json.")
def check(
    *,
    new: Path,
    against: Path,
    model: str,
    config: Path | None,
    category: str | None,
    form: str,
    as_json: bool,
) -> int:
    """Refuse a new version of a model whose signature changed.

    NEW is an artifact, which is held against OLD or against the latest version of its model in the repository OLD; or a
    repository, each of whose new versions is held against the one before it. trimtab.toml says what each model is held
    to; without one, nothing may change. Exit code 100 when a change is refused.

    \b
    Examples:
      trimtab check incoming/ctr/8/model.onnx --against models/
      trimtab check models/ --against models/ --format github
    """
    from trimtab.bundles.succession import successors
    from trimtab.stability import Category
    from trimtab.stability.configuration import find_configuration, read_configuration
    from trimtab.stability.gate import gate

    configuration = read_configuration(config) if config is not None else find_configuration(new)
    followed = successors(new, against, model)
    held_to = Category(category.upper()) if category else None
    verdict = gate(_candidates(followed), configuration, datetime.datetime.now(datetime.UTC).date(), held_to)
    if as_json or form == "json":
        click.echo(json.dumps(_as_dict(verdict, followed), ensure_ascii=False, indent=2))
    elif form == "text":
        click.echo(_text(verdict, followed))
    else:
        click.echo(_report(form, verdict, followed, config))
    return EXIT_REFUSED if verdict.refused else 0


def _candidates(followed: Sequence[Successor]) -> Iterator[Candidate]:
    """Each pair with its signatures. In a repository a version is the new one first, and then the old: read once."""
    from trimtab.artifacts import read_signature
    from trimtab.signature.model import Signature
    from trimtab.stability.gate import Candidate

    read: dict[Path, Signature] = {}
    for each in followed:
        if each.old is None:
            continue
        old = read.get(each.old) or read_signature(each.old)
        new = _read(each.new)
        if isinstance(new, Signature):
            read[each.new] = new
        yield Candidate(each.model, old, new)


def _read(artifact: Path) -> Signature | Seen:
    """The signature, or what is wrong with it."""
    from trimtab.artifacts import read_signature
    from trimtab.errors import ContradictionError, RefusedArtifactError
    from trimtab.stability.gate import contradicted, without_signature

    try:
        return read_signature(artifact)
    except ContradictionError as error:
        return contradicted(error.got, error.expected)
    except RefusedArtifactError as error:
        return without_signature(error.problem)


def _as_dict(verdict: Verdict, followed: Sequence[Successor]) -> dict[str, object]:
    return {
        "refused": verdict.refused,
        "compared": [
            {"model": each.model, "new": str(each.new), "old": None if each.old is None else str(each.old)}
            for each in followed
        ],
        "changes": [each.as_dict() for each in verdict.changes],
        "waived": [{**each.change.as_dict(), "waiver": str(each.waiver)} for each in verdict.waived],
        "waivers": [each.as_dict() for each in verdict.problems],
    }


def _text(verdict: Verdict, followed: Sequence[Successor]) -> str:
    """The verdict for a person, model by model."""
    from trimtab.signature.render import printable

    parts = []
    for model in dict.fromkeys(each.model for each in verdict.changes):
        parts.append(f"{printable(model)}:")
        parts.append(as_text([each for each in verdict.changes if each.model == model]))
    parts += [f"{each.level} {each.rule}: {printable(each.sentence)}" for each in verdict.problems]
    parts += [f"waived: {printable(each.change.where)}: {printable(str(each.waiver))}" for each in verdict.waived]
    first = sum(each.old is None for each in followed)
    summary = f"{len(followed) - first} compared" + (f", {first} without a version before" if first else "")
    parts.append(f"{summary}: {'refused' if verdict.refused else 'nothing is refused'}")
    return "\n".join(parts)


def _report(form: str, verdict: Verdict, followed: Sequence[Successor], config: Path | None) -> str:
    from trimtab.findings.reports import REPORTS, Checked
    from trimtab.stability import RULES
    from trimtab.stability.configuration import FILE_NAME

    checked = [
        Checked(str(each.new), [change for change in verdict.changes if change.model == each.model])
        for each in {each.model: each for each in followed}.values()
    ]
    if verdict.problems:
        checked.append(Checked(str(config or FILE_NAME), verdict.problems))
    return REPORTS[form](checked, RULES)
