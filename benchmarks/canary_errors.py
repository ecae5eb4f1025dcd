"""How often canary analysis is wrong, and how often it sees what it must: by simulation, with known truth.

    python benchmarks/canary_errors.py [--runs N] [--only TEXT] [--json FILE]

Baseline and canary are drawn from one distribution, the canary's values moved by a known shift, and judged as
`trimtab canary analyze` judges one metric at 95 % confidence. The margin is 5 % of the baseline's true median. A shift
of 0 or half the margin must not fail; one of twice the margin must not pass; at the margin itself, the worst case, each
may happen in 5 % of the runs. Seeded: every run gives the same table.
"""

from __future__ import annotations

import argparse
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from trimtab.observing.canary.configuration import Bad, Correction
from trimtab.observing.canary.judging import adjusted
from trimtab.observing.canary.statistics import compare

CONFIDENCE = 0.95
MARGIN = 0.05
SIZES = (20, 60, 240)
SHIFTS = {"0": 0.0, "margin/2": 0.5, "margin": 1.0, "2 x margin": 2.0}

Draw = Callable[[np.random.Generator, int], np.ndarray]


def autoregressive(correlation: float) -> Draw:
    """A median of 100 and a spread of 5, each value drawn towards the one before."""

    def draw(random: np.random.Generator, size: int) -> np.ndarray:
        noise = random.normal(0, 5 * np.sqrt(1 - correlation**2), size + 50)
        values = np.zeros(size + 50)
        for at in range(1, size + 50):
            values[at] = correlation * values[at - 1] + noise[at]
        return 100 + values[50:]

    return draw


def averaged(draw: Draw, by: int) -> Draw:
    return lambda random, size: draw(random, size * by).reshape(-1, by).mean(axis=1)


DISTRIBUTIONS: dict[str, Draw] = {
    "lognormal latency (spread 10 %)": lambda random, size: 100 * np.exp(random.normal(0, 0.1, size)),
    "lognormal latency (spread 40 %)": lambda random, size: 100 * np.exp(random.normal(0, 0.4, size)),
    "Poisson counts, mean 400": lambda random, size: random.poisson(400, size).astype(float),
    "Poisson counts, mean 4": lambda random, size: random.poisson(4, size).astype(float),
    "Poisson counts, mean 4, average = 5": averaged(lambda random, size: random.poisson(4, size).astype(float), 5),
    "heavy ties: six levels": lambda random, size: np.round(random.normal(100, 8, size) / 5) * 5,
    "constant": lambda _, size: np.full(size, 100.0),
    "AR(1), correlation 0.5": autoregressive(0.5),
    "AR(1), correlation 0.8": autoregressive(0.8),
}
MEDIANS = {"Poisson counts, mean 400": 400.0, "Poisson counts, mean 4": 4.0, "Poisson counts, mean 4, average = 5": 4.0}


def shifted(name: str, random: np.random.Generator, size: int, shift: float) -> np.ndarray:
    """The canary's values. Counts and levels stay counts and levels: their mean moves, not each value."""
    if name.startswith("Poisson counts"):
        mean = MEDIANS[name] + shift
        by = 5 if name.endswith("average = 5") else 1
        return random.poisson(mean, size * by).astype(float).reshape(-1, by).mean(axis=1)
    if name.startswith("heavy ties"):
        return np.round((random.normal(100, 8, size) + shift) / 5) * 5
    return DISTRIBUTIONS[name](random, size) + shift


def rates(name: str, size: int, shift: float, runs: int, autocorrelation: bool = True) -> dict[str, float]:
    """How often one metric passes and fails; what is left is inconclusive."""
    random = np.random.default_rng(seed_of(name, size, shift))
    margin = MARGIN * MEDIANS.get(name, 100.0)
    alpha = 1 - CONFIDENCE
    passed = failed = 0
    for _ in range(runs):
        baseline = DISTRIBUTIONS[name](random, size)
        canary = shifted(name, random, size, shift * margin)
        found = compare(
            baseline, canary, bad=Bad.INCREASE, margin=margin, confidence=CONFIDENCE, autocorrelation=autocorrelation
        )
        failed += found.p_worse <= alpha
        passed += found.p_not_worse <= alpha
    return {"pass": passed / runs, "fail": failed / runs}


def families(correction: Correction, metrics: int, runs: int) -> float:
    """How often one metric at least of a good canary fails, each of them just at its margin."""
    random = np.random.default_rng(7)
    draw = DISTRIBUTIONS["lognormal latency (spread 10 %)"]
    wrong = 0
    for _ in range(runs):
        found = [
            compare(draw(random, 60), draw(random, 60) + 5, bad=Bad.INCREASE, margin=5, confidence=CONFIDENCE).p_worse
            for _ in range(metrics)
        ]
        wrong += min(adjusted(found, correction)) <= 1 - CONFIDENCE
    return wrong / runs


def seed_of(*parts: object) -> int:
    """The same in every process, unlike a hash."""
    return zlib.crc32(repr(parts).encode())


def measure(runs: int, only: str) -> list[dict[str, Any]]:
    rows = []
    for name in DISTRIBUTIONS:
        for size in SIZES if only in name else ():
            row: dict[str, Any] = {"distribution": name, "samples": size}
            for title, shift in SHIFTS.items():
                row[title] = rates(name, size, shift, runs)
            rows.append(row)
            print(as_line(row), flush=True)
    return rows


def as_line(row: dict[str, Any]) -> str:
    cells = " | ".join(f"{row[it]['pass']:.0%} / {row[it]['fail']:.0%}" for it in SHIFTS)
    return f"| {row['distribution']} | {row['samples']} | {cells} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=1000, help="of each cell")
    parser.add_argument("--only", default="", help="distributions with this in their names")
    parser.add_argument("--json", type=Path, help="write the figures there")
    arguments = parser.parse_args()
    runs = arguments.runs
    print(f"passes / fails of {runs} runs each; the rest is inconclusive\n")
    print("| distribution | samples per side | " + " | ".join(f"shift {it}" for it in SHIFTS) + " |")
    print("| --- " * (2 + len(SHIFTS)) + "|")
    rows = measure(runs, arguments.only)
    ignored = rates("AR(1), correlation 0.8", 60, 1.0, runs, autocorrelation=False)
    print("\nwithout allowing for autocorrelation, AR(1) of 0.8, 60 samples, at the margin:")
    print(f"  passes {ignored['pass']:.0%}, fails {ignored['fail']:.0%}")
    print("\none false failure or more among metrics at their margins, 60 samples:")
    several = []
    for correction in (Correction.NONE, Correction.HOLM):
        for metrics in (1, 5, 20):
            share = families(correction, metrics, runs // 2)
            several.append({"correction": str(correction), "metrics": metrics, "false_failures": share})
            print(f"  {metrics:3} metrics, correction {correction}: {share:.1%}")
    if arguments.json:
        result = {"runs": runs, "rates": rows, "without_autocorrelation": ignored, "several_metrics": several}
        arguments.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
