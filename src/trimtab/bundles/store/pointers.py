"""What each tier has in force at each stage, and the law between them: leaves serve nothing that roots do not cover.

The law is a part of the value. Pointers that break it cannot be made, be it by a move or by reading a history.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from trimtab.errors import StoreError

Digest = Annotated[str, Meta(pattern=r"\Asha256:[0-9a-f]{64}\Z")]


class Tier(StrEnum):
    """Who holds a bundle: roots trim by it, leaves load the models that it names."""

    ROOT = "root"
    LEAF = "leaf"


class Stage(StrEnum):
    """How far a bundle has come."""

    CANARY = "canary"
    PRODUCTION = "production"


class Pointer(Struct, frozen=True, forbid_unknown_fields=True):
    """What one tier has in force at one stage.

    current: the bundle; None before the first. pending: the one that is to follow it; where both are there the pointer
    is transitional, and a root trims by both together.
    """

    current: Digest | None = None
    pending: Digest | None = None

    @property
    def bundles(self) -> tuple[str, ...]:
        """The digests of the bundles in force: none, one, or current and pending."""
        return tuple(each for each in (self.current, self.pending) if each is not None)

    def covers(self, other: Pointer) -> bool:
        """Whether everything that `other` has in force is in force here."""
        return set(other.bundles) <= set(self.bundles)

    def __str__(self) -> str:
        return " + ".join(each.removeprefix("sha256:")[:12] for each in self.bundles) or "nothing"


class Pointers(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The four pointers of a bundle name. StoreError where a leaf's is not covered by the root's of its stage."""

    root_canary: Pointer = Pointer()
    leaf_canary: Pointer = Pointer()
    root_production: Pointer = Pointer()
    leaf_production: Pointer = Pointer()

    def __post_init__(self) -> None:
        """Hold the law: the root leads."""
        for stage in Stage:
            root, leaf = self.at(Tier.ROOT, stage), self.at(Tier.LEAF, stage)
            if leaf.pending is not None:
                raise StoreError(where=f"leaf {stage}", expected="one bundle: leaves serve no two", got=str(leaf))
            if not root.covers(leaf):
                raise StoreError(
                    "the root does not cover the leaf",
                    where=f"leaf {stage}",
                    expected=f"what the root has in force ({root})",
                    got=str(leaf),
                    hint="Roots lead: move the root's pointer first, and the leaf's when every root has followed.",
                )

    def at(self, tier: Tier, stage: Stage) -> Pointer:
        """The pointer of one tier at one stage."""
        pointer: Pointer = getattr(self, f"{tier}_{stage}")
        return pointer

    def moved(self, tier: Tier, stage: Stage, to: Pointer) -> Pointers:
        """The pointers after one of them moved. StoreError where that breaks the law."""
        return msgspec.structs.replace(self, **{f"{tier}_{stage}": to})

    @property
    def bundles(self) -> frozenset[str]:
        """The digests of everything in force anywhere."""
        return frozenset(each for tier in Tier for stage in Stage for each in self.at(tier, stage).bundles)
