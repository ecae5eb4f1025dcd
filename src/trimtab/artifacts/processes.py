"""The processes that many artifacts are read in."""

from __future__ import annotations

import os
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future, ProcessPoolExecutor

_T = TypeVar("_T")
_R = TypeVar("_R")


def processors() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def processes(jobs: int, *, preload: str) -> Iterator[ProcessPoolExecutor]:
    """A pool of processes, all of which have ended when the block is left; what has not begun by then never does.

    They are forked from a server without threads where there is one, since forking this process may not be safe. The
    server imports the module `preload` once for all of them.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    context.set_forkserver_preload([preload])
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_leave_interrupts)
    try:
        yield pool
    finally:
        # Without waiting, an interpreter that ends now races with the pool's thread for a pipe that this one closes.
        pool.shutdown(wait=True, cancel_futures=True)


def worked_together(work: Callable[[_T], _R], parts: Iterable[_T], jobs: int, *, preload: str) -> Iterator[_R]:
    """What `work` gives for each part, in order, from this process and `jobs - 1` others.

    This one works while they start, which takes a fifth of a second, and then whenever the next result is not there.
    work: a function of a module. preload: as of `processes`.

    Raises what `work` raises, BrokenProcessPool when a process is killed, and OSError when none can be started.
    """
    from concurrent.futures import ThreadPoolExecutor

    waiting = deque(parts)
    results: deque[_Here[_R] | Future[_R]] = deque()
    with processes(max(1, jobs - 1), preload=preload) as pool, ThreadPoolExecutor(1) as starter:
        start = starter.submit(pool.submit, processors)
        while waiting or results:
            unfinished = sum(not each.done() for each in results)
            if waiting and start.done() and unfinished < _AHEAD * (jobs - 1):
                results.append(pool.submit(work, waiting.popleft()))
            elif results and (not waiting or results[0].done()):
                yield results.popleft().result()
            else:
                results.append(_Here(work(waiting.popleft())))


_AHEAD = 4
"""How many parts wait for each process, so that it has one whenever it is done with another."""


class _Here(NamedTuple, Generic[_R]):
    """A result of this process, as a future has it."""

    value: _R

    def done(self) -> bool:
        return True

    def result(self) -> _R:
        return self.value


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of the terminal: the one that was typed to ends the others."""
    import gc
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.set_threshold(50_000)
