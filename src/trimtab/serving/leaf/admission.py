"""Bounded work: so many engine threads, so many requests waiting for them, and not one more.

A queue without a bound turns an overload into latency for everyone. Here the request that finds it full is told so at
once, which costs microseconds, and may go to another leaf.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import TYPE_CHECKING, TypeVar

from trimtab.serving.leaf.refusals import OverloadedError

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")


class Admission:
    """The engine threads and the requests in flight: running, or waiting for a thread."""

    def __init__(self, *, threads: int, queue: int) -> None:
        self.threads = threads
        self.queue = queue
        self.in_flight = 0
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="engine")

    def submit(self, work: Callable[[], _T]) -> Future[_T]:
        """Start `work` on an engine thread or put it in the queue. OverloadedError when the queue is full.

        Cancelling the future takes work out of the queue; work that runs is not interrupted.
        """
        with self._lock:
            if self.in_flight >= self.threads + self.queue:
                raise OverloadedError(
                    "the leaf is overloaded; the request was not started",
                    expected=f"at most {self.threads} requests running and {self.queue} waiting",
                    got="one more",
                    hint="Retry on another leaf or after a pause; give it more leaves, --engine-threads or --queue.",
                )
            self.in_flight += 1
        try:
            future = self._pool.submit(work)
        except BaseException:
            self._leave()
            raise
        future.add_done_callback(self._leave)
        return future

    async def drained(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight. False when something still is after `timeout_s` seconds."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self.in_flight:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_LOOK_AGAIN_S)
        return True

    def close(self) -> None:
        """Take no more work and forget what waits. Does not wait for what runs."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _leave(self, _future: Future[_T] | None = None) -> None:
        with self._lock:
            self.in_flight -= 1


_LOOK_AGAIN_S = 0.01
