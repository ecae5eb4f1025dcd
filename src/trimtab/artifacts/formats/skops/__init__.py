"""skops files: scikit-learn estimators as a zip with a JSON description and numpy arrays."""

from __future__ import annotations

from trimtab.artifacts.formats.skops.reader import declared, derive, embed, match, name

__all__ = ["declared", "derive", "embed", "match", "name"]
