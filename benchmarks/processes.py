"""Whole processes, measured from outside: their wall time, and the peak of their memory."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

# A small parent: the peak that the system tells of a process is never less than its parent's was.
LAUNCH = """
import os, sys, time
quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_WRONLY, 0) for number in (1, 2)]
start = time.perf_counter()
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=quiet)
_, status, usage = os.wait4(process, 0)
print(time.perf_counter() - start, usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def measured(command: list[str], runs: int, environment: dict[str, str] | None = None) -> dict[str, float]:
    """The median wall time in milliseconds and the peak of memory in MiB; the first run warms the caches.

    command: the program, by its path, and its arguments. Its output is thrown away.
    """
    walls, peaks = [], []
    launcher = [sys.executable, "-I", "-S", "-c", LAUNCH, *command]
    for _ in range(runs + 1):
        done = subprocess.run(
            launcher, check=False, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})}, text=True
        )
        if done.returncode:
            raise SystemExit(f"failed: {' '.join(command[:4])}")
        wall, peak = done.stdout.split()
        walls.append(1000 * float(wall))
        peaks.append(int(peak) / 1024)
    return {"wall_ms": statistics.median(walls[1:]), "peak_mib": max(peaks[1:])}
