"""The demo's feature source: the whole universe as packed rows in one SQLite file."""

from __future__ import annotations

from pathlib import Path

from examples.demo import universe
from trimtab.serving.root.features.source import FeatureSpec, Level, View
from trimtab.serving.root.features.sqlite import SqliteFeatures
from trimtab.signature.dtypes import DType

LEVELS = {universe.ITEM: Level.CANDIDATE, universe.USER: Level.REQUEST}


def write_features(path: Path) -> None:
    """Write every feature of every entity."""
    views = [
        View(
            view,
            tuple(
                FeatureSpec(name, DType(kind.dtype), kind.shape)
                for kind in universe.KINDS
                if kind.view == view
                for name in kind.names
            ),
            level,
        )
        for view, level in LEVELS.items()
    ]
    features = SqliteFeatures.create(path, views)
    for view, count in universe.ENTITIES.items():
        features.write(view, universe.keys(view), universe.columns(view, count))
    features.close()
