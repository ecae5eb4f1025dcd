"""What it costs to start: `import trimtab` and `trimtab --help`, beside the interpreter alone and the frameworks.

    python benchmarks/startup.py [--json FILE]

Whole processes; the median of several, in milliseconds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

BUDGET_MS = {"import trimtab": 60, "trimtab --help": 150}
PROCESSES = {
    "python alone": ["-c", "pass"],
    "import trimtab": ["-c", "import trimtab"],
    "trimtab --help": ["-m", "trimtab", "--help"],
    "import onnx": ["-c", "import onnx"],
    "import torch": ["-c", "import torch"],
}


def median_ms(arguments: list[str], runs: int) -> float:
    times = []
    for _ in range(runs + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[1:])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    figures = {name: median_ms(command, 3 if "torch" in name else 9) for name, command in PROCESSES.items()}
    for name, wall in figures.items():
        over = wall - figures["python alone"]
        budget = f"   budget {BUDGET_MS[name]} ms" if name in BUDGET_MS else ""
        print(f"{name:16}{wall:9.1f} ms   {over:8.1f} ms over the interpreter{budget}")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"benchmark": "startup", "median_ms": figures, "budget_ms": BUDGET_MS}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
