"""Hold the bundles of a root, each loaded in isolation with its last-known-good, and the one map that they make.

A bundle comes as a file (`file_slot`) or follows a store (`leased_slot`). One that is corrupt, cut, missing or older
than what is in force changes nothing: its last-known-good stays in force and the others are untouched.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from trimtab.bundles.consolidated import ConsolidatedMap
from trimtab.bundles.loading.file_slot import FileSlot
from trimtab.bundles.loading.instance import Instance
from trimtab.bundles.loading.leased_slot import LeasedSlot
from trimtab.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from trimtab.bundles.bundle import Bundle
    from trimtab.bundles.loading.following import Follow
    from trimtab.bundles.loading.status import BundleStatus


class BundleLoader:
    """Holds the bundles of a root, and the consolidated map that they make together.

    paths: bundle files, by bundle name, or as a list; in a list each goes by its file's name, up to the first dot.
    A bundle that is named here must say that name inside; one that is not must keep the name it had when first loaded.
    state: the folder for last-known-good; None keeps it in memory.
    follow: bundles to follow in stores, each under its own name. For them only:
    instance: the name to acknowledge under, unlike every other root's; by default one is made and kept in `state`.
    in_flight_s: for how long a request may be on its way after `current` was read for it.
    first_look_s: for how long to wait for stores that do not answer; their last-known-good is in force meanwhile.
    clock: seconds that never go back.

    Loads once when made; `refresh` looks again. Never raises for what files and stores hold: `statuses` tells. Raises
    BundleError for names that cannot be told apart and for a state folder that another root follows stores with, and
    StoreError for places that cannot be stores.
    """

    def __init__(
        self,
        paths: Mapping[str, Path | str] | Iterable[Path | str] = (),
        state: Path | str | None = None,
        *,
        follow: Sequence[Follow] = (),
        instance: str = "",
        in_flight_s: float = 1.0,
        first_look_s: float = 10.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        folder = None if state is None else Path(state)
        named = _slots(paths)
        _check_followed(follow, {name for name, _, _ in named})
        self._clock = clock
        self._files = [FileSlot(*each, folder) for each in named]
        self._instance = Instance(instance, folder if follow else None)
        self._leased = [LeasedSlot(each, folder, self._instance, in_flight_s, clock) for each in follow]
        self._slots: list[FileSlot | LeasedSlot] = [*self._files, *self._leased]
        self._refreshing = threading.Lock()
        self._swapping = threading.Lock()
        self._in_force = _InForce(ConsolidatedMap({}), math.inf, ())
        for slot in self._slots:
            slot.restore()
        self._refresh_files()
        self._look_first(first_look_s)

    @property
    def current(self) -> ConsolidatedMap:
        """The map in force. Reading it takes no lock; whoever holds it keeps that very map, for `in_flight_s`.

        While any followed bundle has no lease this is the map's `exact_only`: what it says of the latest version, or of
        all versions, may have changed since the store was heard of.
        """
        in_force = self._in_force
        return in_force.map if self._clock() < in_force.leased_until else in_force.map.exact_only

    @property
    def statuses(self) -> tuple[BundleStatus, ...]:
        """How each bundle stands: files in the order of the paths, then what follows stores."""
        leases = {slot.name: slot.leased_until - self._clock() for slot in self._leased}
        return tuple(_at_this_moment(each, leases.get(each.name, 0.0)) for each in self._in_force.statuses)

    def refresh(self) -> bool:
        """Look at every file and store again; whether another map is in force now. Safe to call from any thread."""
        changed = self._refresh_files()
        for slot in self._leased:
            changed |= self._refresh_leased(slot)
        return changed

    def rounds(self) -> list[Round]:
        """What to call again and again, each on a thread of its own, so that no store delays files or another store."""
        if not self._leased:
            return [Round(self.refresh, _evenly)]
        leased = [Round(partial(self._refresh_leased, slot), slot.pause_s) for slot in self._leased]
        return [Round(self._refresh_files, _evenly), *leased] if self._files else leased

    def close(self, patience_s: float = 5.0) -> None:
        """Withdraw what this root acknowledged. Files stay in force; what follows stores trims only by exact version.

        Call it when no request is on its way any more. patience_s: how long to wait for a look that is going on.
        """
        for slot in self._leased:
            slot.close(patience_s)
        self._publish()
        self._instance.release()

    def _refresh_files(self) -> bool:
        with self._refreshing:
            for slot in self._files:
                slot.look()
            changed = self._swap()
            for slot in self._files:
                slot.keep()  # last of all, when the map stands
            self._publish()
            return changed

    def _refresh_leased(self, slot: LeasedSlot) -> bool:
        changed = slot.follow(self._swap)
        self._publish()
        return changed

    def _look_first(self, patience_s: float) -> None:
        """One look at each store, all at once; a store that hangs is left to the rounds that follow."""
        looks = [threading.Thread(target=self._refresh_leased, args=(slot,), daemon=True) for slot in self._leased]
        for look in looks:
            look.start()
        deadline = time.monotonic() + patience_s
        for look in looks:
            look.join(max(0.0, deadline - time.monotonic()))

    def _swap(self) -> bool:
        """Build and put in force a new map, if any bundle is another than in the map at hand."""
        with self._swapping:
            bundles: dict[str, Bundle] = {}
            for slot in self._slots:
                bundles |= slot.bundles
            at_hand = self._in_force.map.bundles
            if bundles.keys() == at_hand.keys() and all(bundles[name] is at_hand[name] for name in bundles):
                return False
            self._in_force = _InForce(ConsolidatedMap(bundles), self._leased_until(), self._statuses())
            return True

    def _publish(self) -> None:
        """Let readers see leases and statuses as they are now."""
        with self._swapping:
            self._in_force = _InForce(self._in_force.map, self._leased_until(), self._statuses())

    def _leased_until(self) -> float:
        return min((slot.leased_until for slot in self._leased), default=math.inf)

    def _statuses(self) -> tuple[BundleStatus, ...]:
        return tuple(slot.status() for slot in self._slots)


class Round(NamedTuple):
    """One thing to do again and again.

    look: does it; whether the map changed. pause_s: how long to wait before the next, of the interval wished for.
    """

    look: Callable[[], bool]
    pause_s: Callable[[float], float]


class _InForce(NamedTuple):
    """What readers see, swapped as one reference. leased_until: by the clock; from then on the map is exact only."""

    map: ConsolidatedMap
    leased_until: float
    statuses: tuple[BundleStatus, ...]


def _evenly(interval_s: float) -> float:
    return interval_s


def _at_this_moment(status: BundleStatus, lease_s: float) -> BundleStatus:
    if status.following is None:
        return status
    return replace(status, following=replace(status.following, lease_s=max(0.0, lease_s)))


def _slots(paths: Mapping[str, Path | str] | Iterable[Path | str]) -> list[tuple[str, Path, str | None]]:
    """Name, path, and the name that the bundle must say inside, where one was asked for."""
    slots: list[tuple[str, Path, str | None]] = (
        [(name, Path(path), name) for name, path in paths.items()]
        if isinstance(paths, Mapping)
        else [(Path(path).name.partition(".")[0], Path(path), None) for path in paths]
    )
    named: dict[str, Path] = {}
    for name, path, _ in slots:
        if not _FILE_NAME.fullmatch(name):
            raise BundleError(where=str(path), expected="a bundle name that can name a file", got=repr(name))
        if name in named:
            raise BundleError(
                "two bundles go by one name",
                where=str(path),
                expected="file names that differ before their first dot, or a name for each",
                got=f"{name!r} for {named[name]} too",
            )
        named[name] = path
    return slots


def _check_followed(follow: Sequence[Follow], files: set[str]) -> None:
    taken = set(files)
    for each in follow:
        if not _STORED_NAME.fullmatch(each.name):
            raise BundleError(expected="the name of a bundle in a store", got=repr(each.name)[:200])
        if each.name in taken:
            raise BundleError(
                "two bundles go by one name",
                where=str(each.store),
                expected="a bundle from a file or from one store",
                got=f"{each.name!r} twice",
            )
        taken.add(each.name)


_FILE_NAME = re.compile(r"[^./\x00-\x1f][^/\x00-\x1f]{0,199}")
_STORED_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
