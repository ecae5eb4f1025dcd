"""Signatures of MLflow and ours, both ways, and documents in MLflow models.

import trimtab.mlflow

mlflow.onnx.log_model(
model, name="ranker", signature=trimtab.mlflow.to_mlflow(signature), metadata=trimtab.mlflow.metadata(signature)
)
"""

from __future__ import annotations

from trimtab.mlflow.converting import from_mlflow, to_mlflow
from trimtab.mlflow.embedding import embed, metadata

__all__ = ["embed", "from_mlflow", "metadata", "to_mlflow"]
