"""Who has not followed yet, and what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from msgspec import Struct

from trimtab.bundles.store.pointers import Pointer, Stage, Tier
from trimtab.errors import MoveRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.bundles.store.entry import Entry
    from trimtab.rollout.evidence import Evidence

MARGIN_S = 1.0
"""How much longer than its lease a root is awaited: requests that it trimmed at the very end are still on their way."""


class Awaited(Struct, frozen=True, kw_only=True):
    """One instance that a move has to wait for.

    instance: its name; empty for all roots together, where they do not acknowledge. entry, in_force: its last word.
    wants: what it has to have in force, or to leave. age_s: since that word. expires_s: in how many seconds it is no
    longer awaited at the latest; None for leaves, whose words do not expire.
    """

    tier: Tier
    stage: Stage
    instance: str
    entry: int
    in_force: Pointer
    wants: str
    age_s: float
    expires_s: float | None

    def __str__(self) -> str:
        who = f"{self.tier} {self.instance} ({self.stage})" if self.instance else f"roots of the {self.stage} stage"
        has = f" has {self.in_force} (entry {self.entry}, said {self.age_s:.0f} s ago)," if self.instance else ""
        if self.expires_s is None:
            return f"{who}{has} {self.wants}. If it has ended for good: --gone {self.instance}"
        return f"{who}{has} {self.wants}. It is no longer awaited in {self.expires_s:.0f} s."


class AwaitedError(MoveRefusedError):
    """A move that has to wait. awaited: for whom; the same move may be allowed a moment later.

    moved: the numbers of the entries that the same command appended before it.
    """

    awaited: tuple[Awaited, ...]
    moved: tuple[int, ...] = ()

    def __init__(self, problem: str = "", *, awaited: tuple[Awaited, ...] = (), **facts: str) -> None:
        self.awaited = awaited
        super().__init__(problem, **facts)

    def as_dict(self) -> dict[str, Any]:
        """The error's facts, those who are awaited as objects, and the entries made before."""
        from msgspec import to_builtins

        return {**super().as_dict(), "awaited": to_builtins(self.awaited), "moved": list(self.moved)}


def roots_awaited(head: Entry, stage: Stage, pointer: Pointer, evidence: Evidence) -> Iterator[Awaited]:
    """Roots of a stage that may still answer as they did before their pointer became `pointer`."""
    place = (Tier.ROOT, stage)
    moved = evidence.moved.get(place)
    number = head.number if moved is None else moved.number
    limit = evidence.lease_s + MARGIN_S
    if not evidence.acknowledge:
        age_s = 0.0 if moved is None else moved.age_s
        if age_s <= limit:
            yield Awaited(
                tier=Tier.ROOT,
                stage=stage,
                instance="",
                entry=number,
                in_force=pointer,
                wants=f"do not acknowledge, and may hold a lease from before entry {number}",
                age_s=age_s,
                expires_s=limit - age_s,
            )
        return
    for each in evidence.words.get(place, ()):
        followed = each.said.entry >= number and each.said.in_force.covers(pointer)
        if not followed and each.age_s <= limit:
            yield Awaited(
                tier=Tier.ROOT,
                stage=stage,
                instance=each.instance,
                entry=each.said.entry,
                in_force=each.said.in_force,
                wants=f"and has to take {pointer} (entry {number})",
                age_s=each.age_s,
                expires_s=limit - each.age_s,
            )


def leaves_awaited(stage: Stage, stays: Pointer, evidence: Evidence, *, serving: bool = False) -> Iterator[Awaited]:
    """Leaves of a stage that serve, or are about to serve, anything but what stays covered.

    serving: also those that serve nothing yet, or are about to.
    """
    for each in evidence.words.get((Tier.LEAF, stage), ()):
        if each.said.in_force != stays if serving else not stays.covers(each.said.in_force):
            yield Awaited(
                tier=Tier.LEAF,
                stage=stage,
                instance=each.instance,
                entry=each.said.entry,
                in_force=each.said.in_force,
                wants=f"and has to serve {stays} alone",
                age_s=each.age_s,
                expires_s=None,
            )
