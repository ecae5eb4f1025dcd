"""Saving Keras models: the archive or folder leaves the exporter with its signature inside, and Keras loads it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
pytest.importorskip("keras")

import keras

import trimtab.keras
from trimtab.artifacts import read_signature
from trimtab.errors import ArtifactError, ContradictionError, RefusedArtifactError, SignatureError
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Learned, Signature
from trimtab.signature.types import Tensor

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning",  # Keras and NumPy 2
    "ignore:You are saving a model that has not yet been built",
)
layers = keras.layers


def functional() -> Any:
    age, price = keras.Input((1,), name="age", dtype="int32"), keras.Input((3,), name="price")
    both = layers.Concatenate()([keras.ops.cast(age, "float32"), price])
    return keras.Model({"age": age, "price": price}, {"score": layers.Dense(1)(both), "rows": (both, age)})


def test_the_archive_declares_what_the_live_model_says(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model = functional()
    signature = trimtab.keras.save(model, path)
    assert [(it.name, str(it.type)) for it in signature.inputs] == [
        ("age", "int32 [batch, 1]"),
        ("price", "float32 [batch, 3]"),
    ]
    assert {it.return_path: str(it.type) for it in signature.outputs} == {
        '["score"]': "float32 [batch, 1]",
        '["rows"][0]': "float32 [batch, 4]",
        '["rows"][1]': "int32 [batch, 1]",
    }
    assert signature.provenance.learned is Learned.DECLARED
    assert read_signature(path) == signature
    data = {"age": np.ones((2, 1), np.int32), "price": np.ones((2, 3), np.float32)}
    expected, loaded = model(data), keras.models.load_model(path)(data)
    np.testing.assert_array_equal(expected["score"], loaded["score"])


def test_outputs_may_be_given_names(tmp_path: Path) -> None:
    signature = trimtab.keras.save(functional(), tmp_path / "m.keras", output_names=["p", "features", "age_again"])
    assert signature.output_names == ("p", "features", "age_again")
    assert [it.path for it in signature.outputs] == ['["score"]', '["rows"][0]', '["rows"][1]']
    with pytest.raises(SignatureError, match="3 names"):
        trimtab.keras.save(functional(), tmp_path / "m.keras", output_names=["p"])


@pytest.mark.parametrize("dynamic", ["n", None])
def test_the_open_size_may_be_called_otherwise(tmp_path: Path, dynamic: str | None) -> None:
    model = keras.Sequential([keras.Input((4,), name="x"), layers.Dense(2)])
    signature = trimtab.keras.save(model, tmp_path / "model.keras", dynamic=dynamic)
    assert signature.inputs[0].type == Tensor(DType.FLOAT32, (dynamic, 4))
    assert signature.outputs[0].type == Tensor(DType.FLOAT32, (dynamic, 2))


class Ranker(keras.Model):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.dense = layers.Dense(1)

    def call(self, features: Any) -> Any:
        return {"score": self.dense(features["price"]), "age": features["age"]}


def test_a_model_of_a_class_of_its_own_is_described_by_examples(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    examples = ({"age": np.ones((2, 1), np.int64), "price": np.ones((2, 3), np.float32)},)
    with pytest.raises(RefusedArtifactError, match="Ranker"):
        trimtab.keras.save(Ranker(), path)
    assert os.listdir(tmp_path) == []
    signature = trimtab.keras.save(Ranker(), path, example_inputs=examples)
    assert [(it.name, it.path, str(it.type)) for it in signature.inputs] == [
        ("age", 'inputs["age"]', "int64 [batch, 1]"),
        ("price", 'inputs["price"]', "float32 [batch, 3]"),
    ]
    assert [(it.name, str(it.type)) for it in signature.outputs] == [
        ("score", "float32 [batch, 1]"),
        ("age", "int64 [batch, 1]"),
    ]
    loaded = keras.models.load_model(path, custom_objects={"Ranker": Ranker})
    assert loaded(examples[0])["score"].shape == (2, 1)


def test_a_model_that_was_built_by_data_is_described_by_examples_too(tmp_path: Path) -> None:
    model = Ranker()
    data = {"age": np.ones((5, 1), np.int64), "price": np.ones((5, 3), np.float32)}
    model(data)
    signature = trimtab.keras.save(model, tmp_path / "model.keras", example_inputs=(data,))
    assert [str(it.type) for it in signature.inputs] == ["int64 [batch, 1]", "float32 [batch, 3]"]
    unknown = trimtab.keras.save(model, tmp_path / "other.keras")
    assert [str(it.type) for it in unknown.inputs] == ["any dtype [5, 1]", "any dtype [5, 3]"]


def test_a_signature_of_ones_own_is_checked(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    signature = trimtab.keras.save(functional(), path)
    entry_point = signature.entry_point()
    overload = entry_point.overloads[0]

    def with_first_input(**changes: Any) -> Signature:
        inputs = (replace(overload.inputs[0], **changes), *overload.inputs[1:])
        return replace(signature, entry_points=(replace(entry_point, overloads=(replace(overload, inputs=inputs),)),))

    assert trimtab.keras.save(functional(), path, with_first_input(doc="years")).inputs[0].doc == "years"
    with pytest.raises(ContradictionError):
        trimtab.keras.save(functional(), tmp_path / "other.keras", with_first_input(type=Tensor(DType.STRING, None)))
    assert os.listdir(tmp_path) == ["model.keras"]


def test_a_folder_is_a_saved_model_with_the_document(tmp_path: Path) -> None:
    tensorflow = pytest.importorskip("tensorflow")
    path = tmp_path / "model"
    x = keras.Input((3,), name="x")
    model = keras.Model(x, {"score": layers.Dense(1)(x), "again": x})
    signature = trimtab.keras.save(model, path)
    assert signature.provenance.format == "savedmodel"
    assert signature.provenance.learned is Learned.DECLARED
    assert [(it.name, str(it.type)) for it in signature.inputs] == [("x", "float32 [batch, 3]")]
    assert os.listdir(tmp_path) == ["model"]
    served = tensorflow.saved_model.load(str(path)).signatures["serving_default"]
    answer = served(x=tensorflow.ones((2, 3)))
    assert set(answer) == set(signature.output_names) == {"score", "again"}
    with pytest.raises(ArtifactError, match="does not exist yet"):
        trimtab.keras.save(model, path)


def test_what_is_no_model_or_no_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"a keras\.Model, got Dense"):
        trimtab.keras.save(layers.Dense(1), tmp_path / "model.keras")
    with pytest.raises(ArtifactError, match="an HDF5 file"):
        trimtab.keras.save(functional(), tmp_path / "model.h5")
    with pytest.raises(ArtifactError, match="with output_names"):
        trimtab.keras.save(functional(), tmp_path / "model", output_names=["a"])
    assert os.listdir(tmp_path) == []
