"""Saving ONNX: the file leaves the exporter with its signature inside, and onnxruntime runs it as before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from msgspec.structs import replace

import trimtab.onnx
from trimtab.artifacts import read_signature
from trimtab.errors import ArtifactError, ContradictionError
from trimtab.signature.document import FILE_NAME, decode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.types import Tensor


@pytest.fixture
def model() -> Any:
    x = onnx.helper.make_tensor_value_info("user", onnx.TensorProto.FLOAT, ["batch", 3])
    y = onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, ["batch", 3])
    node = onnx.helper.make_node("Add", ["user", "user"], ["score"])
    graph = onnx.helper.make_graph([node], "g", [x], [y])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def test_the_file_declares_what_the_graph_says(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    signature = trimtab.onnx.save(model, path)
    assert [(it.name, it.type) for it in signature.inputs] == [("user", Tensor(DType.FLOAT32, ("batch", 3)))]
    session = onnxruntime.InferenceSession(path)
    document = session.get_modelmeta().custom_metadata_map[FILE_NAME]
    assert decode_document(document.encode()).digest == signature.digest == read_signature(path).digest
    assert session.run(None, {"user": np.ones((2, 3), np.float32)})[0].tolist() == [[2.0] * 3] * 2


def test_saving_a_loaded_model_again_keeps_one_document(model: Any, tmp_path: Path) -> None:
    first = trimtab.onnx.save(model, tmp_path / "first.onnx")
    loaded = onnx.load(tmp_path / "first.onnx")
    assert trimtab.onnx.save(loaded, tmp_path / "second.onnx") == first
    assert [it.key for it in onnx.load(tmp_path / "second.onnx").metadata_props] == [FILE_NAME]


def test_a_contradiction_leaves_nothing(model: Any, tmp_path: Path) -> None:
    signature = trimtab.onnx.save(model, tmp_path / "model.onnx")
    entry_point = signature.entry_point()
    overload = entry_point.overloads[0]
    wrong = replace(overload, inputs=(replace(overload.inputs[0], type=Tensor(DType.INT64, ("batch", 3))),))
    given = replace(signature, entry_points=(replace(entry_point, overloads=(wrong,)),))
    with pytest.raises(ContradictionError):
        trimtab.onnx.save(model, tmp_path / "other.onnx", given)
    assert os.listdir(tmp_path) == ["model.onnx"]


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="ModelProto"):
        trimtab.onnx.save(b"bytes", tmp_path / "model.onnx")
