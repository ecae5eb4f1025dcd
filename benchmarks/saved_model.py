"""Look at a SavedModel: `trimtab inspect` and `trimtab tour`, beside TensorFlow and a full protobuf parse, in one run.

    python benchmarks/saved_model.py [--json FILE] [--large FOLDER] [--runs 5]

Whole processes: the median of their wall times, and the peak of their memory. The small model has one function with a
variable and one with two traces. The large one has 2,000 functions and a proto of 212 MB; it is made once, in FOLDER
(default: below the system's folder for temporary files). The page cache is warm. TensorFlow makes both models, and
without it the benchmark has no peer.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import large_saved_model
from processes import measured

TARGET = {"small": {"times faster": 40, "times smaller": 20}, "large": {"times faster": 100}}
"""What is asked of `trimtab inspect` and `trimtab tour`, over saved_model_cli."""

LARGE = {"functions": 2_000, "floats": 26_100}

SMALL = """
import sys
import tensorflow as tf
class ExampleModel(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([], tf.float32)])
    def capture_fn(self, x):
        if not hasattr(self, "weight"):
            self.weight = tf.Variable(5.0, name="weight")
        self.weight.assign_add(x * self.weight)
        return self.weight
    @tf.function
    def polymorphic_fn(self, x):
        return tf.reduce_sum(x)
model = ExampleModel()
model.polymorphic_fn(tf.constant([1.0, 2.0, 3.0]))
model.polymorphic_fn(tf.constant(3.0))
tf.saved_model.save(model, sys.argv[1], signatures={"capture_fn": model.capture_fn})
"""

PARSE = """
import sys
from trimtab.savedmodel.messages import classes
classes()["SavedModel"].FromString(open(sys.argv[1] + "/saved_model.pb", "rb").read())
"""

QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": ""}

LOAD = "import sys, tensorflow as tf; tf.saved_model.load(sys.argv[1])"
SHOW = "import sys; sys.argv[0] = 'saved_model_cli'; from tensorflow.python.tools.saved_model_cli import main; main()"


def competitors(folder: Path) -> dict[str, list[str]]:
    """By name, the arguments that the interpreter is started with."""
    return {
        "python alone": ["-c", "pass"],
        "trimtab inspect": ["-m", "trimtab", "inspect", str(folder)],
        "trimtab tour": ["-m", "trimtab", "tour", str(folder)],
        "full protobuf parse": ["-c", PARSE, str(folder)],
        "saved_model_cli show --all": ["-c", SHOW, "show", "--all", "--dir", str(folder)],
        "tf.saved_model.load": ["-c", LOAD, str(folder)],
    }


def compare(name: str, folder: Path, runs: int) -> dict[str, Any]:
    """Every competitor on one model, with its ratios to saved_model_cli."""
    size = (folder / "saved_model.pb").stat().st_size
    print(f"{name}: saved_model.pb of {size:,} bytes", flush=True)
    figures: dict[str, Any] = {}
    for competitor, arguments in competitors(folder).items():
        slow = "saved_model" in competitor
        rounds = max(1, runs // 2) if slow and name == "large" else runs
        figures[competitor] = measured([sys.executable, *arguments], rounds, QUIET)
    peer, alone = figures["saved_model_cli show --all"], figures["python alone"]
    for competitor, figure in figures.items():
        figure["times_faster"] = peer["wall_ms"] / figure["wall_ms"]
        figure["times_smaller"] = peer["peak_mib"] / figure["peak_mib"]
        over = f"{figure['wall_ms'] - alone['wall_ms']:+9.1f} ms {figure['peak_mib'] - alone['peak_mib']:+7.1f} MiB"
        print(
            f"  {competitor:28}{figure['wall_ms']:9.1f} ms {figure['peak_mib']:8.1f} MiB   over the interpreter {over}"
            f"   {figure['times_faster']:6.1f}x faster, {figure['times_smaller']:5.1f}x smaller",
            flush=True,
        )
    asked = ", ".join(f"{times} {what}" for what, times in TARGET[name].items())
    print(f"  asked of trimtab, over saved_model_cli: {asked}", flush=True)
    return {"bytes": size, **figures}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--large", type=Path, default=Path(tempfile.gettempdir()) / "trimtab-large-saved-model")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        small = Path(folder) / "small"
        subprocess.run(
            [sys.executable, "-c", SMALL, small], check=True, env={**os.environ, **QUIET}, stderr=subprocess.DEVNULL
        )
        figures = {"small": compare("small", small, 2 * arguments.runs)}
    if not (arguments.large / "fingerprint.pb").is_file():  # what TensorFlow writes last
        maker = [sys.executable, large_saved_model.__file__, arguments.large]
        options = [f"--{option}={number}" for option, number in LARGE.items()]
        subprocess.run([*maker, *options], check=True, env={**os.environ, **QUIET}, stderr=subprocess.DEVNULL)
    figures["large"] = compare("large", arguments.large, arguments.runs)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
