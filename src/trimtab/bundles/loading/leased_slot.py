"""One bundle of a root that follows a store: current and pending in force, kept over restarts, under a lease.

The order of the steps is the protocol: look and check; put in force; write to the disk; let requests that began before
end; acknowledge; look once more; and only then renew the lease, counted from before the acknowledgment. Whoever moves a
leaf waits for all who acknowledged, so that either the mover sees our word or we see the move. A step that fails leaves
the lease as it was, and it runs out by the clock alone, whatever hangs.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from trimtab.bundles.loading.following import Follower, Held, OtherHistoryError
from trimtab.bundles.loading.last_known_good import folder_of, keep, restore
from trimtab.bundles.loading.status import BundleState, BundleStatus, FollowStatus
from trimtab.bundles.store.pointers import Tier
from trimtab.errors import StoreError, TrimtabError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from trimtab.bundles.bundle import Bundle
    from trimtab.bundles.loading.following import Follow
    from trimtab.bundles.loading.instance import Instance
    from trimtab.bundles.store.pointers import Pointer

_log = logging.getLogger(__name__)


class LeasedSlot:
    """One followed bundle.

    state: the folder for last-known-good; None keeps it in memory. instance: the name to acknowledge under.
    in_flight_s: for how long a request may be on its way after the map was read for it.
    clock: seconds that never go back, also while the machine's time is set.
    """

    def __init__(
        self, follow: Follow, state: Path | None, instance: Instance, in_flight_s: float, clock: Callable[[], float]
    ) -> None:
        self.name = follow.name
        self.bundles: Mapping[str, Bundle] = {}
        """What is in force, by the name that the map is to know it by. Replaced, never changed."""
        self.leased_until = -math.inf
        """Until when, by the clock, the map answers for requests that name no exact version."""
        self._follower = Follower(follow, Tier.ROOT)
        self._folder = None if state is None else folder_of(state, follow.name, follow.stage)
        self._instance = instance.name
        self._in_flight_s = in_flight_s
        self._clock = clock
        self._looking = threading.Lock()
        self._closed = False
        self._held: Held | None = None
        self._kept: Held | None = None
        self._acknowledged: int | None = None
        self._spoke = False
        self._renew_at = -math.inf
        # What was sent before a root was killed may still be on its way when it is back under the same name.
        self._drained_at = -math.inf if instance.fresh else clock() + in_flight_s
        self._failures = 0
        self._state = BundleState.MISSING
        self._look_error = ""
        self._lost = ""
        self._loaded_at: datetime | None = None

    def restore(self) -> None:
        """Put the last-known-good of the state folder in force, without a lease. One that is lost is reported."""
        if self._folder is None:
            return
        try:
            held = restore(self._folder, self.name, Tier.ROOT, self._follower.follow.stage)
        except TrimtabError as failure:
            self._lost = f"the last-known-good is lost: {failure}"
            return
        if held is not None:
            self._follower.held = self._kept = held
            self._adopt(held)

    def follow(self, put_in_force: Callable[[], object]) -> bool:
        """Look at the store, and renew the lease when that is due; whether other bundles are in force.

        put_in_force: makes a new map of what all slots hold. Never raises for what a store holds or lacks.
        """
        with self._looking:
            if self._closed:
                return False
            before = self.bundles
            try:
                self._follow(put_in_force)
            except OtherHistoryError as failure:
                self._drain()
                self.leased_until = -math.inf  # leaves may follow it
                self._fail(str(failure))
            except TrimtabError as failure:
                self._fail(str(failure))
            else:
                self._succeed(changed=self.bundles is not before)
            return self.bundles is not before

    def close(self, patience_s: float) -> None:
        """Give the lease up and take the word back: no request is answered from here any more, nor will be.

        patience_s: how long to wait for a look that is going on. Where the store cannot be reached the word stays, and
        whoever moves waits until it is older than a lease.
        """
        self.leased_until = -math.inf
        self._closed = True
        if not self._looking.acquire(timeout=patience_s):
            return
        try:
            self.leased_until = -math.inf  # the look that was going on may have renewed it
            if self._spoke:
                self._follower.withdraw(self._instance)
        except TrimtabError as failure:
            _log.warning("bundle %s: the acknowledgment could not be withdrawn: %s", self.name, failure)
        finally:
            self._looking.release()

    def pause_s(self, interval_s: float) -> float:
        """How long to wait before the next look: about the interval, and longer the more looks failed in a row."""
        settings = self._follower.settings
        longest = max(interval_s, min(_LONGEST_PAUSE_S, math.inf if settings is None else settings.lease_s / 6))
        backed_off: float = min(interval_s * 2 ** min(self._failures, 20), longest)
        return backed_off * _RANDOM.uniform(0.8, 1.2)

    def status(self) -> BundleStatus:
        """How the bundle stands. The seconds of the lease are those at this moment."""
        held = self._held
        bundle = next(iter(self.bundles.values()), None)
        return BundleStatus(
            name=self.name,
            state=self._state,
            serial=None if bundle is None else bundle.serial,
            digest=None if bundle is None else bundle.digest,
            error="\n".join(error for error in (self._look_error, self._lost) if error),
            loaded_at=self._loaded_at,
            following=FollowStatus(
                stage=str(self._follower.follow.stage),
                entry=0 if held is None else held.number,
                pointer="nothing" if held is None else str(held.pointer),
                instance=self._instance,
                acknowledged=self._acknowledged,
                lease_s=max(0.0, self.leased_until - self._clock()),
            ),
        )

    def _follow(self, put_in_force: Callable[[], object]) -> None:
        for _ in range(_MOST_LOOKS):
            began = self._clock()
            held = self._follower.look(whole=began >= self._renew_at)
            if held is not self._held:
                self._adopt(held)
                put_in_force()
            self._keep(held)
            # When the look began decides: one that became due while it was slow did not look at the whole.
            if began < self._renew_at or self._clock() < self._drained_at or self._unfit():
                return
            if self._renew(held, began):
                return
        raise StoreError(
            "the history goes on faster than it can be followed", where=f"{self._follower.store.name}: {self.name}"
        )

    def _adopt(self, held: Held) -> None:
        """Make what is held ours. Requests that go by what was in force before may be on their way for a while."""
        if self._held is None or held.pointer != self._held.pointer:
            self._drain()
            self.bundles = _named(self.name, held.pointer, held.bundles)
            self._loaded_at = datetime.now(UTC)
        self._held = held
        self._renew_at = -math.inf

    def _drain(self) -> None:
        """Let no word be said before requests that were answered under the lease have ended."""
        self._drained_at = max(self._drained_at, min(self._clock(), self.leased_until) + self._in_flight_s)

    def _keep(self, held: Held) -> None:
        if self._folder is None or held is self._kept:
            return
        try:
            keep(self._folder, held, self._kept)
        except TrimtabError as failure:
            raise StoreError(f"the last-known-good could not be kept: {failure}") from None
        self._kept = held
        self._lost = ""

    def _renew(self, held: Held, began: float) -> bool:
        """Take the lease; False where the history has gone on meanwhile. began: when the look at it began."""
        settings = self._follower.store.settings
        if settings.acknowledge:
            began = self._clock()
            self._spoke = True
            self._follower.acknowledge(self._instance, held.number, held.pointer)
            self._acknowledged = held.number
            if self._follower.moved():
                return False
        self._renew_at = began + settings.lease_s / 3
        if not self._closed:
            self.leased_until = began + settings.lease_s - self._in_flight_s
        return True

    def _unfit(self) -> str:
        """Why no lease of this store is of use here."""
        settings = self._follower.settings
        if settings is None or settings.lease_s > self._in_flight_s:
            return ""
        return (
            f"the store's lease of {settings.lease_s:g} s is no longer than requests may be on their way"
            f" ({self._in_flight_s:g} s): requests that name no exact version are not trimmed. Make a store with a"
            " longer one: trimtab store init PLACE --lease SECONDS"
        )

    def _nothing(self) -> str:
        return "" if self.bundles else f"nothing named {self.name!r} is in force in {self._follower.store.name} yet"

    def _succeed(self, *, changed: bool) -> None:
        if self._failures:
            _log.info("bundle %s: the store answers again", self.name)
        self._look_error = self._unfit() or self._nothing()
        self._failures = 0
        self._state = BundleState.LOADED if changed else BundleState.UNCHANGED
        if not self.bundles:
            self._state = BundleState.MISSING

    def _fail(self, error: str) -> None:
        if error != self._look_error:
            _log.warning("bundle %s: %s", self.name, error)
        self._look_error = error
        self._failures += 1
        self._state = BundleState.KEPT_LAST_KNOWN_GOOD if self.bundles else BundleState.MISSING


_MOST_LOOKS = 5
"""In one round: each further one because the history went on while this root acknowledged."""

_LONGEST_PAUSE_S = 30.0
_RANDOM = secrets.SystemRandom()


def _named(name: str, pointer: Pointer, bundles: Mapping[str, Bundle]) -> dict[str, Bundle]:
    named = {name: pointer.current, f"{name} (pending)": pointer.pending}
    return {each: bundles[digest] for each, digest in named.items() if digest is not None}
