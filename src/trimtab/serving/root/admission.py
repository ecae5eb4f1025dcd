"""How many score requests may be answered at once; more are refused at once, with the reason."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.observing.root_metrics import RootMetrics


class RefusedRequest(Exception):  # noqa: N818  # not an error of this program: the caller is told and may retry
    """A request that was not accepted. code: RESOURCE_EXHAUSTED or UNAVAILABLE."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Admission:
    """Counts requests in flight. Used from one event loop. open: whether new ones are taken."""

    def __init__(self, limit: int, metrics: RootMetrics) -> None:
        self.limit = limit
        self.open = True
        self._metrics = metrics
        self._in_flight = 0

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place while a request is answered. Raises RefusedRequest when there is none."""
        if not self.open:
            raise self._refusal("UNAVAILABLE", "this root is stopping; ask another one")
        if self._in_flight >= self.limit:
            raise self._refusal(
                "RESOURCE_EXHAUSTED",
                f"{self._in_flight} score requests are being answered, as many as --max-in-flight allows; try again",
            )
        self._in_flight += 1
        self._metrics.requests.inc()
        self._metrics.in_flight.inc()
        try:
            yield
        finally:
            self._in_flight -= 1
            self._metrics.in_flight.dec()

    async def drained(self, timeout_s: float) -> bool:
        """Wait until nothing is in flight. False when something still is after `timeout_s` seconds."""
        deadline = asyncio.get_running_loop().time() + timeout_s
        while self._in_flight:
            if asyncio.get_running_loop().time() >= deadline:
                return False
            await asyncio.sleep(_LOOK_AGAIN_S)
        return True

    def _refusal(self, code: str, message: str) -> RefusedRequest:
        self._metrics.refused.labels(code).inc()
        return RefusedRequest(code, message)


_LOOK_AGAIN_S = 0.01
