"""Read and embed signatures, beside the frameworks' own loaders, in one process and run.

    python benchmarks/artifacts.py [--megabytes 128] [--json FILE]

Models of the asked size with 200 inputs, as TorchScript, torch.export and ONNX. The times are the least of several
repetitions with the file in the page cache, in milliseconds; importing a framework (about a second for torch) is not
counted against it. Bytes touched are what the reader fetched from the file. Embedding is measured beside copying the
file, which is what rewriting it would cost at least.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import torch

from trimtab.artifacts import embed_signature, read_signature
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from collections.abc import Callable

INPUTS = 200
LAYERS = 64

warnings.filterwarnings("ignore")


def torch_model(megabytes: int) -> torch.nn.Module:
    """A module with many inputs and weights of the asked size, written as code that torch.jit.script reads."""
    names = [f"feature_{index}" for index in range(INPUTS)]
    width = megabytes * (1 << 20) // (4 * LAYERS)
    arguments = ", ".join(f"{name}: torch.Tensor" for name in names)
    lines = [
        "import torch",
        "class Model(torch.nn.Module):",
        "    def __init__(self, width):",
        "        super().__init__()",
    ]
    lines += [f"        self.w{i} = torch.nn.Parameter(torch.rand(width))" for i in range(LAYERS)]
    lines += [f"    def forward(self, {arguments}) -> torch.Tensor:", f"        x = {' + '.join(names)}"]
    lines += [f"        x = x + self.w{i}[0]" for i in range(LAYERS)]
    lines += ["        return x"]
    folder = Path(tempfile.mkdtemp())
    (folder / "benchmarked_model.py").write_text("\n".join(lines) + "\n")
    import sys

    sys.path.insert(0, str(folder))
    import benchmarked_model

    model: torch.nn.Module = benchmarked_model.Model(width)
    return model


def onnx_model(megabytes: int) -> Any:
    width = megabytes * (1 << 20) // (4 * LAYERS)
    inputs = [onnx.helper.make_tensor_value_info(f"feature_{i}", 1, ["n"]) for i in range(INPUTS)]
    weights = [onnx.numpy_helper.from_array(np.random.rand(width).astype("f4"), f"w{i}") for i in range(LAYERS)]
    output = onnx.helper.make_tensor_value_info("score", 1, ["n"])
    node = onnx.helper.make_node("Sum", [it.name for it in inputs], ["score"])
    return onnx.helper.make_model(onnx.helper.make_graph([node], "g", inputs, [output], weights))


def least(call: Callable[[], object], repetitions: int) -> float:
    times = []
    for _ in range(repetitions):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return min(times) * 1000


def touched(path: Path) -> int:
    with LocalFile(path) as source:
        read_signature(source)
        return source.bytes_read


def measure(name: str, path: Path, load: Callable[[], object]) -> dict[str, Any]:
    derived = read_signature(path)
    assert len(derived.inputs) == INPUTS
    figures: dict[str, Any] = {
        "bytes": path.stat().st_size,
        "derive_ms": least(lambda: read_signature(path), 5),
        "derive_bytes_touched": touched(path),
        "load_ms": least(load, 2),
        "copy_ms": least(lambda: copy_synced(path), 2),
    }
    embedding = []
    for _ in range(5):
        os.truncate(path, figures["bytes"])
        started = time.perf_counter()
        embed_signature(path, derived)
        embedding.append((time.perf_counter() - started) * 1000)
    figures["embed_ms"] = min(embedding)
    figures["read_ms"] = least(lambda: read_signature(path), 5)
    figures["read_bytes_touched"] = touched(path)
    figures["load_over_read"] = figures["load_ms"] / figures["read_ms"]
    figures["copy_over_embed"] = figures["copy_ms"] / figures["embed_ms"]
    print(
        f"{name:12} {figures['bytes'] / 1e6:7.0f} MB   read {figures['read_ms']:7.1f} ms "
        f"({figures['read_bytes_touched'] / 1e3:6.0f} KB)   framework's load {figures['load_ms']:7.0f} ms "
        f"= {figures['load_over_read']:5.0f}x   embed {figures['embed_ms']:7.1f} ms, copy {figures['copy_ms']:6.0f} ms "
        f"= {figures['copy_over_embed']:4.0f}x"
    )
    return figures


def copy_synced(path: Path) -> None:
    copy = path.with_suffix(".copy")
    shutil.copyfile(path, copy)
    with copy.open("rb") as file:
        os.fsync(file.fileno())
    copy.unlink()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=128, help="weights per model (default 128)")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    arguments = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        model = torch_model(arguments.megabytes)
        script, program, graph = (Path(folder) / name for name in ("model.pt", "model.pt2", "model.onnx"))
        torch.jit.save(torch.jit.script(model), str(script))
        figures["torchscript"] = measure("TorchScript", script, lambda: torch.jit.load(str(script)))
        torch.export.save(torch.export.export(model, tuple(torch.zeros(3) for _ in range(INPUTS))), str(program))
        figures["pt2"] = measure("torch.export", program, lambda: torch.export.load(str(program)))
        onnx.save(onnx_model(arguments.megabytes), graph)
        figures["onnx"] = measure("ONNX", graph, lambda: onnx.load(graph))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
