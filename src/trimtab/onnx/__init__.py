"""Save ONNX models with the signature inside.

import trimtab.onnx

trimtab.onnx.save(model, "model.onnx")
"""

from __future__ import annotations

from trimtab.onnx.details import Details
from trimtab.onnx.saving import save

__all__ = ["Details", "save"]
