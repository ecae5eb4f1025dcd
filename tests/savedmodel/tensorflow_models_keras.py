"""SavedModels that Keras writes: Keras 3 by `export` and by a plain save, and the legacy Keras format of layers."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf
from saved_model_calls import Call, NotHere, battery, many, mapping, model, on, py, sig, symbolic, t, zeros


def keras_three() -> Any:
    """The `keras` package where TensorFlow stands on its third version."""
    if not hasattr(tf.keras, "version") or not tf.keras.version().startswith("3"):
        raise NotHere("Keras 3 is not installed")
    import keras

    keras.utils.set_random_seed(7)
    return keras


def legacy_keras() -> Any:
    """The Keras that saves layers as SavedModels: TensorFlow's own until 2.15, then the package tf_keras."""
    if tuple(int(n) for n in tf.__version__.split(".")[:2]) < (2, 16):
        tf.keras.utils.set_random_seed(7)
        return tf.keras
    os.environ.setdefault("TF_USE_LEGACY_KERAS", "1")
    try:
        import tf_keras
    except ImportError as why:
        raise NotHere("tf_keras is not installed") from why
    tf_keras.utils.set_random_seed(7)
    return tf_keras


@model
def keras3_export_two(path: str) -> list[Call]:
    """`export` of a functional model with three named inputs, one of them of integers, and two outputs."""
    keras = keras_three()
    a = keras.Input([3], name="alpha")
    b = keras.Input([], dtype="int32", name="beta")
    c = keras.Input([2, 2], name="gamma")
    embedded = keras.layers.Embedding(4, 3)(b)
    hidden = keras.layers.Dense(2, name="hidden")(keras.layers.Add()([a, embedded]))
    keras.Model([a, b, c], {"logits": hidden, "flat": keras.layers.Flatten()(c)}).export(path, verbose=False)
    inputs = {"alpha": zeros(2, 3), "beta": zeros(2, dtype="int32"), "gamma": zeros(2, 2, 2)}
    return [
        on("serve", many(*inputs.values())),
        on("serve", many(*[py(0)] * 3)),
        on("serve", *inputs.values()),
        on("serve", mapping(inputs)),
        on("serve", mapping(inputs), py(True)),
        on("serve", many(zeros(2, 3), zeros(2), zeros(2, 2, 2))),
        on("serve", many(symbolic([None, 3]), symbolic([None], "int32"), symbolic([None, 2, 2]))),
        sig("serving_default", **inputs),
        sig("serve", **inputs),
        sig("serve", alpha=zeros(2, 3)),
    ]


@model
def keras3_seq_export(path: str) -> list[Call]:
    """`export` of a Sequential model with normalization, dropout and a recurrent layer."""
    keras = keras_three()
    layers = keras.layers
    net = keras.Sequential(
        [keras.Input([4, 3]), layers.BatchNormalization(), layers.GRU(2), layers.Dropout(0.5), layers.Dense(1)]
    )
    net.export(path, verbose=False)
    return [
        on("serve", zeros(2, 4, 3)),
        on("serve", zeros(2, 4, 2)),
        on("serve", zeros(4, 3)),
        on("serve", symbolic([None, 4, 3])),
        on("serve", zeros(1, 4, 3, dtype="float64")),
        on("serve"),
        sig("serving_default", zeros(2, 4, 3)),
        sig("serve", zeros(2, 4, 3)),
    ]


@model
def keras3_export_endpoints(path: str) -> list[Call]:
    """An ExportArchive with several endpoints over one model."""
    keras = keras_three()
    net = keras.Sequential([keras.Input([3], name="x"), keras.layers.Dense(2)])
    archive = keras.export.ExportArchive()
    archive.track(net)
    archive.add_endpoint("call", net.call, input_signature=[tf.TensorSpec([None, 3], tf.float32, name="x")])
    archive.add_endpoint(
        "shifted",
        lambda x, by: {"y": net(x) + by},
        input_signature=[tf.TensorSpec([None, 3], tf.float32), tf.TensorSpec([], tf.float32)],
    )
    archive.write_out(path, verbose=False)
    return [
        on("call", zeros(1, 3)),
        on("call", py([[1, 2, 3]])),
        on("shifted", zeros(1, 3), py(1)),
        on("shifted", zeros(1, 3)),
        sig("serving_default", x=zeros(1, 3)),
        sig("shifted", x=zeros(1, 3), by=t(1.0)),
    ]


@model
def keras3_plain_save(path: str) -> list[Call]:
    """`tf.saved_model.save` of a Keras 3 model, which is an object graph full of Keras's own containers."""
    keras = keras_three()
    x = keras.Input([3], name="features")
    y = keras.layers.Dense(2, activation="relu", name="one")(x)
    net = keras.Model(x, [keras.layers.Dense(1, name="two")(y), y])
    net.compile("adam", "mse")
    tf.saved_model.save(net, path)
    return [
        sig("serving_default", features=zeros(1, 3)),
        sig("serving_default", zeros(1, 3)),
        sig("serving_default", x=zeros(1, 3)),
    ]


@model
def legacy_functional(path: str) -> list[Call]:
    """A legacy functional model with dropout and batch normalization, compiled and trained for a step."""
    keras = legacy_keras()
    a, b = keras.Input([3], name="left"), keras.Input([2], name="right", dtype="float32")
    x = keras.layers.Concatenate()([keras.layers.Dense(2)(a), keras.layers.BatchNormalization()(b)])
    net = keras.Model([a, b], {"score": keras.layers.Dense(1, name="score")(keras.layers.Dropout(0.3)(x))})
    net.compile("adam", "mse")
    net.fit([tf.zeros([4, 3]), tf.zeros([4, 2])], tf.zeros([4, 1]), verbose=0)
    net.save(path, save_format="tf")
    both = many(zeros(2, 3), zeros(2, 2))
    flags = (None, py(True), py(False), py(None), py(0))
    return [
        *battery(
            "__call__",
            (
                both,
                many(zeros(2, 3), zeros(2, 3)),
                mapping(left=zeros(2, 3), right=zeros(2, 2)),
                many(zeros(2, 3)),
                many(symbolic([None, 3]), symbolic([None, 2])),
            ),
            flags,
            (None, py(None), many(py(None), py(None))),
            count=24,
        ),
        on("__call__", both, training=py(True)),
        on("__call__", inputs=both),
        on("call_and_return_all_conditional_losses", both, py(False)),
        on("layer_with_weights-0.__call__", zeros(1, 3)),
        on("layer_with_weights-1.__call__", zeros(1, 2), py(True)),
        on("layer_with_weights-1.__call__", zeros(1, 2), training=py(False)),
        sig("serving_default", left=zeros(2, 3), right=zeros(2, 2)),
        sig("serving_default", zeros(2, 3)),
    ]


@model
def legacy_subclassed(path: str) -> list[Call]:
    """A legacy subclassed model with its own layer, extra method and a dict as input."""
    keras = legacy_keras()

    class Gate(keras.layers.Layer):
        def build(self, shape: Any) -> None:
            self.gate = self.add_weight(name="gate", shape=[shape[-1]], initializer="ones")

        def call(self, inputs: Any, training: Any = None) -> Any:
            return inputs * self.gate * (0.5 if training else 1.0)

    class Net(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.blocks = [Gate(name="g0"), Gate(name="g1")]
            self.out = keras.layers.Dense(1)

        def call(self, inputs: Any, training: Any = False) -> Any:
            x = inputs["x"]
            for block in self.blocks:
                x = block(x, training=training)
            return self.out(x) + inputs["bias"]

        @tf.function(input_signature=[tf.TensorSpec([None, 2], tf.float32, name="x")])
        def embed(self, x: Any) -> Any:
            return {"embedding": self.blocks[0](x)}

    net = Net()
    net({"x": tf.zeros([1, 2]), "bias": tf.zeros([1, 1])})
    net.save(path, save_format="tf", signatures={"embed": net.embed})
    inputs = mapping(x=zeros(1, 2), bias=zeros(1, 1))
    return [
        *battery(
            "__call__",
            (inputs, mapping(x=zeros(1, 2)), mapping(x=zeros(3, 2), bias=zeros(3, 1)), zeros(1, 2)),
            (None, py(True), py(False), py(None)),
            count=14,
        ),
        on("embed", zeros(1, 2)),
        on("embed", zeros(2, 2)),
        on("blocks.0.__call__", zeros(1, 2)),
        on("blocks.1.__call__", zeros(1, 2), py(True)),
        sig("embed", x=zeros(1, 2)),
        sig("embed", zeros(1, 2)),
    ]


@model
def legacy_sequential(path: str) -> list[Call]:
    """A legacy Sequential model with an embedding of integer ids and masking."""
    keras = legacy_keras()
    net = keras.Sequential(
        [keras.layers.Embedding(5, 2, mask_zero=True, input_length=3), keras.layers.LSTM(2), keras.layers.Dense(1)]
    )
    net.build([None, 3])
    net.save(path, save_format="tf")
    return [
        *battery(
            "__call__",
            (zeros(1, 3), zeros(1, 3, dtype="int32"), zeros(1, 4), py([[1, 2, 3]])),
            (None, py(True), py(False)),
            count=10,
        ),
        sig("serving_default", zeros(1, 3)),
        sig("serving_default", embedding_input=zeros(1, 3)),
    ]
