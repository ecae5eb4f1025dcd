"""TensorFlow Lite models of many shapes, converted by TensorFlow, and TensorFlow's own account of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")

import numpy as np
import tensorflow as tf

Spec = tf.TensorSpec
DTYPES = (
    *("float32", "int32", "int64", "bool", "uint8", "int8", "string", "float64", "complex64", "int16", "uint32"),
    *("float16", "bfloat16", "uint16", "uint64", "complex128"),
)


def convert(module: tf.Module, folder: Path, **signatures: Any) -> bytes:
    """A model with these signatures."""
    tf.saved_model.save(module, str(folder), signatures=signatures)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=sorted(signatures))
    converter.experimental_enable_resource_variables = True
    converter.allow_custom_ops = True
    return bytes(converter.convert())


def function(*specs: Any) -> Callable[[Callable[..., Any]], Any]:
    return tf.function(input_signature=specs)


def dead(folder: Path) -> bytes:
    class Model(tf.Module):
        @function(Spec([None, 3], tf.float32, "a"), Spec([2], tf.int64, "b"), Spec([], tf.float32, "c"))
        def call(self, a: Any, b: Any, c: Any) -> Any:
            return {"y": a * c, "const": tf.constant([1.0])}

    model = Model()
    return convert(model, folder, serving_default=model.call)


def control(folder: Path) -> bytes:
    class Model(tf.Module):
        @function(
            Spec([4], tf.float32, "x"),
            Spec([], tf.bool, "choose"),
            Spec([4], tf.float32, "other"),
            Spec([], tf.int32, "times"),
            Spec([4], tf.float32, "unused"),
        )
        def call(self, x: Any, choose: Any, other: Any, times: Any, unused: Any) -> Any:
            chosen = tf.cond(choose, lambda: x * 2.0, lambda: other + 1.0)
            _, total, _ = tf.while_loop(
                lambda at, *_: at < times, lambda at, total, carried: (at + 1, total + x, carried), [0, chosen, unused]
            )
            return {"total": total}

    model = Model()
    return convert(model, folder, serving_default=model.call)


def nested(folder: Path) -> bytes:
    """Loops in branches, whose values shift from variable to variable as they turn."""

    class Model(tf.Module):
        @function(
            Spec([2], tf.float32, "first"),
            Spec([2], tf.float32, "second"),
            Spec([2], tf.float32, "third"),
            Spec([], tf.bool, "choose"),
        )
        def call(self, first: Any, second: Any, third: Any, choose: Any) -> Any:
            def shifting() -> Any:
                return tf.while_loop(
                    lambda at, *_: at < tf.cast(first[0], tf.int32),
                    lambda at, a, b, c: (at + 1, b, c, c),
                    [0, first, second, third],
                )[1]

            return {"out": tf.cond(choose, shifting, lambda: first * 1.0)}

    model = Model()
    return convert(model, folder, serving_default=model.call)


def state(folder: Path) -> bytes:
    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            self.total = tf.Variable(tf.ones([3]))

        @function(Spec([3], tf.float32, "more"), Spec([3], tf.float32, "back"))
        def add(self, more: Any, back: Any) -> Any:
            self.total.assign_add(more)
            return {"out": tf.identity(back)}

        @function()
        def get(self) -> Any:
            return {"total": self.total.read_value()}

        @function(Spec([3], tf.float32, "x"), Spec([3], tf.float32, "y"))
        def scale(self, x: Any, y: Any) -> Any:
            return {"scaled": x * self.total}

    model = Model()
    return convert(model, folder, add=model.add, get=model.get, scale=model.scale)


def table(folder: Path) -> bytes:
    class Model(tf.Module):
        def __init__(self) -> None:
            super().__init__()
            pairs = tf.lookup.KeyValueTensorInitializer(tf.constant([1, 2], tf.int64), tf.constant(["a", "b"]))
            self.table = tf.lookup.StaticHashTable(pairs, "z")

        @function(Spec([None], tf.int64, "key"), Spec([1], tf.float32, "unused"))
        def call(self, key: Any, unused: Any) -> Any:
            return {"value": self.table.lookup(key)}

    model = Model()
    return convert(model, folder, serving_default=model.call)


def dtypes(folder: Path) -> bytes:
    class Model(tf.Module):
        @function(*(Spec([None], each, f"in_{each}") for each in DTYPES))
        def call(self, *values: Any) -> Any:
            return {f"out_{each}": tf.identity(value) for each, value in zip(DTYPES, values, strict=True)}

    model = Model()
    return convert(model, folder, serving_default=model.call)


def shapes(folder: Path) -> bytes:
    class Model(tf.Module):
        @function(
            Spec([], tf.float32, "scalar"),
            Spec(None, tf.float32, "any_rank"),
            Spec([None, None, 3], tf.float32, "open"),
            Spec([0, 2], tf.float32, "empty"),
            Spec([1], tf.float32, "one"),
        )
        def call(self, scalar: Any, any_rank: Any, open: Any, empty: Any, one: Any) -> Any:  # noqa: A002
            return {
                "scalar": scalar + 1,
                "any_rank": tf.identity(any_rank),
                "open": tf.reduce_sum(open, 1),
                "empty": empty * 2.0,
                "one": one * 3.0,
            }

    model = Model()
    return convert(model, folder, serving_default=model.call)


def several(folder: Path) -> bytes:
    class Model(tf.Module):
        @function(Spec([2], tf.float32, "x"))
        def call(self, x: Any) -> Any:
            y = x * 2.0
            return {"a": y, "b": y, "c": x}

        @function()
        def nothing(self) -> Any:
            return {"random": tf.random.normal([2])}

    model = Model()
    return convert(model, folder, other=model.call, **{"weird key! é": model.call, "nothing": model.nothing})


def custom(folder: Path) -> bytes:
    class Model(tf.Module):
        @function(Spec([None], tf.float32, "x"), Spec([None], tf.float32, "unused"))
        def call(self, x: Any, unused: Any) -> Any:
            return {"y": tf.raw_ops.Betainc(a=x, b=x, x=x)}

    model = Model()
    return convert(model, folder, serving_default=model.call)


def recurrent(folder: Path) -> bytes:
    class Model(tf.Module):
        @function(Spec([5, 2], tf.float32, "sequence"), Spec([2], tf.float32, "state"), Spec([5], tf.int32, "unused"))
        def call(self, sequence: Any, state: Any, unused: Any) -> Any:
            return {"states": tf.scan(lambda before, x: before * 0.5 + x, sequence, state)}

    model = Model()
    return convert(model, folder, serving_default=model.call)


def quantized(folder: Path) -> bytes:
    def examples() -> Iterator[list[Any]]:
        for _ in range(4):
            yield [np.random.default_rng(0).random((1, 8), np.float32)]

    class Model(tf.Module):
        @function(Spec([1, 8], tf.float32, "x"))
        def call(self, x: Any) -> Any:
            return {"y": tf.nn.relu(tf.matmul(x, tf.ones([8, 3])))}

    model = Model()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([model.call.get_concrete_function()], model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = examples
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.uint8
    return bytes(converter.convert())


def without_signatures(folder: Path) -> bytes:
    @tf.function
    def call(x: Any, y: Any, unused: Any) -> Any:
        return x + 1.0, {"k": y * 2}, x

    specs = (Spec([None, 2], tf.float32, "ünï x"), Spec([], tf.int32, "y"), Spec([], tf.int32, "unused"))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([call.get_concrete_function(*specs)], tf.Module())
    return bytes(converter.convert())


MODELS = (
    *(dead, control, nested, state, table, dtypes, shapes, several, custom, recurrent, quantized, without_signatures),
)
