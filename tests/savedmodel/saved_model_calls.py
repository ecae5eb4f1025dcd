"""The corpus's argument language as short words, and the register of models that are built with them.

A call is `{"path": ..., "args": [...], "kwargs": {...}}` or the same with `"signature"`; a term is a dict with the key
`k`. The language is the shared corpus's; `tensorflow_oracle.argument` says what each term means.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

Term = dict[str, Any]
Call = dict[str, Any]
Build = Callable[[str], list[Call]]  # saves a model into a folder that does not exist yet, and gives calls for it

MODELS: dict[str, Build] = {}


class NotHere(Exception):  # noqa: N818  not an error: this TensorFlow has not got the feature
    """This TensorFlow cannot make the model."""


def model(build: Build) -> Build:
    """Register a builder under its function's name."""
    MODELS[build.__name__] = build
    return build


def on(path: str, *args: Term, **kwargs: Term) -> Call:
    """A call of a function by its object path."""
    return {"path": path, "args": list(args), "kwargs": kwargs}


def sig(key: str, *args: Term, **kwargs: Term) -> Call:
    """A call of a signature by its key."""
    return {"signature": key, "args": list(args), "kwargs": kwargs}


def battery(path: str, *pools: Sequence[Term | None], count: int, seed: int = 0) -> list[Call]:
    """Calls with arguments drawn from one pool per position; None in a pool leaves that argument and the rest out."""
    draw = random.Random(seed)
    calls: list[Call] = []
    for _ in range(count * 4):
        args: list[Term] = []
        for pool in pools:
            chosen = draw.choice(pool)
            if chosen is None:
                break
            args.append(chosen)
        call = on(path, *args)
        if call not in calls:
            calls.append(call)
        if len(calls) == count:
            break
    return calls


def t(value: Any, dtype: str = "float32") -> Term:
    """An eager tensor."""
    return {"k": "tensor", "dtype": dtype, "value": value}


def zeros(*shape: int, dtype: str = "float32") -> Term:
    """An eager tensor of zeros."""
    return {"k": "zeros", "dtype": dtype, "shape": list(shape)}


def array(value: Any, dtype: str) -> Term:
    """A NumPy array."""
    return {"k": "np", "dtype": dtype, "value": value}


def scalar(value: Any, dtype: str) -> Term:
    """A NumPy scalar."""
    return {"k": "npscalar", "dtype": dtype, "value": value}


def py(value: Any) -> Term:
    """A Python value that JSON can hold as it is."""
    return {"k": "py", "value": value}


def raw(value: str) -> Term:
    """Python bytes."""
    return {"k": "bytes", "value": value}


def many(*items: Term) -> Term:
    """A list."""
    return {"k": "list", "items": list(items)}


def pair(*items: Term) -> Term:
    """A tuple."""
    return {"k": "tuple", "items": list(items)}


def mapping(items: dict[str, Term] | None = None, /, **more: Term) -> Term:
    """A dict."""
    return {"k": "dict", "items": {**(items or {}), **more}}


def named(name: str, **items: Term) -> Term:
    """A namedtuple of a fresh class."""
    return {"k": "namedtuple", "name": name, "items": [[key, item] for key, item in items.items()]}


def symbolic(shape: Sequence[int | None] | None, dtype: str = "float32") -> Term:
    """A tensor inside a graph, of which only this shape is known."""
    return {"k": "symbolic", "dtype": dtype, "shape": None if shape is None else list(shape)}


def ragged(value: Any, dtype: str = "float32", splits: str = "int64") -> Term:
    """A RaggedTensor."""
    return {"k": "ragged", "dtype": dtype, "value": value, "row_splits_dtype": splits}


def sparse(indices: Any, values: Any, shape: Sequence[int], dtype: str = "float32") -> Term:
    """A SparseTensor."""
    return {"k": "sparse", "dtype": dtype, "indices": indices, "values": values, "dense_shape": list(shape)}


def variable(value: Any, dtype: str = "float32") -> Term:
    """A tf.Variable."""
    return {"k": "variable", "dtype": dtype, "value": value}


SCALARS: tuple[Term, ...] = (
    t(1.0),
    t(2, "int32"),
    t(2, "int64"),
    t(True, "bool"),
    t("s", "string"),
    t(1.5, "float64"),
    t(1.5, "float16"),
    py(1),
    py(1.5),
    py(0),
    py(True),
    py(False),
    py("a"),
    py(None),
    py(300),
    py(-1),
    raw("b"),
    scalar(1.5, "float32"),
    scalar(1.5, "float64"),
    scalar(2, "int32"),
    scalar(2, "int64"),
    scalar(True, "bool"),
    scalar(7, "uint8"),
    variable(2.0),
    variable(3, "int32"),
    symbolic([]),
    symbolic(None),
    symbolic([], "int32"),
)
VECTORS: tuple[Term, ...] = (
    t([1.0, 2.0]),
    t([1.0, 2.0, 3.0]),
    t([1, 2], "int32"),
    t([1, 2, 3], "int64"),
    t(["a", "b"], "string"),
    t([True, False], "bool"),
    t([[1.0, 2.0]]),
    zeros(0),
    zeros(2, 3),
    zeros(3, 2, dtype="int32"),
    zeros(1, 2, 3),
    array([1, 2], "float32"),
    array([1, 2, 3], "float64"),
    array([1, 2], "int32"),
    array([1, 2, 3], "int64"),
    array([[1, 2], [3, 4]], "float32"),
    array([True, False], "bool"),
    many(py(1.0), py(2.0)),
    many(py(1), py(2), py(3)),
    many(py(1), py(2.5)),
    many(py(True), py(False)),
    many(py("a"), py("b")),
    many(many(py(1.0)), many(py(2.0))),
    many(),
    many(t(1.0), t(2.0)),
    many(t(1, "int32"), t(2, "int32")),
    pair(py(1.0), py(2.0)),
    pair(py(1), py(2)),
    pair(),
    mapping(),
    mapping(a=t(1.0)),
    ragged([[1.0], [2.0, 3.0]]),
    sparse([[0, 0]], [1.0], [2, 3]),
    variable([1.0, 2.0]),
    variable([1, 2, 3], "int32"),
    symbolic([None]),
    symbolic([2]),
    symbolic([None, 3]),
    symbolic([None], "int64"),
    symbolic(None, "int32"),
)
ANYTHING: tuple[Term, ...] = SCALARS + VECTORS
