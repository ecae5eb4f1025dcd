"""XGBoost models, as JSON or UBJSON: names and kinds of features, categories, the objective, and free attributes."""

from __future__ import annotations

from trimtab.artifacts.formats.xgboost.reader import declared, derive, embed, match, name

__all__ = ["declared", "derive", "embed", "match", "name"]
