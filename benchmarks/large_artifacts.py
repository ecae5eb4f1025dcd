"""Make models of about 1 GB, as serving has them: 200 inputs, 400 weights, TorchScript, torch.export and ONNX.

python benchmarks/large_artifacts.py FOLDER [--megabytes 1024]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

INPUTS = 200
WEIGHTS = 400

warnings.filterwarnings("ignore")


def torch_model(megabytes: int) -> Any:
    """A module with many inputs and weights of the asked size, written as code that torch.jit.script reads."""
    width = megabytes * (1 << 20) // (4 * WEIGHTS)
    names = [f"feature_{index}" for index in range(INPUTS)]
    arguments = ", ".join(f"{name}: torch.Tensor" for name in names)
    lines = [
        "import torch",
        "class Model(torch.nn.Module):",
        "    def __init__(self):",
        "        super().__init__()",
        *(f"        self.w{i} = torch.nn.Parameter(torch.rand({width}))" for i in range(WEIGHTS)),
        f"    def forward(self, {arguments}) -> torch.Tensor:",
        f"        x = {' + '.join(names)}",
        *(f"        x = x + self.w{i}[0]" for i in range(WEIGHTS)),
        "        return x",
    ]
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "benchmarked_model.py").write_text("\n".join(lines) + "\n")
        sys.path.insert(0, folder)
        model = import_module("benchmarked_model").Model()
        torch = import_module("torch")
        scripted = torch.jit.script(model)
    return model, scripted


def onnx_model(megabytes: int) -> Any:
    import numpy as np
    import onnx

    width = megabytes * (1 << 20) // (4 * WEIGHTS)
    inputs = [onnx.helper.make_tensor_value_info(f"feature_{i}", 1, ["n"]) for i in range(INPUTS)]
    weights = [onnx.numpy_helper.from_array(np.random.rand(width).astype("f4"), f"w{i}") for i in range(WEIGHTS)]
    output = onnx.helper.make_tensor_value_info("score", 1, ["n"])
    nodes = [onnx.helper.make_node("Sum", [it.name for it in inputs], ["x0"])]
    nodes.append(onnx.helper.make_node("Constant", [], ["zero"], value_int=0))
    for i in range(WEIGHTS):
        nodes.append(onnx.helper.make_node("Gather", [f"w{i}", "zero"], [f"g{i}"]))
        last = "score" if i == WEIGHTS - 1 else f"x{i + 1}"
        nodes.append(onnx.helper.make_node("Add", [f"x{i}", f"g{i}"], [last]))
    graph = onnx.helper.make_graph(nodes, "g", inputs, [output], weights)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def make(folder: Path, megabytes: int) -> None:
    """Write `model.pt`, `model.pt2` and `model.onnx` into the folder."""
    import onnx
    import torch

    folder.mkdir(parents=True, exist_ok=True)
    model, scripted = torch_model(megabytes)
    torch.jit.save(scripted, str(folder / "model.pt"))
    program = torch.export.export(model, tuple(torch.zeros(3) for _ in range(INPUTS)))
    torch.export.save(program, str(folder / "model.pt2"))
    onnx.save(onnx_model(megabytes), folder / "model.onnx")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--megabytes", type=int, default=1024)
    given = parser.parse_args()
    make(given.folder, given.megabytes)
