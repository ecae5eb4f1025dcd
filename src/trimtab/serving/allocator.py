"""Tell glibc's malloc to keep the memory of large messages, before the first of them arrives.

A server of megabyte messages spends up to half of its time in page faults: malloc gives each large block back to the
kernel and asks for it again with the next request. Every server and every baseline of the benchmarks calls this first,
so that no comparison is flattered by it.
"""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_THRESHOLD = -3
"""Parameters of mallopt(3), from malloc.h of glibc."""

_NEVER = 2_000_000_000
_TOP_PAD = 64 << 20
_LARGEST_MMAP_THRESHOLD = 32 << 20
"""What older glibc versions accept at most on 64-bit machines (DEFAULT_MMAP_THRESHOLD_MAX)."""


def keep_large_blocks() -> bool:
    """Make malloc reuse large blocks instead of returning them to the kernel. True where it could (glibc only).

    Costs resident memory: tens of MiB, up to the largest sum of messages in flight.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes = [ctypes.c_int, ctypes.c_int]
    mallopt.restype = ctypes.c_int
    kept = mallopt(_M_MMAP_THRESHOLD, _NEVER) or mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
    return bool(kept and mallopt(_M_TRIM_THRESHOLD, _NEVER) and mallopt(_M_TOP_PAD, _TOP_PAD))
