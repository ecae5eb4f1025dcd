"""Follow one bundle's history in a store, for one tier at one stage: what it says is in force, checked.

A follower refuses a history that is shorter than, or differs from, the one that it has seen: an older bundle returns by
a recorded move or not at all. It knows nothing of leases, maps or models; roots and leaves build on it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from msgspec import Struct

from trimtab.bundles.store.acknowledged import Acknowledgment, acknowledge, withdraw
from trimtab.bundles.store.opening import storage_at
from trimtab.bundles.store.pointers import Pointer
from trimtab.bundles.store.store import Store
from trimtab.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trimtab.bundles.bundle import Bundle
    from trimtab.bundles.store.entry import Entry
    from trimtab.bundles.store.pointers import Stage, Tier
    from trimtab.bundles.store.storage import Storage
    from trimtab.bundles.store.store import Settings


class Follow(Struct, frozen=True, kw_only=True):
    """What to follow.

    store: the place of the store, a folder or an address, or a storage made by the caller. name: the bundle's.
    stage: whose pointer. verify: called with the store and a bundle's digest before the bundle is used; raises
    StoreError for one that must not be, for example because nobody whose public key is known attests it.
    """

    store: str | os.PathLike[str] | Storage
    name: str
    stage: Stage
    verify: Callable[[Store, str], object] | None = None


class Held(Struct, frozen=True, kw_only=True):
    """What a follower has seen last, with everything checked.

    entry: the history's last entry; None where it has not begun. pointer: what it says of the tier and stage followed.
    bundles: those of the pointer, by digest.
    """

    entry: Entry | None
    pointer: Pointer
    bundles: Mapping[str, Bundle]

    @property
    def number(self) -> int:
        """The entry's number; 0 before the first."""
        return 0 if self.entry is None else self.entry.number


class OtherHistoryError(StoreError):
    """A history that is not the one that was followed before."""


class Follower:
    """Looks at one history. For one thread at a time.

    held: what was seen last; may be set to what an earlier process saw, before the first look.
    Raises StoreError for a place that is none, and MissingExtraError for one that needs a package. The store itself is
    opened by the first look, and again until that succeeds.
    """

    def __init__(self, follow: Follow, tier: Tier, *, timeout_s: float | None = None) -> None:
        self.follow = follow
        self.held: Held | None = None
        self._tier = tier
        place = follow.store
        self._storage = storage_at(place, timeout_s) if isinstance(place, str | os.PathLike) else place
        self._store: Store | None = None
        self._verified: set[str] = set()

    @property
    def store(self) -> Store:
        """The store. StoreError where there is none, or it cannot be reached."""
        if self._store is None:
            self._store = Store(self._storage)
        return self._store

    @property
    def settings(self) -> Settings | None:
        """The store's settings; None until it was opened. Asks nothing of the store."""
        return None if self._store is None else self._store.settings

    def look(self, *, whole: bool) -> Held:
        """What the history's end says; the very object of the look before where nothing has moved.

        whole: also check that the history still is the one that was seen before. Without that a look at a history that
        has not moved is one read.
        Raises StoreError, and leaves `held` as it was, for whatever cannot be read or must not be followed.
        """
        held = self.held
        if held is not None and not whole and not self.moved():
            return held
        if held is not None and held.entry is not None:
            self._check_continues(held.entry)
        head = self.store.head(self.follow.name, 0 if held is None else held.number)
        pointer = Pointer() if head is None else head.pointers.at(self._tier, self.follow.stage)
        bundles = {digest: self._bundle(digest, held) for digest in pointer.bundles}
        if held is None or _number(head) != held.number:
            self.held = held = Held(entry=head, pointer=pointer, bundles=bundles)
        return held

    def moved(self) -> bool:
        """Whether the history has gone on since the last look: one read."""
        seen = 0 if self.held is None else self.held.number
        return self.store.entry(self.follow.name, seen + 1) is not None

    def acknowledge(self, instance: str, entry: int, in_force: Pointer) -> None:
        """Write this instance's word into the store."""
        said = Acknowledgment(entry=entry, in_force=in_force)
        acknowledge(self.store, self.follow.name, self._tier, self.follow.stage, instance=instance, said=said)

    def withdraw(self, instance: str) -> None:
        """Take this instance's word away."""
        withdraw(self.store, self.follow.name, self._tier, self.follow.stage, instance)

    def _check_continues(self, known: Entry) -> None:
        """The history is the one that was seen before, gone on or not."""
        seen = self.store.entry(self.follow.name, known.number)
        if seen is None or seen.hash != known.hash:
            raise OtherHistoryError(
                "the history is shorter than it was" if seen is None else "the history is not the one followed before",
                where=f"{self.store.name}: {self.follow.name}, entry {known.number}",
                expected=known.hash,
                got="none" if seen is None else seen.hash,
                hint="Was the store restored from an older copy, or is it another one? What was good before stays.",
            )

    def _bundle(self, digest: str, held: Held | None) -> Bundle:
        bundle = held.bundles.get(digest) if held is not None else None
        if bundle is None:
            bundle = self.store.bundle(digest)
            if bundle.name != self.follow.name:
                raise StoreError(
                    "the history names another bundle",
                    where=f"{self.store.name}: {self.follow.name}",
                    expected=f"a bundle named {self.follow.name!r}",
                    got=f"{bundle.name!r} ({digest})",
                )
        if self.follow.verify is not None and digest not in self._verified:
            self.follow.verify(self.store, digest)
            self._verified.add(digest)
        return bundle


def _number(entry: Entry | None) -> int:
    return 0 if entry is None else entry.number
