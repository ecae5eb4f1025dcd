"""Save scikit-learn estimators with their signature: in skops and ONNX files, and beside joblib files.

import trimtab.sklearn

trimtab.sklearn.save(pipeline, "ranker.skops", X_example=frame)
trimtab.sklearn.save(pipeline, "ranker.onnx", X_example=frame)
"""

from __future__ import annotations

from trimtab.sklearn.describing import describe
from trimtab.sklearn.saving import save

__all__ = ["describe", "save"]
