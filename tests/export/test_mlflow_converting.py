"""MLflow's signatures and ours, both ways: what comes back is what went in."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mlflow")

import mlflow.onnx
import onnx
from hypothesis import assume, given, settings
from mlflow.models import ModelSignature
from mlflow.types.schema import ColSpec, DataType, Object, ParamSchema, ParamSpec, Property, Schema

import trimtab.mlflow
from mlflow_strategies import signatures
from trimtab.artifacts import read_signature
from trimtab.errors import ContradictionError, SignatureError
from trimtab.signature.document import decode_document
from trimtab.signature.dtypes import DType
from trimtab.signature.model import EntryPoint, Input, Live, Output, Overload, Presence, Signature
from trimtab.signature.types import Literal, Mapping, Opaque, Scalar, Sequence, Tensor


@given(signatures)
@settings(max_examples=300)
def test_what_comes_back_from_mlflow_is_what_went_in(signature: ModelSignature) -> None:
    assume(not any(is_ambiguous(schema) for schema in (signature.inputs, signature.outputs) if schema))
    ours = trimtab.mlflow.from_mlflow(signature)
    back = trimtab.mlflow.to_mlflow(ours)
    assert trimtab.mlflow.from_mlflow(back) == ours
    if not any(has_objects(schema) for schema in (signature.inputs, signature.outputs) if schema):
        assert plain(back) == plain(signature)


def is_ambiguous(schema: Schema) -> bool:
    """Whether a column is called as what has no name, or ends as a path does; or an object has no name."""
    if any(spec.name is None and isinstance(spec.type, Object) for spec in schema.inputs):
        return True
    names = {str(spec.name) for spec in schema.inputs if spec.name is not None}
    return any(name in ("data", "params") or name.endswith("]") for name in names)


def has_objects(schema: Schema) -> bool:
    return any(isinstance(spec.type, Object) for spec in schema.inputs)


def plain(signature: ModelSignature) -> str:
    """The signature as text: NaN, of some defaults, equals itself there. Our outputs are never optional."""
    stated = {key: json.loads(value) if value else [] for key, value in signature.to_dict().items()}
    for output in stated["outputs"]:
        output.pop("required", None)
    return json.dumps(stated)


def of_inputs(*inputs: Input, outputs: tuple[Output, ...] = ()) -> Signature:
    overload = Overload(inputs=inputs, outputs=outputs)
    return Signature(entry_points=(EntryPoint(name="main", overloads=(overload,)),), default_entry_point="main")


def specs(signature: Signature, **options: Any) -> dict[str, Any]:
    stated = trimtab.mlflow.to_mlflow(signature, **options).to_dict()
    return {key: json.loads(value) for key, value in stated.items() if value}


def test_tensors_keep_names_dtypes_and_ranks() -> None:
    signature = of_inputs(
        Input(name="x", type=Tensor(DType.FLOAT32, ("batch", None, 3))),
        Input(name="words", type=Tensor(DType.STRING, (None,))),
        Input(name="any", type=Tensor(None, ())),
        outputs=(Output(name="score", type=Tensor(DType.INT64, ("batch",))),),
    )
    assert specs(signature) == {
        "inputs": [
            {"name": "x", "type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, -1, 3]}},
            {"name": "words", "type": "tensor", "tensor-spec": {"dtype": "str", "shape": [-1]}},
            {"name": "any", "type": "tensor", "tensor-spec": {"dtype": "object", "shape": []}},
        ],
        "outputs": [{"name": "score", "type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}],
    }


def test_columns_of_a_table_are_columns() -> None:
    rows = ("rows",)
    signature = of_inputs(
        Input(name="age", type=Tensor(DType.INT8, rows), path='data["age"]'),
        Input(name="city", type=Tensor(DType.STRING, rows), path='data["city"]', presence=Presence.OPTIONAL),
        Input(name="open", type=Tensor(None, rows), path='data["open"]'),
        Input(name="ids", type=Sequence(Scalar(DType.UINT32))),
        Input(name="tags", type=Mapping(DType.STRING, Opaque("datetime"))),
        Input(name="k", type=Scalar(DType.INT64), presence=Presence.DEFAULT, default=Literal(5)),
        outputs=(Output(name="score", type=Tensor(DType.FLOAT64, rows)),),
    )
    assert specs(signature) == {
        "inputs": [
            {"name": "age", "type": "integer", "required": True},
            {"name": "city", "type": "string", "required": False},
            {"name": "open", "type": "any", "required": True},
            {"name": "ids", "type": "array", "items": {"type": "long"}, "required": True},
            {"name": "tags", "type": "map", "values": {"type": "datetime"}, "required": True},
        ],
        "outputs": [{"name": "score", "type": "double", "required": True}],
        "params": [{"name": "k", "type": "long", "default": 5, "shape": None}],
    }


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (Input(name="x", type=Tensor(DType.FLOAT32)), "a tensor of known rank"),
        (Input(name="x", type=Tensor(DType.BFLOAT16, (1,))), "a dtype of NumPy, got bfloat16"),
        (Input(name="x", type=Tensor(DType.INT64, (1,)), presence=Presence.OPTIONAL), "a required input"),
        (Input(name="x", type=Tensor(DType.COMPLEX64, ("rows",))), "a column type"),
        (Input(name="x", type=Opaque("torch.device")), "a column type"),
        (Input(name="x", type=Mapping(DType.INT64, Scalar(DType.INT64))), "a column type"),
    ],
)
def test_what_mlflow_cannot_express_is_refused(value: Input, says: str) -> None:
    with pytest.raises(SignatureError, match=says):
        trimtab.mlflow.to_mlflow(of_inputs(value))


def test_dates_and_objects_are_defaults_too() -> None:
    schema = ParamSchema(
        [
            ParamSpec("when", DataType.datetime, datetime(2020, 1, 2, 3, 4)),
            ParamSpec("days", DataType.datetime, [datetime(2020, 1, 2)], (-1,)),
            ParamSpec("how", Object([Property("k", DataType.long)]), {"k": 5}),
            ParamSpec("text", DataType.string, None),
        ]
    )
    signature = ModelSignature(inputs=Schema([ColSpec("long", "a")]), params=schema)
    ours = trimtab.mlflow.from_mlflow(signature)
    assert [str(it.type) for it in ours.inputs[1:3]] == ["datetime", "sequence of datetime"]
    assert trimtab.mlflow.to_mlflow(ours).to_dict() == signature.to_dict()


def test_outputs_may_be_left_out() -> None:
    signature = of_inputs(
        Input(name="x", type=Tensor(DType.INT64, (None,))), outputs=(Output(name="y", type=Tensor()),)
    )
    with pytest.raises(SignatureError, match="output 'y'"):
        trimtab.mlflow.to_mlflow(signature)
    assert set(specs(signature, outputs=False)) == {"inputs"}


def test_a_signature_without_inputs_is_refused() -> None:
    with pytest.raises(SignatureError, match="without, which any input fits"):
        trimtab.mlflow.from_mlflow(ModelSignature(outputs=Schema.from_json('[{"type": "long"}]')))


# Documents in models


@pytest.fixture(scope="module")
def model() -> Any:
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3])
    dead = onnx.helper.make_tensor_value_info("dead", onnx.TensorProto.FLOAT, ["n", 3])
    score = onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, ["n", 3])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "x"], ["score"])], "g", [x, dead], [score])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def test_a_model_is_logged_with_its_document(model: Any, tmp_path: Path) -> None:
    onnx.save(model, tmp_path / "model.onnx")
    signature = read_signature(tmp_path / "model.onnx")
    mlflow.onnx.save_model(
        model,
        tmp_path / "model",
        signature=trimtab.mlflow.to_mlflow(signature),
        metadata={"team": "ranking", **trimtab.mlflow.metadata(signature)},
        pip_requirements=[],
    )
    saved = read_signature(tmp_path / "model")
    assert saved.provenance.format == "mlflow"
    assert [(it.name, it.type) for it in saved.inputs] == [(it.name, it.type) for it in signature.inputs]
    assert {it.name: it.live for it in saved.inputs} == {it.name: it.live for it in signature.inputs}
    data = {"x": np.ones((2, 3), np.float32), "dead": np.ones((2, 3), np.float32)}
    assert mlflow.pyfunc.load_model(str(tmp_path / "model")).predict(data)["score"].tolist() == [[2.0] * 3] * 2


def test_a_saved_model_takes_a_document(model: Any, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    mlflow.onnx.save_model(model, folder, pip_requirements=[])
    before = read_signature(folder)
    after = trimtab.mlflow.embed(folder)
    assert after.digest == before.digest
    stated = mlflow.models.Model.load(folder).metadata["module_info"]
    assert decode_document(stated.encode()).digest == before.digest
    wrong = of_inputs(Input(name="other", type=Tensor(DType.INT64, (None,))))
    with pytest.raises(ContradictionError):
        trimtab.mlflow.embed(folder, wrong)


def test_columns_of_a_booster_are_columns_of_the_table(tmp_path: Path) -> None:
    xgboost = pytest.importorskip("xgboost")
    import mlflow.xgboost

    rows = np.arange(20.0).reshape(10, 2)
    booster = xgboost.train({}, xgboost.DMatrix(rows, rows[:, 0], feature_names=["age", "price"]), 1)
    booster.save_model(tmp_path / "model.ubj")
    signature = read_signature(tmp_path / "model.ubj")
    mlflow.xgboost.save_model(
        booster,
        tmp_path / "model",
        signature=trimtab.mlflow.to_mlflow(signature),
        metadata=trimtab.mlflow.metadata(signature),
        pip_requirements=[],
    )
    saved = read_signature(tmp_path / "model")
    assert saved.input_names == ("age", "price")
    assert saved.inputs[0].live is Live.YES
