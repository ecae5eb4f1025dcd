"""The same score requests three ways: everything sent, everything sent compressed, and only what each model uses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from examples.demo.servers import Server
from examples.demo.traffic import Client, Run, run

MODES = {
    "untrimmed": ["--trim", "off"],
    "lz4": ["--trim", "off", "--compression", "lz4"],
    "trimmed": [],
}
WARM_UP = 3


@dataclass(frozen=True)
class Measured:
    """One mode: what the client saw, and CPU milliseconds per score request of root and leaf."""

    mode: str
    run: Run
    root_cpu_ms: float
    leaf_cpu_ms: float


def root_arguments(leaf: Server, bundle: Path, features: Path) -> list[str]:
    """The arguments of `trimtab serve` for a root over the demo's leaf, bundle and features."""
    return ["root", "--leaf", leaf.addresses["grpc"], "--bundle", str(bundle), "--features", f"sqlite:{features}"]


def measure(
    mode: str,
    leaf: Server,
    arguments: list[str],
    folder: Path,
    *,
    models: list[str],
    requests: int,
    candidates: int,
    progress: Callable[[], None],
) -> Measured:
    """Start a root in one mode, warm it, send the requests, and stop it."""
    root = Server.start(f"root-{mode}", [*arguments, *MODES[mode]], folder)
    client = Client(root.addresses["grpc"])
    try:
        run(client, models, requests=WARM_UP, candidates=candidates, progress=progress)
        before = root.cpu_seconds(), leaf.cpu_seconds()
        result = run(client, models, requests=requests, candidates=candidates, progress=progress)
        after = root.cpu_seconds(), leaf.cpu_seconds()
    finally:
        client.close()
        root.stop()
    root_ms, leaf_ms = (1000 * (late - early) / requests for early, late in zip(before, after, strict=True))
    return Measured(mode, result, root_ms, leaf_ms)


def count_equal_scores(measured: list[Measured]) -> int:
    """How many scores were compared between the modes; RuntimeError if any differs by a single bit."""
    first, *others = measured
    for other in others:
        for model, scores in first.run.scores.items():
            if not np.array_equal(scores.view(np.uint32), other.run.scores[model].view(np.uint32)):
                raise RuntimeError(f"{model}: scores of {first.mode} and {other.mode} requests differ")
    return sum(scores.size for scores in first.run.scores.values())
