"""Run every benchmark, each in a process of its own, and gather the figures.

    python -m benchmarks [--output FOLDER] [NAME ...]

Each measures its peer in the same run and prints the ratio. The figures also go to FOLDER (default
benchmarks/results): one JSON per benchmark, and `all.json` with the machine they were taken on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
NAMES = (
    "startup",
    "inspecting",
    "remote",
    "artifacts",
    "saved_model",
    "trimming",
    "consolidated_map",
    "building",
    "bundling",
    "converting",
    "checking",
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of: {', '.join(NAMES)}")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder for the JSON files")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(NAMES):
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    figures, failed = {}, []
    for name in arguments.names or NAMES:
        print(f"\n== {name}", flush=True)
        file = arguments.output / f"{name}.json"
        done = subprocess.run([sys.executable, HERE / f"{name}.py", "--json", file], cwd=HERE.parent, check=False)
        if done.returncode:
            failed.append(name)
        else:
            figures[name] = json.loads(file.read_text())
    machine = {
        "python": platform.python_version(),
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
    }
    (arguments.output / "all.json").write_text(json.dumps({"machine": machine, **figures}, indent=2) + "\n")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def cpu_model() -> str:
    """The processor's name, as the kernel tells it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


if __name__ == "__main__":
    sys.exit(main())
