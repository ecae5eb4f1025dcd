"""Export from torch with the signature inside, in one step.

import trimtab.torch

trimtab.torch.save(model, "model.pt2", example_inputs=(features,), output_names=["score"])
trimtab.torch.save(torch.jit.script(model), "model.pt", example_inputs=(features,), output_names=["score"])
trimtab.torch.save(torch.export.export(model, args), "model.pt2", output_names=["score"])
"""

from __future__ import annotations

from trimtab.errors import LossyExportWarning
from trimtab.torch.describing import describe
from trimtab.torch.saving import save

__all__ = ["LossyExportWarning", "describe", "save"]
