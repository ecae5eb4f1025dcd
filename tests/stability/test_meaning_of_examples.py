"""The same proof for the features inside serialized examples, which TensorFlow parses: every way into every other.

An example carries a feature as a flat list of values. What was made for one way of parsing it is parsed in another one.
"""

from __future__ import annotations

import os
from math import prod
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest

from trimtab.artifacts import read_signature
from trimtab.signature.model import Signature
from trimtab.stability import Category, diff

WAYS = [
    *(
        "left out",
        "a number",
        "a number, 0.5 by default",
        "a number, 0.25 by default",
        "a list of one",
        "a whole number",
    ),
    *("text", "a row of three", "a row of three by default", "three by one", "numbers", "rows of three"),
    *("sparse", "sparse whole numbers", "ragged"),
]

Saved = tuple[Signature, Any, list[bytes]]


def ways() -> dict[str, Any]:
    """How a feature is parsed."""
    from tensorflow import float32, int64, io, string

    return {
        "left out": None,
        "a number": io.FixedLenFeature([], float32),
        "a number, 0.5 by default": io.FixedLenFeature([], float32, 0.5),
        "a number, 0.25 by default": io.FixedLenFeature([], float32, 0.25),
        "a list of one": io.FixedLenFeature([1], float32),
        "a whole number": io.FixedLenFeature([], int64),
        "text": io.FixedLenFeature([], string),
        "a row of three": io.FixedLenFeature([3], float32),
        "a row of three by default": io.FixedLenFeature([3], float32, [0.0, 1.0, 2.0]),
        "three by one": io.FixedLenFeature([3, 1], float32),
        "numbers": io.FixedLenSequenceFeature([], float32, allow_missing=True),
        "rows of three": io.FixedLenSequenceFeature([3], float32, allow_missing=True),
        "sparse": io.VarLenFeature(float32),
        "sparse whole numbers": io.VarLenFeature(int64),
        "ragged": io.RaggedFeature(float32),
    }


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Saved]:
    """By way: the signature of a model that parses so, what runs it, and examples made for it."""
    import tensorflow as tf

    made = {}
    for name, way in ways().items():
        folder: Path = tmp_path_factory.mktemp("examples")
        spec = {"age": tf.io.FixedLenFeature([1], tf.float32)} | ({} if way is None else {"new": way})
        module = tf.Module()
        module.parse = tf.function(parsing(spec), input_signature=[tf.TensorSpec([None], tf.string, "examples")])
        tf.saved_model.save(module, str(folder), signatures={"serving_default": module.parse})
        loaded = tf.saved_model.load(str(folder)).signatures["serving_default"]
        made[name] = read_signature(folder), loaded, list(examples(way))
    return made


@pytest.mark.parametrize("before", WAYS)
def test_another_way_counts_in_feed_exactly_if_an_example_is_refused_or_misread(
    saved: dict[str, Saved], before: str
) -> None:
    assert saved.keys() == set(WAYS)
    old, own, made = saved[before]
    for after, (new, other, _) in saved.items():
        found = [change.rule for change in diff(old, new, Category.FEED)]
        assert (not all(read_alike(own, other, example) for example in made)) == bool(found), (after, found)


def parsing(spec: dict[str, Any]) -> Any:
    """Gives back what was parsed."""
    import tensorflow as tf

    def parse(examples: Any) -> Any:
        read = tf.io.parse_example(examples, spec)
        return {
            name: tf.sparse.to_dense(value)
            if isinstance(value, tf.SparseTensor)
            else value.to_tensor()
            if isinstance(value, tf.RaggedTensor)
            else value
            for name, value in read.items()
        }

    return parse


def examples(way: Any) -> Any:
    """Examples with so many values as the way allows, and one without where that is allowed."""
    from tensorflow import float32, int64, io

    fixed = isinstance(way, io.FixedLenFeature)
    unit = prod(getattr(way, "shape", ()))
    counts = () if way is None else (unit,) if fixed else (unit, 2 * unit, 5 * unit)
    for count in counts:
        kind = {float32: "float_list", int64: "int64_list"}.get(way.dtype, "bytes_list")
        yield example(kind, [b"a" if kind == "bytes_list" else 7] * count)
    if way is None or not fixed or way.default_value is not None:
        yield example("float_list", [])


def example(kind: str, values: list[Any]) -> bytes:
    import tensorflow as tf

    made = tf.train.Example()
    made.features.feature["age"].float_list.value.append(30)
    if values:
        getattr(made.features.feature["new"], kind).value.extend(values)
    return bytes(made.SerializeToString())


def read_alike(own: Any, other: Any, serialized: bytes) -> bool:
    """Whether the other model reads the values that the example's own one does."""
    import tensorflow as tf

    meant = own(examples=tf.constant([serialized] * 2))
    try:
        read = other(examples=tf.constant([serialized] * 2))
    except tf.errors.InvalidArgumentError:
        return False
    return all(
        np.array_equal(np.ravel(meant[name]), np.ravel(read[name])) and meant[name].dtype == read[name].dtype
        for name in meant.keys() & read.keys()
    )
