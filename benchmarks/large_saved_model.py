"""Make the large SavedModel of the benchmark: 2,000 functions, each with a constant of its own, in a proto of 212 MB.

    python benchmarks/large_saved_model.py FOLDER [--functions 2000] [--floats 26100]

The weights are constants in the graph on purpose: what bears signatures is less than a hundredth of the proto. Needs
TensorFlow, half a minute and 2 GB of memory.
"""

from __future__ import annotations

import argparse
from pathlib import Path

SIGNATURES = 80


def make(folder: Path, functions: int, floats: int) -> Path:
    """Save the model in `folder`, which must not exist, and give the path of its proto."""
    import numpy as np
    import tensorflow as tf

    random = np.random.default_rng(0)
    module = tf.Module()
    module.scale = tf.Variable(2.0, name="scale")
    for number in range(functions):
        setattr(module, f"score_{number}", scorer(module, random.random(floats, dtype=np.float32)))
    signatures = {f"score_{number}": getattr(module, f"score_{number}") for number in range(min(SIGNATURES, functions))}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return folder / "saved_model.pb"


def scorer(module: object, weights: object) -> object:
    """A function over a vector: its product with `weights`, scaled by the module's variable."""
    import tensorflow as tf

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def score(x: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"score": tf.reduce_sum(tf.constant(weights)) * module.scale * x}

    return score


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the SavedModel goes; must not exist")
    parser.add_argument("--functions", type=int, default=2000)
    parser.add_argument("--floats", type=int, default=26_100, help="the length of each function's constant")
    arguments = parser.parse_args()
    proto = make(arguments.folder, arguments.functions, arguments.floats)
    print(f"{proto}: {proto.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
