"""Shipping under load: a good new version, and one whose signature changed."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from examples.demo.traffic import Background, Client

PATIENCE_S = 30
SETTLE_S = 1.0


@dataclass(frozen=True)
class Shipped:
    """A version that was published while score requests flowed."""

    model: str
    version: int
    published_at: float
    answers: list[tuple[float, dict[str, str]]]
    failures: list[str]


@dataclass(frozen=True)
class Refused:
    """A version that the bundle build refused: the command's exit code and its words."""

    exit_code: int
    message: str


def build_bundle(repository: Path, bundle: Path) -> subprocess.CompletedProcess[str]:
    """`trimtab bundle build`, as a deploy pipeline calls it."""
    command = [sys.executable, "-m", "trimtab", "bundle", "build", str(repository), "--output", str(bundle)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def publish(staged: Path, repository: Path, model: str, version: int) -> None:
    """Put a staged artifact into the repository by one rename, so that nobody ever sees half of it."""
    waiting = repository / model / f".{version}"
    waiting.mkdir(parents=True)
    staged.rename(waiting / staged.name)
    waiting.rename(repository / model / str(version))


def ship(
    client: Client,
    staged: Path,
    repository: Path,
    bundle: Path,
    *,
    model: str,
    models: list[str],
    candidates: list[str],
) -> Shipped:
    """Publish version 2 of `model` while traffic flows: the root's bundle first, then the leaf loads it by itself.

    Raises RuntimeError if no answer came from the new version within 30 s.
    """
    with Background(client, models, candidates) as traffic:
        time.sleep(SETTLE_S)
        published_at = time.monotonic()
        publish(staged, repository, model, 2)
        built = build_bundle(repository, bundle)
        if built.returncode:
            raise RuntimeError(f"trimtab bundle build failed:\n{built.stderr}")
        deadline = time.monotonic() + PATIENCE_S
        while not (traffic.answers and traffic.answers[-1][1].get(model) == "2"):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{model}:2 did not answer within {PATIENCE_S} s; failures: {traffic.failures[:3]}")
            time.sleep(0.05)
        time.sleep(SETTLE_S)
    return Shipped(model, 2, published_at, traffic.answers, traffic.failures)


def ship_changed(staged: Path, repository: Path, bundle: Path, *, model: str, version: int) -> Refused:
    """Try to ship a version whose signature changed, and take it out of the repository again."""
    publish(staged, repository, model, version)
    built = build_bundle(repository, bundle)
    (repository / model / str(version)).rename(staged.parent / f"refused-{model}-{version}")
    return Refused(built.returncode, built.stderr.strip())
