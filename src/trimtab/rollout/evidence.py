"""What a move may rest on: who says to follow what, and since when the pointers stand where they do.

Gathered anew for each move, after its history was read: whoever writes its word later than that finds that history.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from trimtab.bundles.store.acknowledged import acknowledged
from trimtab.bundles.store.pointers import Stage, Tier
from trimtab.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from trimtab.bundles.store.acknowledged import Acknowledged
    from trimtab.bundles.store.entry import Entry
    from trimtab.bundles.store.store import Store

Place: TypeAlias = tuple[Tier, Stage]

PLACES = tuple((tier, stage) for tier in Tier for stage in Stage)
"""The four pointers, by tier and stage."""


class Moved(Struct, frozen=True):
    """The entry that last changed a pointer; when it was written, and its age: seconds, by the store's clock."""

    number: int
    at_s: float
    age_s: float


class Evidence(Struct, frozen=True, kw_only=True):
    """What is known besides the history's last entry.

    lease_s, acknowledge: the store's settings. words: what the instances of each tier and stage acknowledged.
    moved: when the rollout at hand last changed each pointer; one that it has not changed is left out. started_s,
    reached_s: how long ago that rollout was started, and came to its position, by the store's clock.
    """

    lease_s: float
    acknowledge: bool
    words: Mapping[Place, tuple[Acknowledged, ...]]
    moved: Mapping[Place, Moved]
    started_s: float = 0.0
    reached_s: float = 0.0


def gather(store: Store, head: Entry) -> Evidence:
    """The evidence for a move from `head`. StoreError where something cannot be read."""
    now = store.now()
    entries = _of_rollout(store, head)
    moved = {place: (number, store.written_at(head.name, number)) for place, number in _moved(entries).items()}
    return Evidence(
        lease_s=store.settings.lease_s,
        acknowledge=store.settings.acknowledge,
        words={place: tuple(acknowledged(store, head.name, *place)) for place in PLACES},
        moved={place: Moved(number, at_s, now - at_s) for place, (number, at_s) in moved.items()},
        started_s=0.0 if head.rollout is None else now - store.written_at(head.name, head.rollout.started),
        reached_s=now - store.written_at(head.name, _reached(entries)),
    )


def without_leaves(evidence: Evidence, gone: Collection[str]) -> Evidence:
    """The evidence without what some leaves said: somebody answers for it that they have ended for good."""
    if not gone:
        return evidence
    words = {
        place: tuple(each for each in said if place[0] is not Tier.LEAF or each.instance not in gone)
        for place, said in evidence.words.items()
    }
    return replace(evidence, words=words)


def _of_rollout(store: Store, head: Entry) -> list[Entry]:
    """The entries of a rollout, the newest first, and the one before it where there is one."""
    entries = [head]
    while head.rollout is not None and entries[-1].number >= max(head.rollout.started, 2):
        entries.append(_before(store, entries[-1]))
    return entries


def _moved(entries: Sequence[Entry]) -> dict[Place, int]:
    """For each pointer, the last entry that is not as the one before it."""
    found: dict[Place, int] = {}
    for later, earlier in pairwise(entries):
        for place in PLACES:
            if later.pointers.at(*place) != earlier.pointers.at(*place):
                found.setdefault(place, later.number)
    first = entries[-1]
    if first.number == 1 and first.rollout is not None and first.rollout.started == 1:
        for place in PLACES:
            if first.pointers.at(*place).bundles:
                found.setdefault(place, 1)
    return found


def _reached(entries: Sequence[Entry]) -> int:
    """The entry by which the rollout came to the position where it is."""
    rollout = entries[0].rollout
    if rollout is None:
        return entries[0].number
    there = (rollout.started, rollout.position)
    return min(
        each.number
        for each in entries
        if each.rollout is not None and (each.rollout.started, each.rollout.position) == there
    )


def _before(store: Store, entry: Entry) -> Entry:
    earlier = store.entry(entry.name, entry.number - 1)
    if earlier is None or earlier.hash != entry.previous:
        raise StoreError(
            "the entry does not follow from the one before it",
            where=f"{store.name}: {entry.name}, entry {entry.number}",
            expected=entry.previous,
            got="none" if earlier is None else earlier.hash,
            hint="Find out what of the store is sound: trimtab store verify",
        )
    return earlier
