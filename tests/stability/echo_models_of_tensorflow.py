"""The same models of TensorFlow's family: SavedModels, TensorFlow Lite models, and Keras archives."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from echo_models import Arrays, Exported, Field, Model, declared

from trimtab.artifacts import read_signature
from trimtab.signature.model import Signature


def savedmodel(model: Model, folder: Path) -> Exported:
    """Saved with tf.saved_model, called by its signature."""
    return savedmodels({model.entry_point: model}, folder)[model.entry_point]


def savedmodels(models: Mapping[str, Model], folder: Path) -> dict[str, Exported]:
    """One SavedModel with a signature for each of these, by its name."""
    import tensorflow as tf

    _save(models, folder)
    calls = tf.saved_model.load(str(folder)).signatures
    signature = read_signature(folder)
    return {name: _exported(signature, _of_constants(calls[name]), model) for name, model in models.items()}


def tflite(model: Model, folder: Path) -> Exported:
    """Converted by TensorFlow, run by a signature runner of its interpreter."""
    path = _converted({model.entry_point: model}, folder)
    return _exported(declared(path, model), load_tflite(path).get_signature_runner(model.entry_point), model)


def tflites(models: Mapping[str, Model], folder: Path) -> dict[str, Exported]:
    """One TensorFlow Lite model with a signature for each of these, by its name."""
    path = _converted(models, folder)
    signature = read_signature(path)
    return {
        name: _exported(signature, load_tflite(path).get_signature_runner(name), model)
        for name, model in models.items()
    }


def keras(model: Model, folder: Path) -> Exported:
    """Saved in Keras's archive, called with arrays in the structure that it takes."""
    path = folder / "model.keras"
    _keras_model(model).save(path)
    loaded = load_keras(path)
    prefix = len(model.prefix)

    def run(arrays: Arrays) -> Arrays:
        returned = loaded(structured(model, arrays))
        if model.structure == "sequential":
            return {model.inputs[0].meaning: returned.numpy()}
        return {name[prefix:]: it.numpy() for name, it in returned.items()}

    return Exported(declared(path, model), run)


def structured(model: Model, arrays: Arrays) -> Any:
    """Arrays as a Keras model takes them, None for those that are not there."""
    if model.structure in ("array", "sequential"):
        return arrays[model.inputs[0].name]
    given = {it.name: arrays.get(it.name) for it in model.inputs}
    return given if model.structure == "mapping" else list(given.values())


def load_keras(path: Path) -> Any:
    import keras

    return keras.models.load_model(path)


def _save(models: Mapping[str, Model], folder: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    for name, model in models.items():
        setattr(module, f"call_{name}", tf.function(_echo(model), input_signature=[*map(_spec, model.inputs)]))
    calls = {name: getattr(module, f"call_{name}") for name in models}
    tf.saved_model.save(module, str(folder), signatures=calls)


def _echo(model: Model) -> Any:
    import tensorflow as tf

    def echo(*values: Any) -> dict[str, Any]:
        given = {it.name: value for it, value in zip(model.inputs, values, strict=True)}
        returned = {}
        for it in model.returned:
            value = given[it.name]
            if it.top is not None:
                value = tf.gather(tf.range(it.top + 1, dtype=it.dtype), value)
            value = tf.cast(value, model.cast) if model.cast else tf.identity(value)
            if model.shape:
                value = tf.expand_dims(value, -1) if model.shape == "column" else tf.concat([value, value], -1)
            returned[model.prefix + it.meaning] = value
        return returned

    return echo


def _spec(it: Field) -> Any:
    import tensorflow as tf

    return tf.TensorSpec(_sizes(it), it.dtype, it.name)


def _sizes(it: Field) -> list[int | None]:
    return [dim if isinstance(dim, int) else None for dim in it.shape]


def _of_constants(call: Any) -> Any:
    import tensorflow as tf

    return lambda **arrays: call(**{name: tf.constant(array) for name, array in arrays.items()})


def _exported(signature: Signature, call: Any, model: Model) -> Exported:
    prefix = len(model.prefix)

    def run(arrays: Arrays) -> Arrays:
        returned = call(**{name: _as_text(array) for name, array in arrays.items()})
        return {name[prefix:]: _as_array(value) for name, value in returned.items()}

    return Exported(signature, run)


def _as_text(array: np.ndarray) -> Any:
    """Text as the bytes that TensorFlow takes it for."""
    if array.dtype != object:
        return array
    return np.array([it.encode() if isinstance(it, str) else it for it in array.flat], object).reshape(array.shape)


def _as_array(value: Any) -> np.ndarray:
    return value if isinstance(value, np.ndarray) else np.asarray(value.numpy())


def _converted(models: Mapping[str, Model], folder: Path) -> Path:
    import tensorflow as tf

    _save(models, folder / "saved")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"), signature_keys=list(models))
    path = folder / "model.tflite"
    path.write_bytes(converter.convert())
    return path


def load_tflite(path: Path) -> Any:
    import tensorflow as tf

    return tf.lite.Interpreter(model_content=path.read_bytes())


def _keras_model(model: Model) -> Any:
    import keras

    inputs = {
        it.name: keras.Input(batch_shape=_sizes(it), dtype=it.dtype, name=it.name, optional=it.optional)
        for it in model.inputs
    }
    if model.structure == "sequential":
        (it,) = model.inputs
        return keras.Sequential([*inputs.values(), keras.layers.Identity(dtype=it.dtype)])
    returned = {model.prefix + it.meaning: _keras_echo(it, inputs[it.name], model.cast) for it in model.returned}
    if model.structure == "array":
        (taken,) = inputs.values()
        return keras.Model(taken, returned)
    return keras.Model(inputs if model.structure == "mapping" else list(inputs.values()), returned)


def _keras_echo(it: Field, value: Any, cast: str) -> Any:
    import keras

    if it.top is not None:
        table = keras.layers.Embedding(it.top + 1, 1)
        value = table(value)
        table.set_weights([np.arange(it.top + 1, dtype="float32")[:, None]])
        return value
    if it.categories:
        return keras.layers.StringLookup(vocabulary=list(it.categories), num_oov_indices=0)(value)
    if it.optional:
        return _or_nothing()(value)
    return keras.layers.Identity(dtype=cast or it.dtype)(value)


def _or_nothing() -> Any:
    import keras

    @keras.saving.register_keras_serializable("echo")
    class OrNothing(keras.layers.Layer):
        """Gives nothing where nothing was given."""

        def call(self, value: Any) -> Any:
            return keras.ops.zeros((0,)) if value is None else value

        def compute_output_spec(self, value: Any) -> Any:
            return keras.KerasTensor(value.shape, value.dtype)

    return OrNothing()
