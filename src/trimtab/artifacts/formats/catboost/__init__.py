"""CatBoost models, binary (`.cbm`) and exported as JSON: the features they were trained on, and a document."""

from __future__ import annotations

from trimtab.artifacts.formats.catboost.reader import declared, derive, embed, match, name

__all__ = ["declared", "derive", "embed", "match", "name"]
