"""Do the same to many objects of a store at once: a round trip or a flush to the disk is mostly waiting."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

AT_ONCE = 16


def at_once(items: Iterable[_Item], do: Callable[[_Item], _Result]) -> Iterator[tuple[_Item, _Result]]:
    """Each item with what `do` gives for it, in order. `do` runs in up to 16 threads; what it raises is raised here.

    Items are taken from `items` in the caller's thread, and not long before they are needed.
    """
    pool = ThreadPoolExecutor(AT_ONCE)
    waiting: deque[tuple[_Item, Future[_Result]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(do, item)))
            if len(waiting) >= 2 * AT_ONCE:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    finally:
        pool.shutdown(cancel_futures=True)
