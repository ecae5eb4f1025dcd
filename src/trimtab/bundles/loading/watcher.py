"""Watch bundle files and stores by polling, and swap the map when one changes.

Polling is the base: a look at a file costs microseconds, and it sees what notification does not (network file systems,
the symlink swaps of mounted volumes). Loading happens on the watcher's own threads, so that no request waits for it:
one for all files, and one for each bundle that follows a store, so that a store that is slow holds up nothing else.
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
    from trimtab.bundles.loading.loader import BundleLoader, Round


class WatcherStatus(Struct, frozen=True, kw_only=True):
    """How a watcher is doing. error: what went wrong in the last round (the next one tries again); empty if nothing."""

    running: bool
    rounds: int
    last_round: datetime | None
    error: str


class BundleWatcher:
    """Calls each of the loader's rounds about every `interval_s` seconds on a thread of its own.

    Looks at files come every interval; looks at a store a little earlier or later, so that many roots do not come at
    once, and less and less often while it fails.
    on_change: called with the new map after each swap, on a watcher's thread, one call at a time. Whatever it or the
    loader raises is reported in `status` and does not end the watching. Start it after forking: threads do not survive
    a fork.
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
        self._threads: list[threading.Thread] = []
        self._telling = threading.Lock()
        self._rounds = 0
        self._last_round: datetime | None = None
        self._errors: dict[int, str] = {}

    @property
    def status(self) -> WatcherStatus:
        """How the watching goes."""
        running = bool(self._threads) and all(thread.is_alive() for thread in self._threads)
        error = "\n".join(error for error in [*self._errors.values()] if error)
        return WatcherStatus(running=running, rounds=self._rounds, last_round=self._last_round, error=error)

    def start(self) -> Self:
        """Begin to watch; does nothing when watching already."""
        if not self._threads:
            self._stop = stop = threading.Event()
            self._threads = [
                threading.Thread(
                    target=self._watch, args=(number, each, stop), name=f"trimtab-bundle-watcher-{number}", daemon=True
                )
                for number, each in enumerate(self.loader.rounds())
            ]
            for thread in self._threads:
                thread.start()
        return self

    def stop(self, patience_s: float | None = None) -> None:
        """End the watching and wait for rounds in progress; the map in force stays. May be started again.

        patience_s: for how long to wait at most, in seconds; what then still runs, a store that hangs, ends by itself.
        """
        self._stop.set()
        threads, self._threads = self._threads, []
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(patience_s)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _watch(self, number: int, each: Round, stop: threading.Event) -> None:
        while not stop.wait(each.pause_s(self.interval_s)):
            try:
                changed = each.look()
                with self._telling:
                    if changed and self._on_change is not None:
                        self._on_change(self.loader.current)
                self._errors[number] = ""
            except Exception as failure:  # noqa: BLE001  # a watcher that died would freeze the map unseen
                self._errors[number] = f"{type(failure).__name__}: {failure}"
            with self._telling:
                self._last_round = datetime.now(UTC)
                self._rounds += 1
