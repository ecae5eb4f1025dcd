"""Read and embed signatures, beside the frameworks' own loaders, in one process and run.

    python benchmarks/artifacts.py [--megabytes 128] [--json FILE]

Models of the asked size, as TorchScript, torch.export and ONNX (`large_artifacts.py`). The times are the least of some
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

import large_artifacts
import onnx
import torch
from large_artifacts import INPUTS

from trimtab.artifacts import embed_signature, read_signature
from trimtab.source.bytes import LocalFile

if TYPE_CHECKING:
    from collections.abc import Callable

warnings.filterwarnings("ignore")


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
        large_artifacts.make(Path(folder), arguments.megabytes)
        script, program, graph = (Path(folder) / name for name in ("model.pt", "model.pt2", "model.onnx"))
        figures["torchscript"] = measure("TorchScript", script, lambda: torch.jit.load(str(script)))
        figures["pt2"] = measure("torch.export", program, lambda: torch.export.load(str(program)))
        figures["onnx"] = measure("ONNX", graph, lambda: onnx.load(graph))
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
