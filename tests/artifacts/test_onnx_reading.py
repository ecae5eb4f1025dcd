"""ONNX models whose fields lie in an order that onnx itself does not write, and every element type that it knows."""

from __future__ import annotations

import itertools
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from trimtab.artifacts import read_signature
from trimtab.artifacts.formats.onnx.model import metadata_entry
from trimtab.signature.dtypes import dtype_of
from trimtab.signature.types import Tensor


def identity(code: int = TensorProto.FLOAT) -> onnx.GraphProto:
    return helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "graph",
        [helper.make_tensor_value_info("x", code, ["batch", 2])],
        [helper.make_tensor_value_info("y", code, None)],
    )


PARTS = {
    "version": onnx.ModelProto(ir_version=10),
    "operators": onnx.ModelProto(opset_import=[helper.make_opsetid("", 21)]),
    "functions": onnx.ModelProto(
        functions=[helper.make_function("d", "F", ["a"], ["b"], [helper.make_node("Identity", ["a"], ["b"])], [])]
    ),
    "training": onnx.ModelProto(training_info=[onnx.TrainingInfoProto()]),
    "graph": onnx.ModelProto(graph=identity()),
}


@pytest.mark.parametrize("order", list(itertools.permutations(PARTS)), ids="-".join)
def test_fields_are_found_in_any_order(tmp_path: Path, order: tuple[str, ...]) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"".join(PARTS[name].SerializeToString() for name in order))
    assert [it.name for it in onnx.load(path).graph.input] == ["x"]
    assert read_signature(path).input_names == ("x",)


@pytest.mark.parametrize("code", [code for code in TensorProto.DataType.values() if code])
def test_every_element_type_of_onnx_is_known(tmp_path: Path, code: int) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(helper.make_model(identity(code)).SerializeToString())
    (value,) = read_signature(path).inputs
    assert value.type == Tensor(dtype_of("onnx", code), ("batch", 2))
    assert value.type.dtype is not None


def test_metadata_entries_are_what_onnx_writes() -> None:
    model = onnx.ModelProto()
    model.ParseFromString(metadata_entry(b"{}" * 100))
    assert [(it.key, it.value) for it in model.metadata_props] == [("module_info.json", "{}" * 100)]
