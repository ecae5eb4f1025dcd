"""Export rankers in three formats, each with its signature document inside."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

import trimtab.onnx
import trimtab.torch
from examples.demo.rankers import Ranker, Recipe
from trimtab import Signature

EXAMPLES = 3
"""The batch of the example inputs: a size that no feature's own shape has."""


def export(ranker: Ranker, recipe: Recipe, values: dict[str, NDArray[np.generic]], folder: Path) -> Signature:
    """Write `folder/recipe.file` and return the signature that it declares.

    values: example values of every feature of the universe, arrays of shape [n, ...].
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / recipe.file
    example = {name: torch.from_numpy(values[name][:EXAMPLES].copy()) for name in ranker.features}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch's own, of TorchScript and inside its exporters
        warnings.simplefilter("ignore", FutureWarning)
        if path.suffix == ".pt":
            return trimtab.torch.save(torch.jit.script(ranker), path, example_inputs=(example,))
        batch = {name: {0: torch.export.Dim.DYNAMIC} for name in example}
        program = torch.export.export(ranker, (example,), dynamic_shapes=(batch,))
        if path.suffix == ".pt2":
            return trimtab.torch.save(program, path)
        exported = torch.onnx.export(program, input_names=list(example), output_names=["score"], verbose=False)
        return trimtab.onnx.save(exported, path)
