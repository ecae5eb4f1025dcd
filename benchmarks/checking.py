"""`trimtab check` over thousands of pairs, beside a loop of `onnx.load` that compares names, types and shapes.

    python benchmarks/checking.py [--json FILE] [--pairs 5000] [--runs 3]

Two repositories of ONNX models with 20 inputs each: what is live, and new versions, of which one in a hundred lacks an
input. No file is that of the version before to the byte, as after a training, and only where `copied` stands: there,
what is live is held against a copy of itself. `bare` models have no weights; those of `weights` have 256 KiB, which
the gate does not read, and are a tenth as many. The repositories are also held against a bundle in a store, which has
the signatures already. Whole processes, the median of their wall times; the page cache is warm. The peer reads both
models of a pair and compares their inputs and outputs; it knows no rules, no symbolic sizes, no configuration, and
cannot read documents.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from onnx import TensorProto, helper
from processes import measured

INPUTS, CHANGED_ONE_IN, WEIGHTS = 20, 100, 256 << 10

PEER = """
import sys
from pathlib import Path
import onnx

def signature(path):
    graph = onnx.load(path).graph
    return [
        [(it.name, it.type.tensor_type.elem_type, [(d.dim_value, d.dim_param) for d in it.type.tensor_type.shape.dim])
         for it in side]
        for side in (graph.input, graph.output)
    ]

live, new = map(Path, sys.argv[1:])
changed = [
    each.parent.parent.name
    for each in sorted(new.glob("*/8/model.onnx"))
    if signature(each) != signature(live / each.parent.parent.name / "7" / "model.onnx")
]
print(len(changed), "changed")
"""


def model(names: list[str], weights: bytes, version: str) -> bytes:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 1]) for name in (*names, "score")]
    constants = (
        [helper.make_tensor("w", TensorProto.FLOAT, [1, len(weights) // 4], weights, raw=True)] if weights else []
    )
    graph = helper.make_graph([helper.make_node("Sum", names, ["score"])], "g", values[:-1], values[-1:], constants)
    return helper.make_model(graph, ir_version=8, producer_version=version).SerializeToString()


def make(folder: Path, pairs: int, weights: bytes) -> None:
    """`live` with version 7 of each model, and `next` with version 8."""
    for number in range(pairs):
        names = [f"feature.group_{at % 7}.name_{(13 * number + at) % 997}" for at in range(INPUTS)]
        for where, version in (("live", "7"), ("next", "8")):
            path = folder / where / f"model_{number}" / version / "model.onnx"
            path.parent.mkdir(parents=True)
            lacks = where == "next" and number % CHANGED_ONE_IN == 0
            path.write_bytes(model(names[: INPUTS - lacks], weights, version))


def store_of(folder: Path) -> Path:
    """A store in which the bundle of `live` is in production."""
    from trimtab.bundles.building.index import SignatureIndex
    from trimtab.bundles.bundle import read_bundle
    from trimtab.bundles.store.entry import first_entry
    from trimtab.bundles.store.local import LocalStorage
    from trimtab.bundles.store.pointers import Pointer, Pointers
    from trimtab.bundles.store.publishing import publish
    from trimtab.bundles.store.store import Store

    path = folder / "live.json"
    trimtab = [sys.executable, "-m", "trimtab"]
    subprocess.run(
        [*trimtab, "bundle", "build", folder / "live", "-o", path, "--json"], check=True, capture_output=True
    )
    store, bundle = Store.create(LocalStorage(folder / "store")), read_bundle(path)
    with SignatureIndex.beside(path) as index:
        publish(store, bundle, index.document)
    at = Pointer(bundle.digest)
    pointers = Pointers(root_canary=at, leaf_canary=at, root_production=at, leaf_production=at)
    store.append(first_entry(bundle.name, by="", why="", move="start", pointers=pointers, rollout=None))
    return folder / "store"


def competitors(folder: Path) -> dict[str, list[str]]:
    trimtab = [sys.executable, "-m", "trimtab", "check"]
    check = [*trimtab, str(folder / "next"), "--against"]
    live, store = str(folder / "live"), str(store_of(folder))
    copied = shutil.copytree(live, folder / "copied")
    return {
        "onnx.load of both, compared": [sys.executable, "-c", PEER, live, str(folder / "next")],
        "trimtab check, one process": [*check, live, "--jobs", "1"],
        "trimtab check": [*check, live],
        "trimtab check, copied": [*trimtab, str(copied), "--against", live],
        "trimtab check --against STORE": [*check, store],
    }


def compare(folder: Path, pairs: int, runs: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name, command in competitors(folder).items():
        refusing = ["/bin/sh", "-c", f"{shlex.join(command)} || test $? -eq 100"]
        figure: dict[str, float] = {"wall_ms": measured(refusing, runs)["wall_ms"]}
        figure["pairs_per_s"] = 1000 * pairs / figure["wall_ms"]
        figures[name] = figure
        peer = next(iter(figures.values()))["wall_ms"]
        figure["times_faster"] = peer / figure["wall_ms"]
        ratio = f"   {figure['times_faster']:5.1f}x as fast as onnx.load" if "trimtab" in name else ""
        print(f"  {name:32}{figure['wall_ms']:9.0f} ms {figure['pairs_per_s']:8.0f} pairs/s{ratio}", flush=True)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--pairs", type=int, default=5000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    figures = {}
    for kind, pairs, weights in (("bare", arguments.pairs, b""), ("weights", arguments.pairs // 10, bytes(WEIGHTS))):
        with tempfile.TemporaryDirectory(prefix="trimtab-checking-") as folder:
            make(Path(folder), pairs, weights)
            print(f"{kind}: {pairs} pairs", flush=True)
            figures[kind] = {"pairs": pairs, **compare(Path(folder), pairs, arguments.runs)}
    if arguments.json:
        arguments.json.write_text(json.dumps({"benchmark": "checking", **figures}, indent=2) + "\n")


if __name__ == "__main__":
    main()
