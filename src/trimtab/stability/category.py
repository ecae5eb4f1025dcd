"""How much must stay the same: four sets of rules, each a part of the stricter one before it."""

from __future__ import annotations

from enum import StrEnum


class Category(StrEnum):
    """A set of rules, from the strictest to the laxest."""

    FREEZE = "FREEZE"
    """Nothing of the contract changes: a changed signature is another model, and gets another name."""
    SCHEMA = "SCHEMA"
    """Nothing that a caller may rely on is taken away or means something else."""
    FEED = "FEED"
    """A request made for the old version, trimmed for the new one, is accepted and read as it was meant."""
    WIRE = "WIRE"
    """The bytes of a request made for the old version are decoded to the same values."""

    def includes(self, other: Category) -> bool:
        """Whether every rule of `other` is a rule of this category too."""
        order = list(Category)
        return order.index(self) <= order.index(other)


FREEZE, SCHEMA, FEED, WIRE = Category
