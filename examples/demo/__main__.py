"""The main job, for real, in about two minutes.

    python -m examples.demo [--folder demo-output] [--requests N] [--candidates N]

Trains rankers on shares of a universe of 1,000 features, exports them in three formats, serves them through real root
and leaf processes, sends the same score requests untrimmed, compressed and trimmed, ships a new version under load,
sees a changed signature refused, and writes `report.html`. Everything stays in the folder to look into.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.demo import measuring, shipping, universe
from examples.demo.export import export
from examples.demo.feature_store import write_features
from examples.demo.rankers import RECIPES, Ranker, draw_features, train, with_another_feature
from examples.demo.report import Story, write_report
from examples.demo.servers import Server
from examples.demo.traffic import Client
from trimtab import Signature, read_signature

EXAMPLES = 512
MODELS = [recipe.name for recipe in RECIPES]
CHANGED = RECIPES[0]
MARK = ".trimtab-demo"

T = TypeVar("T")

console = Console()


class Demo:
    """The folder of one run, and the steps in order."""

    def __init__(self, folder: Path, requests: int, candidates: int, progress: Progress) -> None:
        self.folder, self.requests, self.candidates, self.progress = folder, requests, candidates, progress
        self.repository = folder / "models"
        self.staging = folder / "staging"
        self.bundle = folder / "rankers.bundle.json"
        self.features = folder / "features.db"
        self.logs = folder / "logs"
        self.logs.mkdir(parents=True)
        self.values = {
            name: column for view in universe.ENTITIES for name, column in universe.columns(view, EXAMPLES).items()
        }

    def train_and_export(self) -> None:
        """Rankers of version 1 into the repository; a retrained one and a changed one into staging."""
        features = {recipe: draw_features(recipe.share, seed) for seed, recipe in enumerate(RECIPES)}
        jobs = [(recipe, features[recipe], 20, self.repository / recipe.name / "1") for recipe in RECIPES]
        jobs.append((CHANGED, features[CHANGED], 40, self.staging / "retrained"))
        jobs.append((CHANGED, with_another_feature(features[CHANGED]), 20, self.staging / "changed"))
        for recipe, chosen, steps, folder in self.track("train and export rankers", jobs):
            ranker = Ranker(chosen)
            train(ranker, self.values, steps=steps, seed=universe.SEED)
            export(ranker, recipe, self.values, folder)

    def read_back(self) -> dict[str, Signature]:
        """The signatures, read from the artifacts without their frameworks; and the bundle."""
        recipes = self.track("read signatures", list(RECIPES))
        signatures = {it.name: read_signature(self.repository / it.name / "1" / it.file) for it in recipes}
        with self.step("build the bundle"):
            built = shipping.build_bundle(self.repository, self.bundle)
            if built.returncode:
                raise RuntimeError(built.stderr)
        return signatures

    def fill_feature_store(self) -> None:
        """Every feature of the universe, for the root to fetch."""
        with self.step("write the feature store"):
            write_features(self.features)

    def start_leaf(self) -> Server:
        """A real leaf over the repository, checked against the bundle."""
        with self.step("start the leaf"):
            arguments = ["leaf", "--repository", str(self.repository), "--bundle", str(self.bundle)]
            return Server.start("leaf", [*arguments, "--poll-interval", "0.5"], self.logs)

    def measure(self, leaf: Server) -> list[measuring.Measured]:
        """The same requests in every mode."""
        arguments = measuring.root_arguments(leaf, self.bundle, self.features)
        measured = []
        for mode in measuring.MODES:
            task = self.progress.add_task(f"score requests, {mode}", total=self.requests + measuring.WARM_UP)
            measured.append(
                measuring.measure(
                    mode, leaf, arguments, self.logs, models=MODELS, requests=self.requests,
                    candidates=self.candidates,  progress=lambda task=task: self.progress.advance(task),
                )
            )  # fmt: skip
        return measured

    def ship(self, leaf: Server) -> tuple[shipping.Shipped, shipping.Refused]:
        """A retrained version under load, then one that uses other features."""
        arguments = measuring.root_arguments(leaf, self.bundle, self.features)
        root = Server.start("root-shipping", arguments, self.logs)
        client = Client(root.addresses["grpc"])
        try:
            with self.step(f"ship {CHANGED.name}:2 under load"):
                shipped = shipping.ship(
                    client, self.staging / "retrained" / CHANGED.file, self.repository, self.bundle,
                    model=CHANGED.name, models=MODELS, candidates=universe.keys(universe.ITEM)[: self.candidates],
                )  # fmt: skip
            with self.step(f"try to ship {CHANGED.name}:3 with a changed signature"):
                refused = shipping.ship_changed(
                    self.staging / "changed" / CHANGED.file, self.repository, self.bundle, model=CHANGED.name, version=3
                )
        finally:
            client.close()
            root.stop()
        return shipped, refused

    def track(self, title: str, items: list[T]) -> Iterator[T]:
        """Items with a progress bar."""
        yield from self.progress.track(items, description=title)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step with a bar of its own."""
        task = self.progress.add_task(title, total=1)
        yield
        self.progress.advance(task)


def show(measured: list[measuring.Measured], equal: int, shipped: shipping.Shipped, refused: shipping.Refused) -> None:
    """The figures side by side, and what shipping gave."""
    table = Table("score requests", "to leaves", "p50", "p99", "root CPU", "leaf CPU", box=None, header_style="bold")
    for column in table.columns[1:]:
        column.justify = "right"
    for it in measured:
        table.add_row(
            it.mode,
            f"{it.run.bytes_per_request / 1e6:,.1f} MB",
            f"{it.run.percentile(50):,.0f} ms",
            f"{it.run.percentile(99):,.0f} ms",
            f"{it.root_cpu_ms:,.0f} ms",
            f"{it.leaf_cpu_ms:,.0f} ms",
        )
    console.print()
    console.print(table)
    console.print(f"\n{equal:,} scores compared between the modes: all equal, bit for bit.")
    console.print(
        f"{shipped.model}:{shipped.version} shipped while {len(shipped.answers)} score requests flowed: "
        f"{len(shipped.failures)} failed."
    )
    console.print(f"\nThe changed signature was refused (exit code {refused.exit_code}):\n")
    console.print(refused.message, highlight=False, markup=False, soft_wrap=True)


def empty(folder: Path) -> None:
    """Make the folder new. What an earlier run left is removed; a folder that no run made is refused."""
    if folder.exists() and any(folder.iterdir()):
        if not (folder / MARK).exists():
            sys.exit(f"{folder} holds something that is not of this demo: give another --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK).touch()


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path("demo-output"), help="emptied first; keeps everything")
    parser.add_argument("--requests", type=int, default=100, help="measured score requests per mode")
    parser.add_argument("--candidates", type=int, default=256, help="candidates per score request")
    arguments = parser.parse_args()
    empty(arguments.folder)
    for noisy in ("torch", "onnxscript", "onnx_ir"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        demo = Demo(arguments.folder, arguments.requests, arguments.candidates, progress)
        demo.train_and_export()
        signatures = demo.read_back()
        demo.fill_feature_store()
        leaf = demo.start_leaf()
        try:
            measured = demo.measure(leaf)
            equal = measuring.count_equal_scores(measured)
            shipped, refused = demo.ship(leaf)
        finally:
            leaf.stop()
    size = sum(kind.count for kind in universe.KINDS)
    write_report(arguments.folder / "report.html", Story(signatures, size, measured, equal, shipped, refused))
    show(measured, equal, shipped, refused)
    console.print(f"\nReport: {arguments.folder / 'report.html'}    everything else: {arguments.folder}/")


if __name__ == "__main__":
    main()
