"""Saving ONNX: the file leaves the exporter with its signature inside, and onnxruntime runs it as before."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from msgspec.structs import replace

import trimtab.onnx
from trimtab.artifacts import read_signature
from trimtab.errors import ArtifactError, ContradictionError, LossyExportWarning, SignatureError
from trimtab.signature.document import FILE_NAME, decode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import Constraints, Feature, Range, Signature
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


def made(inputs: dict[str, list[Any]], *, ir_version: int = 10, weights: int = 0, listed: bool = False) -> Any:
    """A model that adds up its inputs and, to the result, weights."""
    values = [onnx.helper.make_tensor_value_info(name, 1, shape) for name, shape in inputs.items()]
    names = [f"w{i}" for i in range(weights)]
    tensors = [onnx.numpy_helper.from_array(np.full((1, 1024), i, np.float32), name) for i, name in enumerate(names)]
    if listed:
        values += [onnx.helper.make_tensor_value_info(name, 1, [1, 1024]) for name in names]
    nodes = [onnx.helper.make_node("Sum", [*inputs, *names], ["y"])]
    graph = onnx.helper.make_graph(nodes, "g", values, [onnx.helper.make_tensor_value_info("y", 1, None)], tensors)
    opset = 18 if ir_version > 7 else 8
    return onnx.helper.make_model(graph, ir_version=ir_version, opset_imports=[onnx.helper.make_opsetid("", opset)])


def shapes(signature: Signature) -> list[Any]:
    return [it.type.shape for it in signature.inputs if isinstance(it.type, Tensor)]


# Names and details


@pytest.mark.parametrize("names", [["age", "b"], {"dense_1_input:0": "age"}], ids=["in order", "by the graph's"])
def test_requests_use_the_names_that_are_given(names: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    signature = trimtab.onnx.save(
        made({"dense_1_input:0": ["n", 2], "b": ["n", 2]}), path, input_names=names, output_names={"y": "score"}
    )
    assert [(it.name, it.call_path) for it in signature.inputs] == [("age", "dense_1_input:0"), ("b", "b")]
    assert [(it.name, it.return_path) for it in signature.outputs] == [("score", "y")]
    assert [it.name for it in onnxruntime.InferenceSession(path).get_inputs()] == ["dense_1_input:0", "b"]


def test_names_can_change_places(tmp_path: Path) -> None:
    signature = trimtab.onnx.save(made({"a": [1], "b": [2]}), tmp_path / "m.onnx", input_names={"a": "b", "b": "a"})
    assert [(it.name, it.path) for it in signature.inputs] == [("b", "a"), ("a", "b")]
    assert shapes(signature) == [(1,), (2,)]


def test_what_the_file_has_no_place_for_is_declared(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    signature = trimtab.onnx.save(
        made({"age": ["n", 1], "country": ["n", 1], "X": ["n", 3]}),
        path,
        details={
            "age": {"range": (0, None), "id": "f-17", "aliases": ["user_age"], "doc": "in years", "nullable": True},
            "country": {"categories": [1, 2, 3]},
            "X": {"features": ["price", "rate", Feature(name="rank", type=Tensor())], "shape": ["rows", 3]},
        },
    )
    age, country, matrix = signature.inputs
    assert age.constraints == Constraints(range=Range(minimum=0))
    assert (age.id, age.aliases, age.doc, age.nullable) == ("f-17", ("user_age",), "in years", True)
    assert country.constraints == Constraints(categories=(1, 2, 3))
    assert [it.name for it in matrix.features] == ["price", "rate", "rank"]
    assert matrix.features[0].type == Tensor(DType.FLOAT32, ("rows",))
    assert read_signature(path).digest == signature.digest


def test_details_are_added_to_a_given_signature(tmp_path: Path) -> None:
    model = made({"age": ["n", 1]})
    first = trimtab.onnx.save(model, tmp_path / "a.onnx", details={"age": {"id": "f-17", "range": (0, 9)}})
    second = trimtab.onnx.save(model, tmp_path / "b.onnx", first, details={"age": {"categories": [1]}})
    assert second.inputs[0].id == "f-17"
    assert second.inputs[0].constraints == Constraints(range=Range(minimum=0, maximum=9), categories=(1,))


@pytest.mark.parametrize(
    ("shape", "arguments", "expected"),
    [
        (["s73", 2], {}, ("batch", 2)),
        (["s73", 2], {"dynamic": "rows"}, ("rows", 2)),
        (["s73", 2], {"dynamic": None}, ("s73", 2)),
        (["N", 2], {}, ("N", 2)),
        (["s73", "s99"], {"dimension_names": {"s73": "a", "s99": "b"}}, ("a", "b")),
        (["2*s73", "s73"], {"dimension_names": {"s73": "half"}}, ("2*half", "half")),
        (["DynamicDimension.0"], {}, ("batch",)),
        ([None, 2], {"details": {"x": {"shape": ("batch", 2)}}}, ("batch", 2)),
    ],
)
def test_sizes_get_names(shape: list[Any], arguments: Any, expected: tuple[Any, ...], tmp_path: Path) -> None:
    signature = trimtab.onnx.save(made({"x": shape}), tmp_path / "model.onnx", **arguments)
    assert shapes(signature) == [expected]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"input_names": ["only one"]}, "2 names, for 'a', 'b'"),
        ({"input_names": "ab"}, "2 names"),
        ({"input_names": {"c": "d"}}, "one of 'a', 'b'"),
        ({"input_names": {"a": "b"}}, "each name once"),
        ({"output_names": {"z": "score"}}, "one of 'y'"),
        ({"dimension_names": {"m": "batch"}}, "one of 'n'"),
        ({"details": {"c": {}}}, "one of 'a', 'b'"),
        ({"details": {"a": {"rnage": (0, 1)}}}, "'range'"),
        ({"details": {"a": {"shape": (1,)}}}, "a shape for"),
        ({"details": {"a": {"features": ["x"]}}}, "a name for each column"),
        ({"details": {"a": {"shape": ("n", 3)}}}, "as in the graph"),
    ],
)
def test_what_belongs_to_nothing_is_refused(arguments: Any, text: str, tmp_path: Path) -> None:
    with pytest.raises((SignatureError, ContradictionError), match=text):
        trimtab.onnx.save(made({"a": ["n", 2], "b": ["n", 2]}), tmp_path / "model.onnx", **arguments)
    assert os.listdir(tmp_path) == []


# What is lost


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (made({"x": [1, 1024]}, ir_version=3, weights=2, listed=True), "IR version 3 lists the weights as inputs"),
        (made({"x": [1, 1024]}, weights=2, listed=True), "every weight is listed as an input with a default"),
        (made({"x": [None, 1024]}), r"sizes of these inputs must be equal: x \(float32 \[\?, 1024\]\)"),
    ],
)
def test_losses_are_warned_of(model: Any, text: str, tmp_path: Path) -> None:
    with pytest.warns(LossyExportWarning, match=text):
        trimtab.onnx.save(model, tmp_path / "model.onnx")


def test_nothing_is_warned_of_where_nothing_is_lost(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trimtab.onnx.save(made({"x": ["n", 1024]}, weights=2), tmp_path / "model.onnx")


# Weights beside the model


def weights_of(model: Any) -> dict[str, Any]:
    return {it.name: onnx.numpy_helper.to_array(it).tolist() for it in model.graph.initializer}


def files(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_weights_lie_beside_the_model_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = made({"x": ["n", 1024]}, weights=3)
    before = model.SerializeToString()
    signature = trimtab.onnx.save(model, path, external_data=True)
    assert model.SerializeToString() == before
    assert files(tmp_path) == ["model.onnx", "model.onnx.data"]
    assert path.stat().st_size < 4096
    assert signature == read_signature(path)
    assert weights_of(onnx.load(path)) == weights_of(model)
    score = onnxruntime.InferenceSession(path).run(None, {"x": np.ones((1, 1024), np.float32)})[0]
    assert score.tolist() == [[4.0] * 1024]


def test_an_old_models_weights_go_once_the_new_one_is_in_place(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = made({"x": ["n", 1024]}, weights=3)
    trimtab.onnx.save(model, path, external_data=True)
    (tmp_path / "model.onnx.7.data").write_bytes(b"somebody else's")
    trimtab.onnx.save(model, path, external_data=True)
    assert files(tmp_path) == ["model.onnx", "model.onnx.1.data", "model.onnx.7.data"]
    trimtab.onnx.save(model, path, external_data=True)
    assert files(tmp_path) == ["model.onnx", "model.onnx.7.data", "model.onnx.data"]
    assert weights_of(onnx.load(path)) == weights_of(model)


def test_a_failed_save_leaves_the_old_model_and_its_weights(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    model = made({"x": ["n", 1024]}, weights=3)
    trimtab.onnx.save(model, path, external_data=True)
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    with pytest.raises(SignatureError):
        trimtab.onnx.save(model, path, input_names=["a", "b"], external_data=True)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_weights_that_protobuf_cannot_hold_go_beside_by_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trimtab.onnx.writing.MAX_INLINE", 8000)
    trimtab.onnx.save(made({"x": ["n", 1024]}, weights=3), tmp_path / "large.onnx")
    trimtab.onnx.save(made({"x": ["n", 1024]}, weights=1), tmp_path / "small.onnx")
    assert files(tmp_path) == ["large.onnx", "large.onnx.data", "small.onnx"]


# Exporters


def test_models_of_onnx_ir_are_saved(model: Any, tmp_path: Path) -> None:
    onnx_ir = pytest.importorskip("onnx_ir")
    signature = trimtab.onnx.save(onnx_ir.from_proto(model), tmp_path / "model.onnx")
    assert signature.input_names == ("user",)


@pytest.mark.parametrize("exported", [True, False], ids=["torch.onnx.export", "torch.export"])
def test_programs_of_torch_are_saved_with_their_limits(exported: bool, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Ranker(torch.nn.Module):
        def forward(self, user_age: Any, item_price: Any) -> Any:
            return user_age * item_price

    batch = {0: torch.export.Dim("batch", min=1, max=4096)}
    program = torch.export.export(Ranker(), (torch.rand(3, 1), torch.rand(3, 1)), dynamic_shapes=(batch, batch))
    if exported:
        program = torch.onnx.export(program, verbose=False)
    signature = trimtab.onnx.save(program, tmp_path / "model.onnx", output_names=["score"])
    assert signature.input_names == ("user_age", "item_price")
    assert shapes(signature) == [("batch", 1), ("batch", 1)]
    assert signature.entry_point().overloads[0].dimensions == {"batch": Range(minimum=1, maximum=4096)}
    assert signature.output_names == ("score",)


def test_a_module_is_refused_with_the_call_that_exports_it(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(ArtifactError, match=r"torch\.onnx\.export\(module"):
        trimtab.onnx.save(torch.nn.Linear(1, 1), tmp_path / "model.onnx")
