"""How the benchmarks measure: one command line, the servers' allocator settings, the least of many runs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

ALLOCATOR = {
    "MALLOC_TRIM_THRESHOLD_": "2000000000",
    "MALLOC_MMAP_THRESHOLD_": "2000000000",
    "MALLOC_TOP_PAD_": "67108864",
}
"""glibc's allocator as the servers set it at start-up, for every competitor alike."""


def arguments(doc: str | None) -> argparse.Namespace:
    """The command line of a benchmark, in a process whose allocator is tuned: the process starts again if it is not."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures there")
    given = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ALLOCATOR.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **ALLOCATOR})
    return given


def least_us(call: Callable[[], object], before: Callable[[], object] | None = None, seconds: float = 0.5) -> float:
    """The least of the times of `call` over `seconds`, in microseconds; `before` runs each time, untimed."""
    least, until = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < until:
        if before is not None:
            before()
        start = time.perf_counter()
        call()
        least = min(least, time.perf_counter() - start)
    return least * 1e6
