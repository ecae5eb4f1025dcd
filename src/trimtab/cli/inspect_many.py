"""`trimtab inspect` for many artifacts: a table for people, lines of JSON for programs, progress on a terminal."""

from __future__ import annotations

import json
import sys
from shutil import get_terminal_size
from typing import TYPE_CHECKING

import click

from trimtab.artifacts.candidates import find_candidates
from trimtab.artifacts.survey import Surveyed, survey
from trimtab.cli.columns import in_columns
from trimtab.cli.progress import counted
from trimtab.errors import ArtifactError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trimtab.artifacts.survey import Reading


def inspect_many(targets: Sequence[str], *, jobs: int | None, reading: Reading, as_json: bool, verbose: bool) -> int:
    """Print what reading every artifact gave, and return the exit code: 1 where one could not be read.

    ArtifactError where there is no model at all.
    """
    candidates = find_candidates(targets)
    rows: list[Surveyed] = []
    failed = passed_over = reads = bytes_read = 0
    with counted("reading", len(candidates)) as advance:
        for each in survey(candidates, jobs=jobs, reading=reading):
            advance()
            failed += each.error is not None
            passed_over += not each.model
            reads, bytes_read = reads + each.reads, bytes_read + each.bytes_read
            if each.model and as_json:
                click.echo(_line(each))
            elif each.model:
                rows.append(each)
    total = len(candidates) - passed_over
    if total == 0:
        raise _nothing(targets, passed_over)
    if not as_json:
        click.echo(_table(rows))
    click.echo(_summary(total - failed, failed, passed_over), err=as_json)
    if verbose:
        click.echo(f"{reads:,} reads or requests, {bytes_read:,} bytes", err=True)
    return 1 if failed else 0


def _line(each: Surveyed) -> str:
    """One JSON object: the path, and beside it the keys of the signature document, or the error."""
    path = _as_json(each.path)
    if each.error is not None:
        return f'{{"path": {path}, "error": {_as_json(each.error)}}}'
    return f'{{"path": {path}, {each.document.decode()[1:]}'


def _as_json(value: str | dict[str, str]) -> str:
    """JSON, with escapes only where a path is of bytes that are no text."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() else json.dumps(value)


_HEADER = ("path", "format", "inputs", "outputs", "digest", "learned", "")


def _table(rows: Iterable[Surveyed]) -> str:
    lines = in_columns([_HEADER, *map(_cells, rows)], right=(2, 3))
    return "\n".join(map(_fitting(), lines))


def _fitting() -> Callable[[str], str]:
    """What cuts a line to the width of the terminal; where standard output is none, a line stays whole."""
    if not sys.stdout.isatty():
        return str
    width = get_terminal_size().columns
    return lambda line: line if len(line) <= width else f"{line[: width - 1]}…"


def _cells(each: Surveyed) -> tuple[str, ...]:
    from trimtab.signature.render import printable, short

    if each.error is not None:
        return printable(each.path), each.format, "", "", "", "", f"error: {printable(each.problem)}"
    note = f"{each.entry_points} entry points" if each.entry_points > 1 else ""
    figures = (str(each.inputs), str(each.outputs), short(each.digest))
    return printable(each.path), printable(each.format), *figures, each.learned, note


def _summary(read: int, failed: int, passed_over: int) -> str:
    parts = [f"{read:,} read"]
    if failed:
        parts.append(f"{failed:,} not readable")
    if passed_over:
        parts.append(f"{passed_over:,} other file{'' if passed_over == 1 else 's'} passed over")
    return ", ".join(parts)


def _nothing(targets: Sequence[str], passed_over: int) -> ArtifactError:
    """The error where no model was found; of one folder, the one that says what it looks like."""
    if len(targets) == 1 and not passed_over:
        from trimtab.artifacts.refuse import folder_refusal

        return folder_refusal(targets[0])
    return ArtifactError(
        where=", ".join(targets),
        expected="model files",
        got=f"{passed_over} files of other kinds" if passed_over else "none",
        hint="The content decides, not the name. Name a file to be told why it is no model.",
    )
