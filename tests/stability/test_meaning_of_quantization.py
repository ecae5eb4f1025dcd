"""The same proof for quantized TensorFlow Lite models: what the integers of a request stand for."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import pytest
from echo_models_of_tensorflow import load_tflite

from trimtab.artifacts import read_signature
from trimtab.signature.model import Quantization, Signature
from trimtab.stability import Category, diff


@dataclass(frozen=True)
class Converted:
    """How a model is converted. span: the greatest number that it is shown. gain: what it multiplies by, or else tanh.

    inputs, outputs: the dtypes of what goes in and comes out.
    """

    span: float = 4.0
    gain: float | None = None
    inputs: str = "int8"
    outputs: str = "int8"


TANH, GAIN = Converted(), Converted(gain=2.0)
CASES = {
    "nothing": (TANH, TANH, "", ""),
    "shown greater numbers": (TANH, replace(TANH, span=8.0), "INPUT_SAME_QUANTIZATION", ""),
    "shown smaller numbers": (TANH, replace(TANH, span=2.0), "INPUT_SAME_QUANTIZATION", ""),
    "quantized inside alone": (
        *(replace(it, inputs="float32", outputs="float32") for it in (TANH, replace(TANH, span=8.0))),
        *("", ""),
    ),
    "greater scores": (GAIN, replace(GAIN, gain=3.0), "", "OUTPUT_SAME_QUANTIZATION"),
    "unsigned": (TANH, replace(TANH, inputs="uint8"), "INPUT_SAME_DTYPE", "INPUT_SAME_DTYPE"),
}


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Converted], tuple[Signature, Any]]:
    """Converts each model once: what the file says, and its signature runner."""
    made: dict[Converted, tuple[Signature, Any]] = {}

    def of(how: Converted) -> tuple[Signature, Any]:
        if how not in made:
            path = convert(how, tmp_path_factory.mktemp("quantized"))
            made[how] = read_signature(path), load_tflite(path).get_signature_runner("serving_default")
        return made[how]

    return of


def convert(how: Converted, folder: Path) -> Path:
    import tensorflow as tf

    def call(x: Any) -> Any:
        return {"score": tf.tanh(x) if how.gain is None else x * how.gain}

    def shown() -> Iterator[dict[str, Any]]:
        yield {"x": np.array([[-how.span, how.span]], "float32")}

    module = tf.Module()
    module.call = tf.function(call, input_signature=[tf.TensorSpec([1, 2], tf.float32, "x")])
    tf.saved_model.save(module, str(folder / "saved"), signatures={"serving_default": module.call})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "saved"))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = shown
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = getattr(tf, how.inputs)
    converter.inference_output_type = getattr(tf, how.outputs)
    path = folder / "model.tflite"
    path.write_bytes(converter.convert())
    return path


@pytest.mark.parametrize(("before", "after", "in_feed", "in_schema"), CASES.values(), ids=CASES.keys())
def test_another_quantization_counts_exactly_if_integers_are_taken_for_other_numbers(
    converted: Callable[[Converted], tuple[Signature, Any]],
    before: Converted,
    after: Converted,
    in_feed: str,
    in_schema: str,
) -> None:
    (old, _), (new, run) = converted(before), converted(after)
    rules = {it.rule for it in diff(old, new, Category.SCHEMA)}
    assert {it.rule for it in diff(old, new, Category.FEED)} == set(in_feed.split())
    assert rules == {*in_feed.split(), *in_schema.split()}
    numbers = np.array([[-1.5, 1.25]], "float32")
    sent = integers(numbers, old.inputs[0].quantization, before.inputs)
    meant = (np.tanh(numbers) if after.gain is None else numbers * after.gain).astype("float32")
    try:
        score = run(x=sent)["score"]
    except ValueError:
        assert in_feed == "INPUT_SAME_DTYPE"
        return
    by_new, by_old = (real(score, it.outputs[0].quantization) for it in (new, old))
    assert np.allclose(by_new, meant, atol=0.06) == (not in_feed)
    assert np.allclose(by_old, by_new, atol=0.06) == ("OUTPUT_SAME_QUANTIZATION" not in rules)


def integers(numbers: np.ndarray, by: Quantization | None, dtype: str) -> np.ndarray:
    """What a caller sends for numbers."""
    return numbers.astype(dtype) if by is None else np.round(numbers / by.scale + by.zero_point).astype(dtype)


def real(integers: np.ndarray, by: Quantization | None) -> np.ndarray:
    """What a reader takes integers for."""
    return integers if by is None else (integers.astype("float64") - by.zero_point) * by.scale
