"""Watch bundle files by polling, and swap the map when one changes.

Polling is the base: a look at a file costs microseconds, and it sees what notification does not (network file systems,
the symlink swaps of mounted volumes). Loading happens on the watcher's own thread, so that no request waits for it.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from trimtab.bundles.consolidated import ConsolidatedMap
    from trimtab.bundles.loader import BundleLoader


class WatcherStatus(Struct, frozen=True, kw_only=True):
    """How a watcher is doing. error: what went wrong in the last round (the next one tries again); empty if nothing."""

    running: bool
    rounds: int
    last_round: datetime | None
    error: str


class BundleWatcher:
    """Calls `loader.refresh()` every `interval_s` seconds on a thread of its own.

    on_change: called with the new map after each swap, on the watcher's thread. Whatever it or the loader raises is
    reported in `status` and does not end the watching. Start it after forking: threads do not survive a fork.
    """

    def __init__(
        self,
        loader: BundleLoader,
        interval_s: float = 1.0,
        on_change: Callable[[ConsolidatedMap], None] | None = None,
    ) -> None:
        self.loader = loader
        self.interval_s = interval_s
        self._on_change = on_change
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._rounds = 0
        self._last_round: datetime | None = None
        self._error = ""

    @property
    def status(self) -> WatcherStatus:
        """How the watching goes."""
        running = self._thread is not None and self._thread.is_alive()
        return WatcherStatus(running=running, rounds=self._rounds, last_round=self._last_round, error=self._error)

    def start(self) -> Self:
        """Begin to watch; does nothing when watching already."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._watch, name="trimtab-bundle-watcher", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """End the watching and wait for a round in progress; the map in force stays. May be started again."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _watch(self) -> None:
        while not self._stop.wait(self.interval_s):
            try:
                if self.loader.refresh() and self._on_change is not None:
                    self._on_change(self.loader.current)
                self._error = ""
            except Exception as failure:  # noqa: BLE001  # a watcher that died would freeze the map unseen
                self._error = f"{type(failure).__name__}: {failure}"
            self._last_round = datetime.now(UTC)
            self._rounds += 1
