"""Save LightGBM models with their signature in the header.

import trimtab.lightgbm

trimtab.lightgbm.save(booster, "ranker.txt", X_example=frame)
"""

from __future__ import annotations

from trimtab.lightgbm.saving import save

__all__ = ["save"]
