"""The feature universe of the demo: 1,000 features of the kinds that a recommender's root holds.

Scalars, ids, counts, zero-padded id lists, embeddings and flags of items, and embeddings of the user. Values are drawn
with a fixed seed: every run of the demo sees the same world.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SEED = 20260501
USER, ITEM = "user", "item"
ENTITIES = {USER: 50, ITEM: 1000}
"""How many entities of each view the feature store holds."""


class Kind(NamedTuple):
    """A family of features: how many, of which entity, with which dtype and shape per entity."""

    prefix: str
    count: int
    view: str
    dtype: str
    shape: tuple[int, ...] = ()

    @property
    def names(self) -> list[str]:
        """The features' names."""
        return [f"{self.prefix}_{number:03}" for number in range(self.count)]


RATES = Kind("item_rate", 400, ITEM, "float32")
REFERENCES = Kind("item_reference", 200, ITEM, "int64")
COUNTS = Kind("item_count", 100, ITEM, "int64")
HISTORIES = Kind("item_history", 150, ITEM, "int64", (32,))
EMBEDDINGS = Kind("item_embedding", 50, ITEM, "float32", (64,))
FLAGS = Kind("item_flags", 50, ITEM, "bool", (8,))
TASTES = Kind("user_embedding", 50, USER, "float32", (64,))

KINDS = (RATES, REFERENCES, COUNTS, HISTORIES, EMBEDDINGS, FLAGS, TASTES)


def keys(view: str) -> list[str]:
    """The keys of a view's entities."""
    return [f"{view}-{number}" for number in range(ENTITIES[view])]


def columns(view: str, count: int) -> dict[str, NDArray[np.generic]]:
    """The values of every feature of a view for `count` entities: arrays of shape [count, ...]."""
    rng = np.random.default_rng([SEED, len(view)])
    return {name: _draw(rng, kind, count) for kind in KINDS if kind.view == view for name in kind.names}


def _draw(rng: np.random.Generator, kind: Kind, count: int) -> NDArray[np.generic]:
    shape = (count, *kind.shape)
    if kind is REFERENCES:
        return rng.integers(1, 1 << 40, shape)
    if kind is COUNTS:
        return rng.integers(0, 100, shape)
    if kind is HISTORIES:
        lengths = rng.geometric(0.15, (count, 1))
        return np.where(np.arange(kind.shape[0]) < lengths, rng.integers(1, 1 << 40, shape), 0)
    if kind is FLAGS:
        return rng.random(shape) < 0.3
    return rng.standard_normal(shape, dtype=np.float32)
