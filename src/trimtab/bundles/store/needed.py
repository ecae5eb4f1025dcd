"""Which bundles of a store somebody needs, and why: what is in force, what may have to be again, and what was lately.

Everything that decides over a bundle's removal is here, so that who lists, who prunes and who verifies agree.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from trimtab.bundles.store.acknowledged import acknowledged
from trimtab.bundles.store.entry import Position
from trimtab.bundles.store.pointers import Stage, Tier

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from trimtab.bundles.store.entry import Entry
    from trimtab.bundles.store.store import Store


class Use(Struct, frozen=True, kw_only=True):
    """What becomes of one bundle by a store's histories.

    needed: why it must stay, in words that follow "the bundle"; empty where it may go. until: the name and number of
    the last entry that had it in force. dropped_s: for how many seconds it has been in force nowhere; None where it
    never was, and 0 while it is.
    """

    needed: tuple[str, ...] = ()
    until: tuple[str, int] | None = None
    dropped_s: float | None = None


class Uses(NamedTuple):
    """What histories and instances say of bundles. of: by digest. heads: the last entry of each history."""

    of: dict[str, Use]
    heads: dict[str, int]


def uses(store: Store) -> Uses:
    """Every bundle that a history names or an instance says it has. Reads all histories.

    StoreError where something cannot be read: what is not known to be free is not to be removed.
    """
    now = store.now()
    found: dict[str, Use] = {}
    heads: dict[str, int] = {}
    for name in store.names():
        entries = list(store.entries(name))
        heads[name] = len(entries)
        reasons = dict.fromkeys(_said(store, name), f"is what a root or leaf of {name} says that it has")
        reasons |= needed_by(entries)
        last = _last_named(entries)
        for digest in reasons.keys() | last.keys():
            number = last.get(digest)
            use = Use(
                needed=(reasons[digest],) if digest in reasons else (),
                until=None if number is None else (name, number),
                dropped_s=None if number is None else _dropped_s(store, name, number, heads[name], now),
            )
            found[digest] = _joined(found.get(digest), use)
    return Uses(found, heads)


def named_since(store: Store, heads: Mapping[str, int]) -> frozenset[str]:
    """The bundles that are named by entries which came after those that were read before."""
    found: set[str] = set()
    for name in store.names():
        number = heads.get(name, 0) + 1
        while (entry := store.entry(name, number)) is not None:
            found |= entry.pointers.bundles
            if entry.rollout is not None:
                found |= {each for each in (entry.rollout.current, entry.rollout.pending) if each is not None}
            number += 1
    return frozenset(found)


def needed_by(entries: Iterable[Entry]) -> dict[str, str]:
    """The bundles that one history, from its beginning, needs for what may be done next, each with why.

    What is in force; what a rollout in motion is between, and a settled one would be rolled back to; and what was
    rolled back, for a root may hold it still, and a start holds new bundles against it.
    """
    needed: dict[str, str] = {}
    last: Entry | None = None
    for entry in entries:
        last = entry
        rollout = entry.rollout
        if rollout is not None and rollout.position is Position.ROLLED_BACK:
            needed[rollout.pending] = (
                f"was rolled back (entry {entry.number} of {entry.name}), and new ones are held to it"
            )
    if last is not None and last.rollout is not None and last.rollout.current is not None:
        needed[last.rollout.current] = f"is what a rollback of {last.name} restores"
    if last is not None and last.rollout is not None and not last.rollout.position.over:
        needed[last.rollout.pending] = f"is being rolled out as {last.name}"
    if last is not None:
        needed.update(dict.fromkeys(last.pointers.bundles, f"is in force as {last.name}"))
    return needed


def _said(store: Store, name: str) -> Iterator[str]:
    for tier in Tier:
        for stage in Stage:
            for each in acknowledged(store, name, tier, stage):
                yield from each.said.in_force.bundles


def _last_named(entries: Iterable[Entry]) -> dict[str, int]:
    """For each bundle the number of the last entry that has it in force."""
    return {digest: entry.number for entry in entries for digest in entry.pointers.bundles}


def _dropped_s(store: Store, name: str, number: int, head: int, now: float) -> float:
    """Since when the entry after `number` is written, which has the bundle in force no more; 0 where there is none."""
    return 0.0 if number == head else now - store.written_at(name, number + 1)


def _joined(one: Use | None, other: Use) -> Use:
    """What two histories that name the same bundle say of it together."""
    if one is None:
        return other
    later = min((one, other), key=lambda each: math.inf if each.dropped_s is None else each.dropped_s)
    return Use(needed=(*one.needed, *other.needed), until=later.until, dropped_s=later.dropped_s)
