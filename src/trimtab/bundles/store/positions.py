"""What the pointers must be at each position of a rollout, and between one entry and the next.

Moves are made by `trimtab.rollout`; this is the other half, by which a history is checked whoever wrote it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from trimtab.bundles.store.entry import Position
from trimtab.bundles.store.pointers import Stage, Tier

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trimtab.bundles.store.entry import Entry, Rollout


def breaches(entry: Entry, before: Entry | None) -> Iterator[str]:
    """What is wrong with an entry after the one before it, as sentences; nothing of a sound one."""
    if entry.rollout is not None:
        yield from _at_position(entry, entry.rollout)
    if before is not None:
        yield from _after(entry, before)


_FORMER, _BOTH, _LATTER = "the former bundle", "both bundles", "the new bundle"

_STATED = {
    Position.ROOT_CANARY: (_BOTH, _FORMER, _FORMER, _FORMER),
    Position.LEAF_CANARY: (_BOTH, _LATTER, _FORMER, _FORMER),
    Position.ANALYZED: (_BOTH, _LATTER, _FORMER, _FORMER),
    Position.ROOT_PRODUCTION: (_BOTH, _LATTER, _BOTH, _FORMER),
    Position.LEAF_PRODUCTION: (_BOTH, _LATTER, _BOTH, _LATTER),
    Position.SETTLED: (_LATTER, _LATTER, _LATTER, _LATTER),
    Position.COVERING_BACK: (_BOTH, _LATTER, _BOTH, _LATTER),
    Position.LEAVES_BACK: (_BOTH, _FORMER, "", _FORMER),  # roots of production: as far as the rollout had come
    Position.ROLLED_BACK: (_FORMER, _FORMER, _FORMER, _FORMER),
}
"""For each position: root and leaf of the canary, root and leaf of production."""

_POINTERS = (
    (Stage.CANARY, Tier.ROOT),
    (Stage.CANARY, Tier.LEAF),
    (Stage.PRODUCTION, Tier.ROOT),
    (Stage.PRODUCTION, Tier.LEAF),
)


def _at_position(entry: Entry, rollout: Rollout) -> Iterator[str]:
    named = {
        _FORMER: {rollout.current} - {None},
        _BOTH: {rollout.current, rollout.pending} - {None},
        _LATTER: {rollout.pending},
    }
    for (stage, tier), stated in zip(_POINTERS, _STATED[rollout.position], strict=True):
        pointer = entry.pointers.at(tier, stage)
        if stated and set(pointer.bundles) != named[stated]:
            yield f"at {rollout.position} the {tier} of {stage} should have {stated} in force, and has {pointer}"


def _after(entry: Entry, before: Entry) -> Iterator[str]:
    """The root leads: a leaf goes where its root is already, and a root leaves nothing that a leaf still has."""
    for stage in Stage:
        root, leaf = (before.pointers.at(tier, stage) for tier in Tier)
        root_then, leaf_then = (entry.pointers.at(tier, stage) for tier in Tier)
        if not root.covers(leaf_then):
            yield f"the leaf of {stage} goes to {leaf_then}, while the root had only {root} before"
        if not root_then.covers(leaf):
            yield f"the root of {stage} goes to {root_then}, while the leaf had {leaf} before"
