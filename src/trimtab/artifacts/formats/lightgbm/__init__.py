"""LightGBM models in its text format: names, what training saw of each feature, and the objective, around the trees."""

from __future__ import annotations

from trimtab.artifacts.formats.lightgbm.reader import declared, derive, embed, match, name

__all__ = ["declared", "derive", "embed", "match", "name"]
