"""Save XGBoost models with their signature among the attributes.

import trimtab.xgboost

trimtab.xgboost.save(booster, "ranker.ubj", X_example=frame)
"""

from __future__ import annotations

from trimtab.xgboost.saving import save

__all__ = ["save"]
