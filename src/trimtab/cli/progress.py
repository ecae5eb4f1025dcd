"""A bar on standard error that says how far a command is, with count and rate; nothing where that is not a terminal."""

from __future__ import annotations

import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Told: TypeAlias = "Callable[[int, int], None]"
"""What to call with how many are done, and of how many."""

_WORTH_A_BAR = 50


@contextmanager
def progress(doing: str) -> Iterator[Told | None]:
    """A bar while the block runs; None where nobody would see it. doing: `reading artifacts`."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(doing, total=None, rate="")
        begun = time.monotonic()

        def told(done: int, total: int) -> None:
            rate = done / max(time.monotonic() - begun, 1e-3)
            bars.update(task, completed=done, total=total, rate=f"{rate:,.0f} per second")

        yield told


@contextmanager
def counted(doing: str, total: int) -> Iterator[Callable[[], None]]:
    """What to call once for each of `total`. A bar only where they are many."""
    if total < _WORTH_A_BAR:
        yield lambda: None
        return
    with progress(doing) as told:
        done = 0

        def advance() -> None:
            nonlocal done
            done += 1
            if told is not None:
                told(done, total)

        yield advance
