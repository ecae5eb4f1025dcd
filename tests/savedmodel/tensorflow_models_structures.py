"""SavedModels whose functions take and give nested structures, sparse and ragged tensors."""

from __future__ import annotations

import collections
from typing import Any

import tensorflow as tf
from saved_model_calls import (
    Call,
    battery,
    many,
    mapping,
    model,
    named,
    on,
    pair,
    py,
    ragged,
    scalar,
    sig,
    sparse,
    symbolic,
    t,
)

Spec = tf.TensorSpec


@model
def nested_structures(path: str) -> list[Call]:
    """Dicts, lists, tuples and namedtuples as arguments and results, nested in one another."""
    m = tf.Module()
    Point = collections.namedtuple("Point", ["x", "y"])

    @tf.function
    def tree(d: Any) -> Any:
        return {"total": d["b"] + d["a"][0], "parts": (d["a"][1], [d["b"]]), "point": Point(d["b"], d["a"][0])}

    for shape in ([], [2]):
        tree.get_concrete_function({"b": Spec(shape, tf.float32), "a": (Spec(shape, tf.float32), Spec([], tf.int32))})
    tree.get_concrete_function({"b": Spec([], tf.float32), "a": [Spec([], tf.float32), Spec([], tf.int32)]})

    @tf.function
    def points(p: Any, q: Any = None) -> Any:
        return p.x + p.y if q is None else [p.x, q]

    points.get_concrete_function(Point(Spec([], tf.float32), Spec([], tf.float32)))
    points.get_concrete_function(Point(x=Spec([], tf.float32), y=1.0))
    points.get_concrete_function(Point(Spec([], tf.float32), Spec([], tf.float32)), [Spec([None], tf.float32)])

    @tf.function(
        input_signature=[
            {"ids": Spec([None], tf.int64), "Weights": Spec([None], tf.float32, name="w")},
            [Spec([], tf.float32), (Spec([], tf.float32, name="inner"),)],
        ]
    )
    def fixed(batch: Any, rest: Any) -> Any:
        return {"z": batch["Weights"] * rest[0], "a": batch["ids"], "m": rest[1][0]}

    m.tree, m.points, m.fixed = tree, points, fixed
    tf.saved_model.save(m, path, signatures={"fixed": fixed})
    leaf = (t(1.0), t([1.0, 2.0]), py(1), py(1.5), py([1.0, 2.0]), t(1, "int32"), symbolic([]), py(None))
    ints = (t(1, "int32"), py(1), py(1.5), scalar(1, "int32"), scalar(1, "int64"))
    trees = [mapping(b=b, a=kind(x, i)) for b in leaf[:5] for x in leaf[:3] for i in ints[:3] for kind in (pair, many)]
    batch = mapping(ids=t([1, 2], "int64"), Weights=t([1.0, 2.0]))
    rest = many(t(2.0), pair(t(3.0)))
    return [
        *battery("tree", trees, count=40, seed=9),
        on("tree", mapping(a=pair(t(1.0), t(1, "int32")))),
        on("tree", mapping(a=pair(t(1.0), t(1, "int32")), b=t(1.0), c=t(1.0))),
        on("tree", mapping(a=pair(t(1.0)), b=t(1.0))),
        on("tree", many(t(1.0))),
        on("tree", mapping(a=mapping(), b=t(1.0))),
        on("tree", mapping(b=symbolic([None]), a=pair(symbolic([2]), symbolic([], "int32")))),
        *[on("points", named("Point", x=x, y=y)) for x in leaf[:4] for y in (t(1.0), py(1.0), py(1), py(2), py(True))],
        on("points", named("Point", y=t(1.0), x=t(2.0))),
        on("points", named("Spot", x=t(1.0), y=t(2.0))),
        on("points", named("Point", x=t(1.0), y=t(2.0), z=t(3.0))),
        on("points", pair(t(1.0), t(2.0))),
        on("points", named("Point", x=t(1.0), y=t(2.0)), many(t([1.0]))),
        on("points", named("Point", x=t(1.0), y=t(2.0)), many(py([1.0]))),
        on("points", named("Point", x=t(1.0), y=t(2.0)), many(many(py(1.0)))),
        on("points", named("Point", x=t(1.0), y=t(2.0)), pair(t([1.0]))),
        on("points", q=many(t([1.0])), p=named("Point", x=t(1.0), y=t(2.0))),
        on("fixed", batch, rest),
        on("fixed", batch, pair(t(2.0), pair(t(3.0)))),
        on("fixed", batch, many(py(2), pair(py(3)))),
        on("fixed", mapping(Weights=many(py(1.0), py(2.0)), ids=many(py(1), py(2))), rest),
        on("fixed", mapping(ids=t([1], "int32"), Weights=t([1.0])), rest),
        on("fixed", mapping(ids=t([1], "int64")), rest),
        on("fixed", rest=rest, batch=batch),
        on("fixed", batch),
        on("fixed", mapping(ids=symbolic([None], "int64"), Weights=symbolic([3])), rest),
        sig("fixed", ids=t([1], "int64"), w=t([1.0]), rest=t(1.0), inner=t(2.0)),
        sig("fixed", batch=t([1], "int64"), w=t([1.0]), rest=t(1.0), inner=t(2.0)),
    ]


@model
def composite_arguments(path: str) -> list[Call]:
    """Sparse and ragged arguments and results, before and behind literals and plain tensors."""
    m = tf.Module()

    @tf.function
    def first(x: Any, mode: Any = "m") -> Any:
        return tf.sparse.reduce_sum(x) if isinstance(x, tf.SparseTensor) else tf.reduce_sum(x)

    first.get_concrete_function(tf.SparseTensorSpec([None, None], tf.float32))
    first.get_concrete_function(tf.RaggedTensorSpec([None, None], tf.float32))
    first.get_concrete_function(Spec([None], tf.float32))
    first.get_concrete_function(tf.SparseTensorSpec([2, 2], tf.int64), "other")

    @tf.function
    def literal_first(x: Any) -> Any:
        return tf.constant(1.0) if isinstance(x, str) else tf.reduce_sum(x)

    literal_first.get_concrete_function("word")
    literal_first.get_concrete_function(tf.RaggedTensorSpec([None, None], tf.float32))
    literal_first.get_concrete_function(Spec([], tf.float32))

    @tf.function
    def composite_then_dict(x: Any) -> Any:
        return x["a"] if isinstance(x, dict) else tf.reduce_sum(x)

    composite_then_dict.get_concrete_function(tf.RaggedTensorSpec([None, None], tf.float32))
    composite_then_dict.get_concrete_function({"a": Spec([], tf.float32)})

    @tf.function(input_signature=[tf.SparseTensorSpec([None, 4], tf.float32), tf.RaggedTensorSpec([3, None], tf.int32)])
    def strict(s: Any, r: Any) -> Any:
        return {"dense": tf.sparse.to_dense(s), "lengths": r.row_lengths(), "again": r, "back": s}

    m.first, m.literal_first, m.composite_then_dict, m.strict = first, literal_first, composite_then_dict, strict
    tf.saved_model.save(m, path, signatures={"strict": strict})
    composites = (
        sparse([[0, 0]], [1.0], [2, 3]),
        sparse([[0, 0]], [1.0], [2, 2]),
        sparse([[0, 0]], [1], [2, 2], "int64"),
        sparse([], [], [2, 3]),
        sparse([[0]], [1.0], [3]),
        ragged([[1.0], [2.0, 3.0]]),
        ragged([[1.0], [2.0, 3.0]], splits="int32"),
        ragged([[1], [2, 3]], "int32"),
        ragged([[[1.0]], [[2.0], [3.0]]]),
        ragged([[1.0], [2.0]]),
        t([1.0]),
        t(1.0),
        py("word"),
        py([1.0]),
        py(1.0),
        mapping(a=t(1.0)),
        mapping(a=ragged([[1.0]])),
        many(t(1.0)),
        symbolic([None]),
        py(None),
    )
    return [
        *battery("first", composites, (None, py("m"), py("other"), sparse([[0, 0]], [1.0], [2, 2])), count=45, seed=10),
        *[on("literal_first", x) for x in composites],
        *[on("composite_then_dict", x) for x in composites],
        *battery("strict", composites, (*composites, ragged([[1], [2], [3]], "int32", "int64")), count=12, seed=11),
        on("strict", sparse([[0, 1]], [1.0], [1, 4]), ragged([[1], [2], [3, 4]], "int32")),
        on("strict", sparse([[0, 1]], [1.0], [1, 5]), ragged([[1], [2], [3, 4]], "int32")),
        on("strict", sparse([[0, 1]], [1.0], [1, 4]), ragged([[1], [2]], "int32")),
        sig("strict", s=t([[0, 1]], "int64"), s_1=t([5.0]), s_2=t([1, 4], "int64"), r=t([1, 2, 3], "int32")),
        sig(
            "strict",
            s=t([[0, 1]], "int64"),
            s_1=t([5.0]),
            s_2=t([1, 4], "int64"),
            r=t([1, 2, 3], "int32"),
            r_1=t([0, 1, 2, 3], "int64"),
        ),
    ]
