"""The same proof for tensors that no request carries: what TensorFlow takes for a dense, a ragged and a sparse one.

Every pair of them is compared, and the new function is called with what was made for the old one.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from trimtab.artifacts import read_signature
from trimtab.signature.model import Signature
from trimtab.stability import Category, diff

KINDS = [
    *("dense", "dense of three", "dense of rank 3", "dense text"),
    *("ragged", "ragged numbers", "ragged twice", "ragged once of rank 3", "ragged of four"),
    *("ragged by int32", "ragged twice by int32"),
    *("sparse", "sparse of three", "sparse numbers"),
]


@pytest.fixture(scope="module")
def functions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Signature, Any, Any]]:
    """By kind: the signature of a saved function that takes it, the function loaded again, and a value made for it."""
    import tensorflow as tf

    dense, ragged, sparse = tf.TensorSpec, tf.RaggedTensorSpec, tf.SparseTensorSpec
    rows = tf.ragged.constant([[1], [2, 3], [], [4]], dtype=tf.int64)
    specs = {
        "dense": (dense([None, None], tf.int64), tf.ones([2, 5], tf.int64)),
        "dense of three": (dense([None, 3], tf.int64), tf.ones([2, 3], tf.int64)),
        "dense of rank 3": (dense([None, None, None], tf.int64), tf.ones([2, 3, 1], tf.int64)),
        "dense text": (dense([None, None], tf.string), tf.constant([["a"]])),
        "ragged": (ragged([None, None], tf.int64), rows[:2]),
        "ragged numbers": (ragged([None, None], tf.float32), tf.cast(rows, tf.float32)),
        "ragged twice": (ragged([None, None, None], tf.int64), tf.ragged.constant([[[1], []]], dtype=tf.int64)),
        "ragged once of rank 3": (ragged([None, None, None], tf.int64, 1), tf.expand_dims(rows, -1)),
        "ragged of four": (ragged([4, None], tf.int64), rows),
        "ragged by int32": (
            ragged([None, None], tf.int64, row_splits_dtype=tf.int32),
            rows[:2].with_row_splits_dtype(tf.int32),
        ),
        "ragged twice by int32": (
            ragged([None, None, None], tf.int64, row_splits_dtype=tf.int32),
            tf.ragged.constant([[[1], []]], dtype=tf.int64, row_splits_dtype=tf.int32),
        ),
        "sparse": (sparse([None, None], tf.int64), tf.sparse.from_dense(tf.ones([2, 5], tf.int64))),
        "sparse of three": (sparse([None, 3], tf.int64), tf.sparse.from_dense(tf.ones([2, 3], tf.int64))),
        "sparse numbers": (sparse([None, None], tf.float32), tf.sparse.from_dense(tf.ones([2, 5]))),
    }
    made = {}
    for kind, (spec, value) in specs.items():
        folder: Path = tmp_path_factory.mktemp("kind")
        module = tf.Module()
        module.echo = tf.function(lambda x: {"y": x}, input_signature=[spec])
        tf.saved_model.save(module, str(folder), signatures={})
        made[kind] = read_signature(folder), tf.saved_model.load(str(folder)).echo, value
    return made


@pytest.mark.parametrize("before", KINDS)
def test_another_kind_counts_in_feed_exactly_if_tensorflow_refuses_it(
    functions: dict[str, tuple[Signature, Any, Any]], before: str
) -> None:
    assert functions.keys() == set(KINDS)
    old, own, value = functions[before]
    assert not refused(own, value)
    for after, (new, function, _) in functions.items():
        found = [change.rule for change in diff(old, new, Category.FEED)]
        assert refused(function, value) == bool(found), (after, found)


def refused(function: Any, value: Any) -> bool:
    try:
        function(value)
    except (TypeError, ValueError):
        return True
    return False
