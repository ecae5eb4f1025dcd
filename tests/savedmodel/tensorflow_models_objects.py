"""SavedModels with interesting object graphs: captures, containers, methods, empty roots, models saved again."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from saved_model_calls import (
    ANYTHING,
    SCALARS,
    VECTORS,
    Call,
    battery,
    many,
    model,
    on,
    py,
    scalar,
    sig,
    symbolic,
    t,
    zeros,
)
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_models_arguments import keyword_only
from tensorflow_models_signatures import many_signatures

Spec = tf.TensorSpec


@model
def example_story(path: str) -> list[Call]:
    """One function with a captured variable and one with two traces, as in the well-known introduction."""
    m = tf.Module()
    m.bias = tf.Variable(1.0, name="bias")

    @tf.function(input_signature=[Spec([None], tf.float32), Spec([], tf.float32)])
    def shift(x: Any, by: Any) -> Any:
        m.bias.assign_add(by)
        return x + m.bias

    @tf.function
    def twice(x: Any) -> Any:
        return x * 2.0

    twice.get_concrete_function(Spec([2], tf.float32))
    twice.get_concrete_function(Spec([], tf.float32))
    m.shift, m.twice = shift, twice
    tf.saved_model.save(m, path, signatures={"shift": shift})
    return [
        *battery("twice", ANYTHING, count=24, seed=1),
        *battery("shift", VECTORS, SCALARS, count=24, seed=2),
        sig("shift", x=t([1.0]), by=t(1.0)),
        sig("shift", x=t([1.0])),
        sig("shift", t([1.0]), t(1.0)),
        sig("shift", x=py([1.0, 2.0]), by=py(3)),
        sig("shift", x=t([1.0], "float64"), by=t(1.0)),
    ]


@model
def captured_everything(path: str) -> list[Call]:
    """Variables with equal names, constants, two tables, a vocabulary file and an asset, shared between functions."""
    m = tf.Module()
    words = Path(f"{path}_words.txt")
    words.write_text("red\ngreen\nblue\n")
    m.layers = [tf.Module(), tf.Module()]
    for i, layer in enumerate(m.layers):
        layer.v = tf.Variable([float(i)] * 2, name="v", trainable=i == 0)
    m.shared = m.layers[0].v
    m.file = tf.saved_model.Asset(str(words))
    m.vocabulary = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            str(words), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER
        ),
        num_oov_buckets=2,
    )
    m.static = tf.lookup.StaticHashTable(
        tf.lookup.KeyValueTensorInitializer(tf.constant([1, 2], tf.int64), tf.constant([0.5, 1.5])), -1.0
    )
    m.counts = tf.lookup.experimental.MutableHashTable(tf.string, tf.int64, default_value=-1)
    m.counts.insert(["red"], [7])
    offset = tf.constant([10.0, 20.0])

    @tf.function(input_signature=[Spec([None], tf.string)])
    def embed(tokens: Any) -> Any:
        ids = m.vocabulary.lookup(tokens)
        return {"ids": ids, "weight": m.static.lookup(ids), "count": m.counts.lookup(tokens)}

    @tf.function(input_signature=[Spec([None, 2], tf.float32)])
    def affine(x: Any) -> Any:
        return x * m.layers[0].v + m.layers[1].v + offset + m.shared

    @tf.function(input_signature=[])
    def text() -> Any:
        return tf.io.read_file(m.file)

    @tf.function(input_signature=[Spec([2], tf.float32)])
    def learn(step: Any) -> Any:
        m.layers[0].v.assign_sub(step)
        return m.layers[0].v.read_value()

    m.embed, m.affine, m.text, m.learn = embed, affine, text, learn
    tf.saved_model.save(m, path, signatures={"embed": embed, "affine": affine, "learn": learn, "text": text})
    words.unlink()
    return [
        *battery("embed", VECTORS, count=12, seed=12),
        on("embed", t(["red", "pink"], "string")),
        on("embed", many(py("blue"))),
        *battery("affine", VECTORS, count=10, seed=13),
        on("affine", zeros(3, 2)),
        on("text"),
        on("text", t(1.0)),
        on("learn", t([1.0, 1.0])),
        on("learn", py([1, 1])),
        sig("embed", tokens=t(["red", "pink"], "string")),
        sig("affine", x=zeros(1, 2)),
        sig("learn", step=t([1.0, 2.0])),
        sig("text"),
    ]


@model
def no_signatures_deep(path: str) -> list[Call]:
    """Nothing at the root is fit for a signature; functions lie deeper, one is untraced, one shadows a child."""
    m = tf.Module()
    m.inner = tf.Module()
    m.inner.deep = tf.Module()

    @tf.function
    def f(x: Any) -> Any:
        return x + 1

    f.get_concrete_function(Spec([], tf.float32))

    @tf.function
    def nothing(x: Any) -> Any:
        return x

    @tf.function
    def out_of_nothing() -> Any:
        return tf.constant([1, 2])

    out_of_nothing.get_concrete_function()

    @tf.function
    def only_effects(x: Any) -> None:
        tf.print(x, output_stream="file:///dev/null")

    only_effects.get_concrete_function(Spec(None, tf.float32))
    m.inner.deep.f, m.inner.nothing, m.inner.out_of_nothing, m.inner.only_effects = (
        f,
        nothing,
        out_of_nothing,
        only_effects,
    )
    m.inner.fixed = f.get_concrete_function(Spec([None], tf.int32))
    tf.saved_model.save(m, path)
    return [
        *battery("inner.deep.f", ANYTHING, count=16, seed=17),
        on("inner.nothing", t(1.0)),
        on("inner.nothing"),
        on("inner.out_of_nothing"),
        on("inner.out_of_nothing", py(1)),
        on("inner.only_effects", t([1.0])),
        on("inner.only_effects", py("a")),
        on("inner.fixed", t([1], "int32")),
        on("inner.fixed", x=py([1])),
        on("inner.fixed", t([1.0])),
        on("inner.gone", t(1.0)),
    ]


@model
def containers(path: str) -> list[Call]:
    """Functions inside lists, dicts, tuples and modules, one reachable by two paths, and a cycle."""
    m = tf.Module()

    def made(k: float) -> Any:
        @tf.function
        def f(x: Any) -> Any:
            return x * k

        f.get_concrete_function(Spec([], tf.float32))
        return f

    m.list = [made(1.5), made(2.5), [made(3.5)]]
    m.dict = {"one": made(4.5), "two": {"three": made(5.5)}, "with space": tf.Variable(1.0)}
    m.pair = (tf.Variable(2.0), tf.Module())
    m.pair[1].f = made(6.5)
    m.same = m.list[0]
    m.branch = tf.Module()
    m.branch.up = m
    m.branch.f = made(7.5)
    m.branch.empty = []
    tf.saved_model.save(m, path)
    paths = [
        "list.0",
        "list.1",
        "list.2.0",
        "dict.one",
        "dict.two.three",
        "pair.1.f",
        "same",
        "branch.f",
        "branch.up.same",
    ]
    return [
        *[on(p, t(2.0)) for p in paths],
        *[on(p, py(2)) for p in paths],
        *[on(p, t([1.0])) for p in paths],
        on("list.7", t(1.0)),
        on("dict.none", t(1.0)),
    ]


@model
def empty_object(path: str) -> list[Call]:
    """A root with nothing at all."""
    tf.saved_model.save(tf.Module(), path)
    return [on("f", t(1.0)), on("signatures.serving_default", t(1.0))]


@model
def variables_only(path: str) -> list[Call]:
    """Variables without functions, also deep and untrainable ones."""
    m = tf.Module()
    m.a = tf.Variable(1.0)
    m.list = [tf.Variable([1, 2], name="same", trainable=False), tf.Variable("text", name="same")]
    m.unknown = tf.Variable([1.0], shape=tf.TensorShape([None]), name="growing")
    tf.saved_model.save(m, path)
    return [on("a", t(1.0))]


class Scorer(tf.Module):
    """A class with decorated methods, as most people write them."""

    def __init__(self) -> None:
        super().__init__(name="scorer")
        self.w = tf.Variable([1.0, 2.0], name="w")
        self.steps = tf.Variable(0, dtype=tf.int64, name="steps", trainable=False)

    @tf.function(input_signature=[Spec([None, 2], tf.float32)])
    def predict(self, x: Any) -> Any:
        """Plain."""
        return {"score": tf.reduce_sum(x * self.w, axis=-1)}

    @tf.function
    def __call__(self, x: Any, scale: Any = 1.0) -> Any:
        """A method under the name of a call."""
        return self.predict(x)["score"] * scale

    @tf.function(jit_compile=True)
    def fast(self, x: Any) -> Any:
        """Compiled by XLA."""
        return x * 2.0 + 1.0

    @tf.function(jit_compile=False)
    def slow(self, x: Any) -> Any:
        """Explicitly not compiled."""
        return x - 1.0

    @tf.function(input_signature=[Spec([], tf.int32)])
    def loop(self, n: Any) -> Any:
        """A while loop with a branch and a captured variable inside."""
        i, total = tf.constant(0), tf.constant(0.0)
        while i < n:
            if i % 2 == 0:
                total += self.w[0]
            else:
                total += self.w[1]
            i += 1
        self.steps.assign_add(1)
        return total


@model
def method_and_jit(path: str) -> list[Call]:
    """Methods of a class: with input_signature, with traces, compiled, with control flow."""
    m = Scorer()
    m(tf.zeros([1, 2]))
    m(tf.zeros([3, 2]), scale=2.0)
    m.fast(tf.zeros([2]))
    m.fast.get_concrete_function(Spec([None], tf.float32))
    m.slow(tf.zeros([]))
    options = tf.saved_model.SaveOptions()
    if "extra_tags" in inspect.signature(tf.saved_model.SaveOptions.__init__).parameters:
        options = tf.saved_model.SaveOptions(extra_tags=["extra"])
    tf.saved_model.save(m, path, signatures={"predict": m.predict, "loop": m.loop}, options=options)
    return [
        *battery(
            "__call__",
            (zeros(1, 2), zeros(3, 2), zeros(2, 2), py([[1, 2]]), symbolic([None, 2])),
            (None, py(1.0), py(2), py(2.0), py(3.0), t(2.0)),
            count=24,
            seed=23,
        ),
        *battery("predict", VECTORS, count=10, seed=24),
        on("predict", zeros(2, 2)),
        *battery("fast", VECTORS, count=16, seed=25),
        *battery("slow", SCALARS, count=10, seed=26),
        *[
            on("loop", x)
            for x in (t(3, "int32"), py(3), t(3, "int64"), scalar(3, "int64"), py(3.5), symbolic([], "int32"))
        ],
        sig("predict", x=zeros(1, 2)),
        sig("loop", n=t(3, "int32")),
        sig("loop", t(3, "int32")),
    ]


@model
def resaved(path: str) -> list[Call]:
    """A model loaded and saved again, twice, with one of its functions exposed under another name."""
    many_signatures(f"{path}_first")
    once = tf.saved_model.load(f"{path}_first")
    tf.saved_model.save(once, f"{path}_second", signatures={"listed": once.listed, **dict(once.signatures)})
    twice = tf.saved_model.load(f"{path}_second")
    holder = tf.Module()
    holder.loaded = twice
    holder.alias = twice.free
    tf.saved_model.save(holder, path, signatures={"one": twice.single, "two": twice.signatures["infer"]})
    for part in ("first", "second"):
        remove_tree(f"{path}_{part}")
    return [
        *battery("loaded.listed", SCALARS, SCALARS, SCALARS, count=10, seed=27),
        *battery("alias", (zeros(1, 3), *VECTORS), (None, py(True), py(False), py(1)), count=12, seed=28),
        on("loaded.ordered", zeros(1, 2), t([1], "int64")),
        sig("one", x=t([1.0])),
        sig("two", x=zeros(1, 3)),
    ]


def remove_tree(path: str) -> None:
    """Remove a folder that a builder used on its way."""
    for folder, _, files in os.walk(path, topdown=False):
        for name in files:
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)


@model
def resaved_polymorphic(path: str) -> list[Call]:
    """A polymorphic model saved again, so that its traces are wrappers of restored ones."""
    calls = keyword_only(f"{path}_first")
    loaded = tf.saved_model.load(f"{path}_first")
    tf.saved_model.save(loaded, path)
    remove_tree(f"{path}_first")
    return [call for call in calls if "path" in call][::2]


@model
def text_proto(path: str) -> list[Call]:
    """A model whose proto was rewritten as text, with a captured variable and odd bytes in a string literal."""
    m = tf.Module()
    m.v = tf.Variable([1.0, 2.0], name="v")

    @tf.function(input_signature=[Spec([None, 2], tf.float32, name="x")])
    def f(x: Any) -> Any:
        return {"y": x * m.v, "s": tf.constant(b"\x00\xff\"'\\\n")}

    @tf.function
    def g(x: Any, word: Any = 'a "quoted" \\ wörd\n') -> Any:
        return tf.size(x)

    g.get_concrete_function(Spec([None], tf.int32))
    g.get_concrete_function(Spec([None], tf.int32), "plain")
    m.f, m.g = f, g
    tf.saved_model.save(m, path, signatures={"serving_default": f})
    as_text(path)
    return [
        on("f", zeros(1, 2)),
        on("f", py([[1, 2]])),
        on("f", t([1.0])),
        *battery("g", VECTORS, (None, py("plain"), py("other"), py('a "quoted" \\ wörd\n')), count=16, seed=18),
        sig("serving_default", x=zeros(1, 2)),
    ]


def as_text(path: str) -> None:
    """Replace saved_model.pb by saved_model.pbtxt."""
    binary = Path(path, "saved_model.pb")
    proto = saved_model_pb2.SavedModel.FromString(binary.read_bytes())
    Path(path, "saved_model.pbtxt").write_text(text_format.MessageToString(proto))
    binary.unlink()
    Path(path, "fingerprint.pb").unlink(missing_ok=True)
