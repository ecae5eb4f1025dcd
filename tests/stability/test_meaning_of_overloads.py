"""The same proof for functions with several traces, of which TensorFlow takes the first that a call fits."""

from __future__ import annotations

import os
from itertools import permutations
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

from trimtab.artifacts import read_signature
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Input, Overload, Signature
from trimtab.signature.types import Tensor
from trimtab.stability import Category, diff
from trimtab.stability.dispatch import MAX_COMPARED

Traces = tuple[str, ...]
Saved = tuple[Signature, Any]

TRACED: list[Traces] = [
    *(("any",), ("three",), ("ints",), ("text",)),
    *(("three", "any"), ("three", "two rows"), ("two rows", "three"), ("two rows", "any")),
    *(("three", "two rows", "any"), ("two rows", "three", "any")),
    *(("any", "ints"), ("ints", "any"), ("any", "text"), ("text", "any"), ("any", "line"), ("line", "any")),
    *(("ints", "three", "text"), ("text", "three", "ints"), ("ints", "three", "any"), ("three", "any", "ints")),
]
PAIRS = [(before, after) for before, after in permutations(TRACED, 2) if {*before} <= {*after} or {*after} <= {*before}]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[Traces, Saved]:
    """By traces, in the order in which they were made: the signature of a function, and the function loaded again."""
    import tensorflow as tf

    specs = {
        "any": tf.TensorSpec([None, None], tf.float32),
        "three": tf.TensorSpec([None, 3], tf.float32),
        "two rows": tf.TensorSpec([2, None], tf.float32),
        "ints": tf.TensorSpec([None, None], tf.int64),
        "line": tf.TensorSpec([None], tf.float32),
        "text": tf.TensorSpec([None], tf.string),
    }
    made = {}
    for traces in TRACED:
        folder: Path = tmp_path_factory.mktemp("traces")
        module = tf.Module()
        module.which = tf.function(lambda x: {"traced": tf.constant(f"{x.dtype.name} {x.shape}")})
        for name in traces:
            module.which.get_concrete_function(specs[name])
        tf.saved_model.save(module, str(folder), signatures={})
        made[traces] = read_signature(folder), tf.saved_model.load(str(folder)).which
        assert len(made[traces][0].entry_point().overloads) == len(traces)
    return made


@pytest.mark.parametrize(("before", "after"), PAIRS, ids=str)
def test_traces_count_in_feed_exactly_if_a_call_is_refused_or_goes_elsewhere(
    saved: dict[Traces, Saved], before: Traces, after: Traces
) -> None:
    (old, own), (new, other) = saved[before], saved[after]
    found = {change.rule for change in diff(old, new, Category.FEED)}
    felt = any(answer(own, value) != answer(other, value) for name in before for value in calls(name))
    assert felt == bool(found), found


@pytest.mark.parametrize(("count", "rule"), [(MAX_COMPARED, "PLACE"), (MAX_COMPARED + 1, "ORDER")])
def test_of_very_many_overloads_any_two_are_held_to_share_a_request(count: int, rule: str) -> None:
    """Comparing each with each would take a gate hours for a file that is made for it."""
    overloads = tuple(
        Overload(inputs=(Input(name="x", type=Tensor(DType.INT64, (None, width))),)) for width in range(count)
    )
    old, new = (
        Signature(entry_points=(EntryPoint(name="f", overloads=side),), default_entry_point="f")
        for side in (overloads, overloads[::-1])
    )
    assert [change.rule for change in diff(old, new)] == [f"OVERLOAD_SAME_{rule}"]


def calls(name: str) -> list[Any]:
    """What may be given to a trace."""
    import tensorflow as tf

    return {
        "any": [tf.ones([4, 5]), tf.ones([4, 3]), tf.ones([2, 3]), tf.ones([2, 5])],
        "three": [tf.ones([4, 3]), tf.ones([2, 3])],
        "two rows": [tf.ones([2, 5]), tf.ones([2, 3])],
        "ints": [tf.ones([2, 3], tf.int64)],
        "line": [tf.ones([3])],
        "text": [tf.constant(["a"])],
    }[name]


def answer(function: Any, value: Any) -> bytes | None:
    """Which trace answers; None where none does."""
    try:
        traced: bytes = function(value)["traced"].numpy()
    except (TypeError, ValueError):
        return None
    return traced
