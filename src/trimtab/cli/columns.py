"""Lines in columns. Nothing is cut, whatever the terminal's width: a name that is shown is there to be copied."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


def in_columns(rows: Sequence[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """A line for each row, its cells below those of the row before. right: columns that are flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def numbered(number: int, noun: str) -> str:
    """`1 bundle`, `2 bundles`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def colored(line: str, words: Mapping[str, str], word: str) -> str:
    """The line with a word of its first or last column in the color that `words` has for it. NO_COLOR is heeded."""
    color = words.get(word)
    if not color or os.environ.get("NO_COLOR"):
        return line
    styled = click.style(word, fg=color)
    if line.startswith(word):
        return f"{styled}{line.removeprefix(word)}"
    return f"{line.removesuffix(word)}{styled}" if line.endswith(word) else line
