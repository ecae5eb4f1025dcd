"""The pieces that both servers share: the allocator's settings, and stopping on signals."""

from __future__ import annotations

import platform
import signal
import subprocess
import sys

import pytest
from processes import environment

from trimtab.serving.allocator import keep_large_blocks

ALLOCATOR = """
import resource
from trimtab.serving.allocator import keep_large_blocks
if {tuned}: assert keep_large_blocks()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
bytes(bytearray(16 << 20)); before = faults()
for _ in range(20): bytes(bytearray(16 << 20))
print(faults() - before)
"""

SIGNALS = """
import asyncio, os, signal
from trimtab.serving.shutdown import stop_event
async def main():
    stop = stop_event()
    os.kill(os.getpid(), signal.{name})
    await stop.wait()
    print("stopping", flush=True)
    if {twice}:
        os.kill(os.getpid(), signal.{name})
        await asyncio.sleep(30)
asyncio.run(main())
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=False)


def test_large_blocks_are_kept_where_malloc_is_glibcs() -> None:
    if platform.libc_ver()[0] != "glibc":
        assert keep_large_blocks() is False
        return
    faults = {tuned: int(python(ALLOCATOR.format(tuned=tuned)).stdout) for tuned in (False, True)}
    assert faults[True] < faults[False] / 10


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("twice", [False, True])
def test_the_first_signal_asks_and_the_second_does_not_wait(name: str, twice: bool) -> None:
    done = python(SIGNALS.format(name=name, twice=twice))
    assert done.stdout == "stopping\n"
    assert done.returncode == (128 + getattr(signal, name) if twice else 0), done.stderr
