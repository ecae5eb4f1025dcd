"""A line on standard error that says how far a command is; nothing when that is not a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def progress_line(doing: str) -> Iterator[Callable[[int, int], None] | None]:
    """What to call with how many are done, and of how many; None where nobody would see it. doing: "reading file"."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    with console.status(doing) as status:
        yield lambda done, total: status.update(Text(f"{doing} {done} of {total}"))
