"""Arguments that fit a trace, made up, and what TensorFlow gives for them when it calls the trace itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

UNKNOWN = 2
"""The size taken where a spec leaves it open."""


def trace_at(model: Any, path: str, position: int) -> Any:
    """A trace of a loaded model's function, by the object path and the position in the stored order."""
    value = model
    for name in path.split("."):
        if name.isdigit() and hasattr(value, "__getitem__"):
            value = value[int(name)]
        else:
            value = getattr(value, name) if hasattr(value, name) else value[name]
    return value.concrete_functions[position]


def arguments_for(trace: Any, seed: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Structured arguments of a trace: random tensors for its specs, its own literals for its literals."""
    random = np.random.RandomState(seed)
    args, kwargs = trace.structured_input_signature
    return _made(args, random), _made(kwargs, random)


def flat(value: Any) -> list[Any]:
    """The tensors of a structure, those of composites too, in TensorFlow's order."""
    found = tf.nest.flatten(value, expand_composites=True)
    return [each for each in found if isinstance(each, tf.Tensor)]


def arrays(value: Any) -> list[Any]:
    """The same, as arrays."""
    return [each.numpy() for each in flat(value)]


def random_tensor(dtype: Any, shape: Any, random: Any) -> Any:
    """A tensor of that dtype and shape."""
    dtype = tf.as_dtype(dtype)
    sizes = [UNKNOWN if size is None else size for size in shape or ()]
    if dtype == tf.string:
        return tf.constant(random.choice(["a", "b", "zz", "1"], size=sizes).astype(object), tf.string)
    if dtype == tf.bool:
        return tf.constant(random.random_sample(sizes) > 0.5)
    if dtype.is_integer:
        return tf.cast(tf.constant(random.randint(0, 3, size=sizes)), dtype)
    return tf.cast(tf.constant(random.standard_normal(sizes)), dtype)


def _made(value: Any, random: Any) -> Any:
    if isinstance(value, dict):
        return {key: _made(value[key], random) for key in sorted(value)}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_made(each, random) for each in value))
    if isinstance(value, list | tuple):
        return type(value)(_made(each, random) for each in value)
    if isinstance(value, tf.TensorSpec):
        return random_tensor(value.dtype, None if value.shape.rank is None else value.shape.as_list(), random)
    if isinstance(value, tf.RaggedTensorSpec):
        return _ragged(value, random)
    if isinstance(value, tf.SparseTensorSpec):
        sizes = [UNKNOWN if size is None else size for size in value.shape.as_list()]
        ends = [[0] * len(sizes), [size - 1 for size in sizes]]
        return tf.SparseTensor(ends, random_tensor(value.dtype, [2], random), sizes)
    return value


def _ragged(spec: Any, random: Any) -> Any:
    sizes = spec.shape.as_list()
    rows = UNKNOWN if sizes[0] is None else sizes[0]
    splits = []
    for _ in range(spec.ragged_rank):
        splits.append(tf.range(rows + 1, dtype=spec.row_splits_dtype) * 2)
        rows *= 2
    values = random_tensor(spec.dtype, [rows, *sizes[spec.ragged_rank + 1 :]], random)
    return tf.RaggedTensor.from_nested_row_splits(values, splits)
