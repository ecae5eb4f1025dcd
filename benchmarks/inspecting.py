"""`trimtab inspect` on models of 1 GB, beside the frameworks that would load them, in one run.

    python benchmarks/inspecting.py [--json FILE] [--models FOLDER] [--runs 5]

Whole processes: the median of their wall times, and the peak of their memory; the page cache is warm. `model.pt`,
`model.pt2` and `model.onnx` are made once, in FOLDER (default: below the system's folder for temporary files), each
with and without an embedded signature document. `unzip -p` of a document is the floor: it reads one entry and knows
nothing. `mlflow.models.get_model_info` looks at a small MLflow folder, as it always does.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import large_artifacts
from processes import measured

from trimtab.artifacts import embed_signature, read_signature

TARGET = {"wall_ms": 80, "peak_mib": 30, "times faster than the fastest framework": 20}

JIT_LOAD = "import sys, torch; torch.jit.load(sys.argv[1])"
EXPORT_LOAD = "import sys, torch; torch.export.load(sys.argv[1])"
ONNX_LOAD = "import sys, onnx; onnx.load(sys.argv[1])"
SESSION = "import sys, onnxruntime; onnxruntime.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])"
MLFLOW = "import sys; from mlflow.models import get_model_info; get_model_info(sys.argv[1]).signature"

PEERS = {
    "model.pt": {"torch.jit.load": JIT_LOAD},
    "model.pt2": {"torch.export.load": EXPORT_LOAD},
    "model.onnx": {"onnx.load": ONNX_LOAD, "onnxruntime session": SESSION},
}

ML_MODEL = """flavors:
  python_function:
    loader_module: mlflow.sklearn
mlflow_version: 3.17.2
signature:
  inputs: '[{"type": "double", "name": "age", "required": true}, {"type": "string", "name": "country"}]'
  outputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 2]}}]'
"""


def competitors(folder: Path) -> dict[str, dict[str, list[str]]]:
    """By model, the commands that look at it, by name."""
    python = sys.executable
    found: dict[str, dict[str, list[str]]] = {}
    for model, peers in PEERS.items():
        bare, embedded = folder / model, folder / "embedded" / model
        commands = {
            "python alone": [python, "-c", "pass"],
            "trimtab inspect": [python, "-m", "trimtab", "inspect", str(bare)],
            "trimtab inspect, document inside": [python, "-m", "trimtab", "inspect", str(embedded)],
        }
        if model != "model.onnx" and (unzip := shutil.which("unzip")):
            commands["unzip -p"] = [unzip, "-p", str(embedded), "*/extra/module_info.json"]
        for name, code in peers.items():
            commands[name] = [python, "-c", code, str(bare)]
        found[model] = commands
    found["MLmodel"] = {
        "python alone": [python, "-c", "pass"],
        "trimtab inspect": [python, "-m", "trimtab", "inspect", str(folder / "mlflow")],
        "mlflow get_model_info": [python, "-c", MLFLOW, str(folder / "mlflow")],
    }
    return found


def compare(model: str, commands: dict[str, list[str]], runs: int) -> dict[str, Any]:
    """Every competitor on one model, with what trimtab is faster than the fastest framework."""
    print(model, flush=True)
    figures: dict[str, Any] = {}
    for name, command in commands.items():
        ours = "trimtab" in name or name in ("python alone", "unzip -p")
        figures[name] = measured(command, 2 * runs if ours else max(1, runs // 2), {"MPLCONFIGDIR": "/nonexistent"})
    frameworks = [figure["wall_ms"] for name, figure in figures.items() if is_framework(name)]
    alone = figures["python alone"]
    for name, figure in figures.items():
        line = f"  {name:34}{figure['wall_ms']:9.1f} ms {figure['peak_mib']:8.1f} MiB"
        if "trimtab" in name:
            figure["times_faster"] = min(frameworks) / figure["wall_ms"]
            over = f"{figure['wall_ms'] - alone['wall_ms']:.1f} ms, {figure['peak_mib'] - alone['peak_mib']:.1f} MiB"
            line += f"   {figure['times_faster']:5.1f}x faster than the fastest framework; {over} over the interpreter"
        print(line, flush=True)
    return figures


def is_framework(name: str) -> bool:
    return "trimtab" not in name and name not in ("python alone", "unzip -p")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--models", type=Path, default=Path(tempfile.gettempdir()) / "trimtab-large-artifacts")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    prepare(arguments.models)
    figures = {
        model: compare(model, commands, arguments.runs) for model, commands in competitors(arguments.models).items()
    }
    print(f"asked of trimtab: {', '.join(f'{what} {figure}' for what, figure in TARGET.items())}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"target": TARGET, **figures}, indent=2) + "\n")


def prepare(folder: Path) -> None:
    """Make the models that are not there yet, in a process of its own: this one stays small."""
    done = folder / "embedded" / "done"
    if done.is_file():
        return
    subprocess.run([sys.executable, large_artifacts.__file__, folder], check=True)
    (folder / "mlflow").mkdir(exist_ok=True)
    (folder / "mlflow" / "MLmodel").write_text(ML_MODEL)
    (folder / "embedded").mkdir(exist_ok=True)
    for model in PEERS:
        copy = folder / "embedded" / model
        shutil.copyfile(folder / model, copy)
        embed_signature(copy, read_signature(copy))
    done.write_text(f"made by process {os.getpid()}\n")


if __name__ == "__main__":
    main()
