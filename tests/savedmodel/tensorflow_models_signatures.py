"""SavedModels with interesting signatures and graphs: names, defaults, unused inputs, nested calls, gradients."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf
from saved_model_calls import SCALARS, VECTORS, Call, NotHere, battery, model, on, py, scalar, sig, symbolic, t, zeros
from tensorflow.core.protobuf import saved_model_pb2

Spec = tf.TensorSpec


@model
def many_signatures(path: str) -> list[Call]:
    """Signatures with one, two and four inputs and outputs of every shape of result; one function under two keys."""
    m = tf.Module()
    m.w = tf.Variable([[1.0], [2.0]], name="w")

    @tf.function(input_signature=[Spec([None, 2], tf.float32, name="zeta"), Spec([None], tf.int64, name="alpha")])
    def ordered(b: Any, a: Any) -> Any:
        return {"zz": b @ m.w, "Mid": tf.reduce_sum(b), "aa": a}

    @tf.function(input_signature=[Spec([], tf.float32), Spec([], tf.float32), Spec([], tf.float32)])
    def listed(x: Any, y: Any, z: Any) -> Any:
        return [x - y, y - z]

    @tf.function(input_signature=[Spec([None], tf.float32, name="in/put")])
    def single(x: Any) -> Any:
        return x + 1.0

    @tf.function
    def free(x: Any, train: Any = False) -> Any:
        return {"y": x * (2.0 if train else 1.0)}

    m.ordered, m.listed, m.single, m.free = ordered, listed, single, free
    tf.saved_model.save(
        m,
        path,
        signatures={
            "ordered": ordered,
            "serving_default": listed,
            "single": single,
            "again": single,
            "train": free.get_concrete_function(Spec([None, 3], tf.float32, name="features"), True),
            "infer": free.get_concrete_function(Spec([None, 3], tf.float32), False),
        },
    )
    return [
        sig("ordered", zeta=zeros(1, 2), alpha=t([3], "int64")),
        sig("ordered", b=zeros(1, 2), a=t([3], "int64")),
        sig("serving_default", x=t(1.0), y=t(2.0), z=t(4.0)),
        sig("serving_default", t(1.0), t(2.0), t(4.0)),
        sig("serving_default", x=py(1), y=py(2.0), z=scalar(4, "int64")),
        sig("single", t([1.0])),
        sig("single", in_put=t([1.0])),
        sig("again", x=t([1.0])),
        sig("train", features=zeros(1, 3)),
        sig("infer", x=zeros(1, 3)),
        sig("infer", x=zeros(1, 4)),
        *battery("ordered", VECTORS, VECTORS, count=12, seed=14),
        on("ordered", zeros(1, 2), t([1], "int64")),
        on("ordered", zeta=zeros(1, 2), alpha=t([1], "int64")),
        *battery("listed", SCALARS, SCALARS, SCALARS, count=12, seed=15),
        *battery(
            "free", (zeros(1, 3), *VECTORS), (None, py(True), py(False), t(True, "bool"), py(1)), count=20, seed=16
        ),
    ]


@model
def promoted_signature(path: str) -> list[Call]:
    """No signatures asked for: the one function that is fit for it becomes serving_default."""
    m = tf.Module()

    @tf.function(input_signature=[Spec([None, 2], tf.float32), Spec([], tf.float32, name="by")])
    def scale(x: Any, factor: Any) -> Any:
        return x * factor, tf.shape(x)

    @tf.function
    def other(x: Any) -> Any:
        return x

    other.get_concrete_function(Spec([], tf.float32))
    other.get_concrete_function(Spec([1], tf.float32))
    m.scale, m.other = scale, other
    tf.saved_model.save(m, path)
    return [
        *battery("scale", (zeros(1, 2), py([[1, 2]]), symbolic([None, None])), SCALARS, count=12, seed=33),
        sig("serving_default", x=zeros(1, 2), by=t(1.0)),
        sig("serving_default", x=zeros(1, 2), factor=t(1.0)),
    ]


@model
def named_dims(path: str) -> list[Call]:
    """Dimension names, which TensorFlow's format has and TensorFlow never writes, filled in by hand."""
    m = tf.Module()

    @tf.function(input_signature=[Spec([None, 3], tf.float32, name="x"), Spec([None], tf.int64, name="ids")])
    def f(x: Any, ids: Any) -> Any:
        return {"y": x, "ids": ids}

    m.f = f
    tf.saved_model.save(m, path, signatures={"serving_default": f})
    binary = Path(path, "saved_model.pb")
    proto = saved_model_pb2.SavedModel.FromString(binary.read_bytes())
    for key, info in sorted(proto.meta_graphs[0].signature_def["serving_default"].inputs.items()):
        for i, dim in enumerate(info.tensor_shape.dim):
            dim.name = "batch" if i == 0 else f"{key}_{i}"
    for function in proto.meta_graphs[0].object_graph_def.concrete_functions.values():
        for spec in function.canonicalized_input_signature.tuple_value.values[1].dict_value.fields.values():
            for i, dim in enumerate(spec.tensor_spec_value.shape.dim):
                dim.name = f"d{i}"
    binary.write_bytes(proto.SerializeToString(deterministic=True))
    return [on("f", zeros(1, 3), t([1], "int64")), sig("serving_default", x=zeros(1, 3), ids=t([1], "int64"))]


@model
def signature_defaults(path: str) -> list[Call]:
    """Defaults that are tensors, which the signature then carries itself."""
    if tuple(int(n) for n in tf.__version__.split(".")[:2]) < (2, 13):
        raise NotHere("tensors as defaults cannot be saved")
    m = tf.Module()
    three, two_and_a_half = tf.constant(3, tf.int64), tf.constant(2.5)
    names_by_default = tf.constant(["a", "b"])

    @tf.function(input_signature=[Spec([None], tf.float32), Spec([], tf.int64), Spec([2], tf.string)])
    def f(x: Any, k: Any = three, names: Any = names_by_default) -> Any:
        return {"y": x * tf.cast(k, tf.float32), "names": names}

    @tf.function(input_signature=[Spec([], tf.float32)])
    def g(x: Any = two_and_a_half) -> Any:
        return x

    m.f, m.g = f, g
    tf.saved_model.save(m, path, signatures={"f": f, "g": g})
    return [
        on("f", t([1.0])),
        on("f", t([1.0]), t(2, "int64")),
        on("f", t([1.0]), py(2), py(["c", "d"])),
        on("f", x=t([1.0]), names=t(["c", "d"], "string")),
        on("f"),
        on("g"),
        on("g", py(1)),
        sig("f", x=t([1.0])),
        sig("f", x=t([1.0]), k=t(2, "int64"), names=t(["c", "d"], "string")),
        sig("g"),
        sig("g", t(1.0)),
    ]


@model
def weird_names(path: str) -> list[Call]:
    """Names that have to be sanitized: capitals, slashes, dashes, digits first, long ones, clashes with ops."""
    m = tf.Module()
    m.Weird_Name = tf.Variable(1.0, name="Weird/Name-1")

    @tf.function
    def f(**kwargs: Any) -> Any:
        return {f"Out/{i}-{key}": value for i, (key, value) in enumerate(sorted(kwargs.items()))}

    specs = {
        key: Spec([None], tf.float32, name=key)
        for key in ("CamelCase", "a/b", "C-d", "1abc", "x.y", "If", "StatefulPartitionedCall", "long" * 20)
    }
    clean = {"CamelCase": "CamelCase", "a/b": "p", "C-d": "q", "1abc": "r", "x.y": "s"}
    concrete = f.get_concrete_function(**{clean.get(key, key): spec for key, spec in specs.items()})

    @tf.function(input_signature=[Spec([], tf.float32, name="B"), Spec([], tf.float32, name="a")])
    def clash(Upper: Any, lower: Any) -> Any:  # noqa: N803  the capital is the point
        return {"Y": Upper - lower, "y": lower - Upper}

    @tf.function
    def dunder(self_like: Any, class_: Any = "class") -> Any:
        return self_like + 1.0

    dunder.get_concrete_function(Spec([], tf.float32))
    m.clash, m.__weird__ = clash, dunder
    m.f = f
    tf.saved_model.save(m, path, signatures={"My-Sig/1": concrete, "clash": clash, "Ünicode": clash, "1": clash})
    everything = {key: t([1.0]) for key in specs}
    return [
        {"signature": "My-Sig/1", "args": [], "kwargs": everything},
        {"signature": "My-Sig/1", "args": [], "kwargs": {**everything, "a/b": py([1])}},
        {"signature": "My-Sig/1", "args": [], "kwargs": {key: t([1.0]) for key in list(specs)[:3]}},
        sig("clash", B=t(1.0), a=t(2.0)),
        sig("clash", b=t(1.0), a=t(2.0)),
        sig("Ünicode", B=t(1.0), a=t(2.0)),
        sig("1", a=t(1.0)),
        on("clash", t(1.0), t(2.0)),
        on("clash", Upper=t(1.0), lower=t(2.0)),
        on("clash", B=t(1.0), a=t(2.0)),
        on("__weird__", t(1.0)),
        on("__weird__", t(1.0), class_=py("class")),
        on("__weird__", t(1.0), class_=py("other")),
        {"path": "f", "args": [], "kwargs": {clean.get(key, key): t([1.0]) for key in specs}},
        {"path": "f", "args": [], "kwargs": {"CamelCase": t([1.0])}},
    ]


@model
def unused_inputs(path: str) -> list[Call]:
    """Inputs that nothing uses: directly, only in a nested call, only in a dead branch, or only by their shape."""
    m = tf.Module()

    @tf.function
    def inner(a: Any, b: Any, c: Any) -> Any:
        return a + 1.0, c

    @tf.function(
        input_signature=[Spec([None], tf.float32, name=n) for n in ("used", "dead", "nested", "by_shape", "kept")]
    )
    def f(used: Any, dead: Any, nested: Any, by_shape: Any, kept: Any) -> Any:
        y, _ = inner(used, nested, dead)
        return {"y": y, "n": tf.shape(by_shape)[0], "same": kept}

    @tf.function(input_signature=[Spec([], tf.int32), Spec([], tf.float32), Spec([], tf.float32)])
    def looped(n: Any, through: Any, never: Any) -> Any:
        i, x = tf.constant(0), through
        while i < n:
            i, x = i + 1, x * 2.0
        return x

    @tf.function(input_signature=[Spec([], tf.bool), Spec([], tf.float32), Spec([], tf.float32), Spec([], tf.float32)])
    def branched(which: Any, a: Any, b: Any, c: Any) -> Any:
        return a * 2.0 if which else b + 0.0

    m.f, m.looped, m.branched = f, looped, branched
    tf.saved_model.save(m, path, signatures={"f": f, "looped": looped, "branched": branched})
    five = {name: t([1.0]) for name in ("used", "dead", "nested", "by_shape", "kept")}
    return [
        on("f", *five.values()),
        on("f", **five),
        on("f", t([1.0])),
        sig("f", **five),
        sig("f", used=t([1.0]), by_shape=t([1.0]), kept=t([1.0])),
        on("looped", py(3), py(1), py(2)),
        sig("looped", n=t(2, "int32"), through=t(1.0), never=t(0.0)),
        on("branched", py(True), t(1.0), t(2.0), t(3.0)),
        on("branched", t(False, "bool"), t(1.0), t(2.0), t(3.0)),
        sig("branched", which=t(True, "bool"), a=t(1.0), b=t(2.0), c=t(3.0)),
    ]


@model
def nested_calls(path: str) -> list[Call]:
    """Functions that call functions: three deep, shared, through case, while and map, with a custom gradient."""
    m = tf.Module()
    m.v = tf.Variable(3.0, name="v")

    @tf.function
    def leaf(x: Any) -> Any:
        return x * m.v

    @tf.function
    def middle(x: Any, y: Any) -> Any:
        return leaf(x) + leaf(y) + tf.reduce_sum(tf.map_fn(leaf, tf.stack([x, y])))

    @tf.custom_gradient
    def clipped(x: Any) -> Any:
        return tf.identity(x), lambda dy: tf.clip_by_value(dy, -1.0, 1.0)

    @tf.function(input_signature=[Spec([], tf.int32), Spec([], tf.float32), Spec([], tf.float32)])
    def top(which: Any, a: Any, b: Any) -> Any:
        y = tf.switch_case(which, [lambda: middle(a, b), lambda: leaf(a), lambda: b])
        return clipped(tf.while_loop(lambda z: z < 100.0, lambda z: [leaf(z) + 1.0], [y])[0])

    @tf.function(input_signature=[Spec([2], tf.float32)])
    def slope(x: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(x * x * m.v)
        return tape.gradient(y, x)

    m.top, m.slope, m.middle = top, slope, middle
    options = tf.saved_model.SaveOptions(
        function_aliases={"top_alias": top}, save_debug_info=True, experimental_custom_gradients=True
    )
    tf.saved_model.save(m, path, signatures={"top": top, "slope": slope}, options=options)
    return [
        *battery("top", (py(0), py(1), py(2), t(0, "int32"), t(0, "int64")), SCALARS, SCALARS, count=14, seed=29),
        on("top", py(0), t(1.0), t(2.0)),
        *[on("middle", x, x) for x in (t(1.0), t([1.0]), py(1), py(1.5), symbolic([]))],
        *[on("slope", x) for x in (t([1.0, 2.0]), py([1, 2]), t([1.0]), symbolic([None]))],
        sig("top", which=t(0, "int32"), a=t(1.0), b=t(2.0)),
        sig("slope", x=t([1.0, 2.0])),
    ]


@model
def gradient_tensors(path: str) -> list[Call]:
    """A custom gradient that closes over a tensor of the forward pass, saved with its gradient."""
    m = tf.Module()
    m.v = tf.Variable([1.0, 2.0], name="v")

    @tf.function(input_signature=[Spec([2], tf.float32, name="x")])
    def f(x: Any) -> Any:
        doubled = x * 2.0

        @tf.custom_gradient
        def scaled(y: Any) -> Any:
            return y * m.v, lambda dy, variables=None: (dy * doubled, [None] * len(variables or []))

        return {"y": scaled(x)}

    m.f = f
    tf.saved_model.save(m, path, options=tf.saved_model.SaveOptions(experimental_custom_gradients=True))
    return [on("f", t([1.0, 2.0])), on("f", py([1, 2])), sig("serving_default", x=t([1.0, 2.0]))]
