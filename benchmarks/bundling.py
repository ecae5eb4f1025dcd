"""`trimtab bundle build` over 10,000 model versions: everything read, nothing changed, one version changed.

    python benchmarks/bundling.py [--json FILE] [--repository FOLDER] [--runs 3]

Whole processes, the median of their wall times; the page cache is warm. The repository (ONNX, TorchScript, SavedModel
and documents, 20 to 320 inputs each; see `model_repository.py`) is made once, in FOLDER (default: below the system's
folder for temporary files). The peer is what a script would do without trimtab: one process that opens every file with
`onnx.load`, or reads the JSON out of the archive or the folder, and writes the names of the inputs by version. It knows
nothing of types, digests or versions that changed, and passes over the SavedModels, a tenth of all, for want of a
reader without TensorFlow; it has no index, so that its second run is as long as its first.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import tempfile
from pathlib import Path

import model_repository
from processes import measured

TARGET_S = {"everything read": 30, "nothing changed": 2}

PEER = """
import json, sys, zipfile
from pathlib import Path
import onnx

names = {}
for path in sorted(Path(sys.argv[1]).glob("[!.]*/*/*")):
    if path.suffix == ".onnx":
        found = [each.name for each in onnx.load(path, load_external_data=False).graph.input]
    elif path.suffix == ".pt":
        with zipfile.ZipFile(path) as archive:
            (entry,) = [each for each in archive.namelist() if each.endswith("/extra/module_info.json")]
            found = json.loads(archive.read(entry))["input_names"]
    elif path.name == "signature.json":
        found = json.loads(path.read_bytes())["input_names"]
    else:
        continue
    names[f"{path.parent.parent.name}/{path.parent.name}"] = found
Path(sys.argv[2]).write_text(json.dumps(names))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--repository", type=Path, default=Path(tempfile.gettempdir()) / "trimtab-model-repository")
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    repository = model_repository.make(given.repository)
    versions = model_repository.MODELS * model_repository.VERSIONS
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        commands = competitors(repository, Path(folder))
        print(f"{versions:,} versions{'wall':>29}{'per version':>14}{'target':>9}{'peer / trimtab':>18}")
        for name, command in commands.items():
            wall_s = measured(command, given.runs)["wall_ms"] / 1000
            figures[name] = {"wall_s": wall_s, "per_version_us": 1e6 * wall_s / versions}
        peer_s = figures["peer, everything read"]["wall_s"]
    for name, figure in figures.items():
        wall_s = figure["wall_s"]
        figure["ratio"] = peer_s / wall_s
        target = f"{TARGET_S[name]} s" if name in TARGET_S else ""
        print(f"{name:26}{wall_s:>17.2f} s{figure['per_version_us']:>11.0f} us{target:>9}{figure['ratio']:>17.1f}x")
    if given.json:
        given.json.write_text(
            json.dumps({"benchmark": "bundling", "versions": versions, "rows": figures}, indent=2) + "\n"
        )


def competitors(repository: Path, folder: Path) -> dict[str, list[str]]:
    """The commands, by what each does. The indexes are filled by the run that warms the caches."""
    build = [sys.executable, "-m", "trimtab", "bundle", "build", str(repository), "-o"]
    touched = next((repository / "onnx_00000" / "1").iterdir())
    after_a_touch = shlex.join([*build, str(folder / "touched.json")])
    return {
        "peer, everything read": [sys.executable, "-c", PEER, str(repository), str(folder / "names.json")],
        "everything read": [*build, str(folder / "cold.json"), "--no-index"],
        "everything read, one core": [*build, str(folder / "one.json"), "--no-index", "--jobs", "1"],
        "nothing changed": [*build, str(folder / "warm.json")],
        "one version changed": ["/bin/sh", "-c", f"touch {shlex.quote(str(touched))} && exec {after_a_touch}"],
    }


if __name__ == "__main__":
    main()
