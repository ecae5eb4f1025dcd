"""Small random graphs behind signatures, and calls of them with shapes that fit, nearly fit, or do not fit at all.

Signatures are called by keyword with eager tensors, and TensorFlow then compares no shapes before the operations run.
Everything follows from a seed. Run as a script for more: python random_graphs.py [SEEDS] [FUNCTIONS] [CALLS] [FIRST]
"""

from __future__ import annotations

import collections
import os
import random
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

import tensorflow as tf

from trimtab import savedmodel
from trimtab.savedmodel.dispatching import TensorValue, dispatch_signature

Sizes = list[int | None] | None

DECLARED: list[Sizes] = [
    [], [1], [2], [3], [4], [None], [None], [2, 3], [1, 3], [3, 3], [None, 3], [None, 3], [2, None], [None, None],
    [None, 2, 3], [2, 2, 3], [None, 4, 4, 3], None,
]  # fmt: skip
CONSTANTS: list[list[int]] = [[], [], [1], [2], [3], [4], [2, 3], [1, 3], [3, 2], [3, 3]]
UNARY = [
    tf.nn.relu, tf.tanh, tf.negative, tf.exp, tf.identity, tf.abs, tf.square, tf.sigmoid, tf.nn.softmax, tf.nn.gelu,
    tf.nn.elu, tf.stop_gradient, lambda x: tf.cast(tf.cast(x, tf.float64), tf.float32),
    lambda x: tf.clip_by_value(x, 0, 1),
]  # fmt: skip
BINARY = [
    tf.add, tf.add, tf.subtract, tf.multiply, tf.multiply, tf.maximum, tf.minimum, tf.divide,
    tf.math.squared_difference, tf.pow, tf.math.divide_no_nan, lambda x, y: tf.cast(tf.less(x, y), tf.float32),
    lambda x, y: tf.cast(tf.equal(x, y), tf.float32),
    lambda x, y: tf.cast(tf.logical_and(tf.greater(x, y), tf.not_equal(x, y)), tf.float32),
]  # fmt: skip
REDUCTIONS = [tf.reduce_sum, tf.reduce_mean, tf.reduce_max, tf.reduce_min, tf.reduce_prod, tf.reduce_logsumexp]
HIDING = [
    tf.zeros_like, tf.ones_like, lambda x: tf.cast(tf.shape(x), tf.float32),
    lambda x: tf.cast(tf.size(x), tf.float32),
]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """One call: the shapes, what TensorFlow did ("" or an error's class) and what we say it does."""

    about: str
    shapes: dict[str, Any]
    theirs: str
    ours: str
    said: str


class Graphs(tf.Module):
    """Random functions of one or two arguments, and the variables that they use."""

    def __init__(self, seed: int, count: int) -> None:
        super().__init__()
        draw = random.Random(seed)
        self.weights = [tf.Variable(_filled(draw, shape)) for shape in ([3, 2], [2, 3], [3, 3], [3], [], [2], [5, 3])]
        self.state = [tf.Variable(_filled(draw, shape)) for shape in ([], [2], [3], [2, 3])]
        self.filter = tf.Variable(tf.ones([2, 2, 3, 2]))
        self.made: dict[str, Any] = {}
        self.steps: dict[str, list[str]] = {}
        self.declared: dict[str, dict[str, Sizes]] = {}
        for at in range(count):
            self._function(f"f{at}", draw.randrange(1 << 30))

    def _function(self, key: str, seed: int) -> None:
        draw = random.Random(seed)
        declared: dict[str, Sizes] = {name: draw.choice(DECLARED) for name in ("x", "y")[: draw.choice([1, 1, 2])]}
        specs = [tf.TensorSpec(sizes, tf.float32, name) for name, sizes in declared.items()]
        if draw.random() < 0.25:
            declared["ids"] = draw.choice([[None], [2], [None, 2], []])
            specs.append(tf.TensorSpec(declared["ids"], tf.int64, "ids"))
        steps: list[str] = []

        @tf.function(input_signature=specs, autograph=False)
        def body(*arguments: Any) -> dict[str, Any]:
            steps.clear()
            return Drawing(self, random.Random(seed), steps).results(list(arguments))

        self.made[key] = body.get_concrete_function()
        self.steps[key] = steps
        self.declared[key] = declared


class Drawing:
    """One function's body while it is drawn."""

    def __init__(self, module: Graphs, draw: random.Random, steps: list[str]) -> None:
        self.module = module
        self.draw = draw
        self.steps = steps

    def results(self, arguments: list[Any]) -> dict[str, Any]:
        pool = [each for each in arguments if each.dtype == tf.float32]
        ids = [each for each in arguments if each.dtype == tf.int64]
        self.fill(pool, ids, self.draw.randint(1, 6))
        shown = [pool[-1]] if self.draw.random() < 0.7 else [pool[-1], self.draw.choice(pool)]
        return {f"r{at}": tf.identity(each) for at, each in enumerate(shown)}

    def fill(self, pool: list[Any], ids: list[Any], steps: int) -> None:
        made, tries = 0, 0
        while made < steps and tries < 40:
            tries += 1
            kind = self.draw.choice(list(KINDS))
            try:
                tensor = KINDS[kind](self, pool, ids)
            except (ValueError, IndexError, TypeError, tf.errors.OpError):
                continue
            if tensor is not None:
                made += 1
                pool.append(tensor)
                self.steps.append(f"{kind} -> {tensor.name} {tensor.shape}")

    def one(self, pool: list[Any]) -> Any:
        return pool[-1] if self.draw.random() < 0.6 else self.draw.choice(pool)

    def other(self, pool: list[Any]) -> Any:
        """Another operand: of the pool, a constant (zeros and ones too) or a variable."""
        which = self.draw.random()
        if which < 0.35:
            return self.draw.choice(pool)
        if which < 0.65:
            return tf.constant(_filled(self.draw, self.draw.choice(CONSTANTS)))
        return tf.identity(self.draw.choice(self.module.weights))

    def unary(self, pool: list[Any], _: Any) -> Any:
        return self.draw.choice(UNARY)(self.one(pool))

    def hiding(self, pool: list[Any], _: Any) -> Any:
        return self.draw.choice(HIDING)(self.one(pool))

    def binary(self, pool: list[Any], _: Any) -> Any:
        one, other = self.one(pool), self.other(pool)
        return self.draw.choice(BINARY)(*((one, other) if self.draw.random() < 0.7 else (other, one)))

    def same(self, pool: list[Any], _: Any) -> Any:
        """Twice the same expression, which TensorFlow computes once and may cancel."""
        unary, one = self.draw.choice(UNARY), self.one(pool)
        return self.draw.choice([tf.subtract, tf.divide, tf.add, tf.multiply])(unary(one), unary(one))

    def selected(self, pool: list[Any], _: Any) -> Any:
        one = self.one(pool)
        return tf.where(one > 0.0, self.other(pool), self.other(pool))

    def matmul(self, pool: list[Any], _: Any) -> Any:
        one, other = self.one(pool), self.other(pool)
        flags = {name: self.draw.random() < 0.2 for name in ("transpose_a", "transpose_b")}
        return tf.matmul(*((one, other) if self.draw.random() < 0.8 else (other, one)), **flags)

    def bias(self, pool: list[Any], _: Any) -> Any:
        return tf.nn.bias_add(self.one(pool), self.other(pool))

    def dense(self, pool: list[Any], _: Any) -> Any:
        weights = self.module.weights
        return tf.nn.relu(tf.nn.bias_add(tf.matmul(self.one(pool), weights[0]), weights[5]))

    def reduced(self, pool: list[Any], _: Any) -> Any:
        axis = self.draw.choice([None, 0, 1, -1, [0, 1]])
        return self.draw.choice(REDUCTIONS)(self.one(pool), axis=axis, keepdims=self.draw.random() < 0.4)

    def reshaped(self, pool: list[Any], _: Any) -> Any:
        wanted = self.draw.choice([[-1], [-1, 3], [3], [2, 3], [1, 3], [-1, 2], [3, -1], [1], [6], [-1, 1], [2, -1, 3]])
        return tf.reshape(self.one(pool), wanted)

    def concatenated(self, pool: list[Any], _: Any) -> Any:
        return tf.concat([self.one(pool), self.other(pool)], axis=self.draw.choice([0, 1, -1]))

    def stacked(self, pool: list[Any], _: Any) -> Any:
        made = tf.stack([self.one(pool), self.other(pool)], axis=self.draw.choice([0, 1]))
        return made[0] if self.draw.random() < 0.3 else made

    def summed(self, pool: list[Any], _: Any) -> Any:
        return tf.add_n([self.one(pool), self.other(pool), self.draw.choice(pool)])

    def gathered(self, pool: list[Any], ids: list[Any]) -> Any:
        axis = self.draw.choice([0, 0, 0, 1])
        where = self.draw.choice(ids)
        if self.draw.random() < 0.2:
            where = where + 1
        source = self.draw.choice([self.module.weights[6], self.module.weights[3], self.one(pool)])
        return tf.gather(source, where, axis=axis)

    def moved(self, pool: list[Any], _: Any) -> Any:
        one = self.one(pool)
        return self.draw.choice(
            [
                lambda: tf.expand_dims(one, self.draw.choice([0, 1, -1])),
                lambda: tf.squeeze(one, self.draw.choice([[0], [-1], None])),
                lambda: tf.transpose(one, self.draw.choice([None, [1, 0], [1, 0, 2]])),
                lambda: one[0],
                lambda: tf.tile(one, [2, 1]),
                lambda: tf.split(one, 2)[0],
            ]
        )()

    def ensured(self, pool: list[Any], _: Any) -> Any:
        return tf.ensure_shape(self.one(pool), self.draw.choice([[None], [None, 3], [2, None], [3], []]))

    def assigned(self, pool: list[Any], _: Any) -> Any:
        state = self.draw.choice(self.module.state)
        how = self.draw.choice([state.assign, state.assign_add, state.assign_sub])
        how(self.one(pool))
        self.steps.append(f"assigned {state.shape} by {how.__name__}")

    def convolved(self, pool: list[Any], _: Any) -> Any:
        images = tf.ensure_shape(self.one(pool), [None] * 4)  # TensorFlow's process ends at any other rank
        return tf.nn.conv2d(images, self.module.filter, 1, self.draw.choice(["SAME", "VALID"]))

    def called(self, pool: list[Any], ids: list[Any]) -> Any:
        """A function inside the function, with a shape of its own that it declares."""
        one = self.one(pool)
        specs = [tf.TensorSpec(self.draw.choice([one.shape, [None] * (one.shape.rank or 0), None]), tf.float32)]
        seed, steps = self.draw.randrange(1 << 30), self.steps

        @tf.function(input_signature=specs, autograph=False)
        def inner(argument: Any) -> Any:
            made = [argument]
            Drawing(self.module, random.Random(seed), steps).fill(made, ids[:0], 2)
            return made[-1]

        return inner(one)


KINDS = {
    "unary": Drawing.unary,
    "hiding": Drawing.hiding,
    "binary": Drawing.binary,
    "binary ": Drawing.binary,
    "same": Drawing.same,
    "selected": Drawing.selected,
    "matmul": Drawing.matmul,
    "matmul ": Drawing.matmul,
    "bias": Drawing.bias,
    "dense": Drawing.dense,
    "reduced": Drawing.reduced,
    "reshaped": Drawing.reshaped,
    "reshaped ": Drawing.reshaped,
    "concatenated": Drawing.concatenated,
    "stacked": Drawing.stacked,
    "summed": Drawing.summed,
    "gathered": Drawing.gathered,
    "moved": Drawing.moved,
    "ensured": Drawing.ensured,
    "assigned": Drawing.assigned,
    "convolved": Drawing.convolved,
    "called": Drawing.called,
}


def outcomes(seed: int, functions: int, calls: int) -> list[Outcome]:
    """Save random functions as the signatures of one model, and call each of them."""
    draw = random.Random(seed)
    module = Graphs(seed, functions)
    found: list[Outcome] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        tf.saved_model.save(module, path, signatures=module.made)
        try:
            theirs = tf.saved_model.load(str(path))
        except ValueError:  # it saved a graph that it does not take back
            return []
        ours = savedmodel.load(path)
        for key, declared in module.declared.items():
            about = f"{key} {declared}: {'; '.join(module.steps[key])}"
            for _ in range(calls):
                fed = {name: _fed(draw, name, sizes) for name, sizes in declared.items()}
                found.append(_outcome(theirs.signatures[key], ours, key, about, fed))
        ours.close()
    return found


def _outcome(called: Any, ours: Any, key: str, about: str, fed: dict[str, Any]) -> Outcome:
    try:
        called(**fed)
        theirs = ""
    except Exception as error:  # noqa: BLE001  its class is the answer
        theirs = type(error).__name__
    values = {
        name: TensorValue(each.dtype.name, tuple(each.shape), each.numpy().tolist() if name == "ids" else None)
        for name, each in fed.items()
    }
    said = dispatch_signature(ours.meta_graph, key, (), values).refusal
    shapes = {name: each.numpy().tolist() if name == "ids" else list(each.shape) for name, each in fed.items()}
    return Outcome(about, shapes, theirs, said.tensorflow if said else "", said.message if said else "")


def _fed(draw: random.Random, name: str, declared: Sizes) -> Any:
    shape = [draw.choice([1, 2, 3, 4, 2, 3, 0]) if size is None else size for size in _ranked(draw, declared)]
    if draw.random() < 0.4:
        change = draw.choice(["size", "size", "drop", "add", "any"])
        if change == "size" and shape:
            shape[draw.randrange(len(shape))] = draw.choice([1, 2, 3, 4, 5])
        elif change == "drop" and shape:
            shape.pop(draw.randrange(len(shape)))
        elif change == "add":
            shape.insert(draw.randint(0, len(shape)), draw.choice([1, 2, 3]))
        elif change == "any":
            shape = [draw.choice([1, 2, 3, 4]) for _ in range(draw.randint(0, 3))]
    if name == "ids":
        limit = draw.choice([2, 3, 3, 6])
        count = 1
        for size in shape:
            count *= size
        return tf.reshape(
            tf.constant([draw.randrange(-1 if limit == 6 else 0, limit) for _ in range(count)], tf.int64), shape
        )
    return tf.ones(shape) * draw.choice([0.5, 2.0])


def _ranked(draw: random.Random, declared: Sizes) -> list[int | None]:
    return list(declared) if declared is not None else [None] * draw.randint(0, 3)


def _filled(draw: random.Random, shape: list[int]) -> Any:
    """Numbers, or all zeros or ones, or some of them zeros: what TensorFlow simplifies."""
    how = draw.choice(["zeros", "ones", "mixed", "numbers", "numbers"])
    if how in ("zeros", "ones"):
        return tf.zeros(shape) if how == "zeros" else tf.ones(shape)
    count = 1
    for size in shape:
        count *= size
    choices = [0.0, 1.0] if how == "mixed" else [0.5, 1.5, -2.0]
    return tf.reshape(tf.constant([draw.choice(choices) for _ in range(count)], tf.float32), shape)


def main(seeds: int, functions: int, calls: int, first: int) -> None:
    """Print what was said wrongly, what was missed, and how much was found."""
    counts: collections.Counter[tuple[str, str]] = collections.Counter()
    missed: collections.Counter[str] = collections.Counter()
    for seed in range(first, first + seeds):
        for each in outcomes(seed, functions, calls):
            counts[each.theirs, each.ours] += 1
            if each.ours and not each.theirs:
                print(f"WRONG {seed} {each}\n")
            elif each.theirs != each.ours:
                missed[each.about] += 1
                if os.environ.get("SHOW_MISSED"):
                    print(f"missed {seed} {each}\n")
        print(dict(counts), flush=True)


if __name__ == "__main__":
    main(*(int(each) for each in [*sys.argv[1:5], *["4", "40", "12", "1"][len(sys.argv) - 1 :]]))
