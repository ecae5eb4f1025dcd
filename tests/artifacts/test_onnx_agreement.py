"""What is read of an ONNX model is what onnx and onnxruntime say of it, for models of every kind."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx_models import BUILDERS, FLOAT, array, model, node, value

from trimtab.artifacts import read_signature
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Live, Presence, Range, Signature
from trimtab.signature.types import Literal, Mapping, Opaque, Optional, Sequence, Sparse, Tensor, Type

onnxruntime.set_default_logger_severity(4)


def saved(made: onnx.ModelProto, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(made.SerializeToString())
    return path


def agrees(path: Path) -> Signature:
    """The signature of a model, once all that onnx and onnxruntime say of it is the same."""
    signature = read_signature(path)
    check_with_onnx(signature, onnx.load(path, load_external_data=False))
    check_with_onnxruntime(signature, onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]))
    return signature


def check_with_onnx(signature: Signature, made: onnx.ModelProto) -> None:
    initialized = {it.name for it in made.graph.initializer} | {it.values.name for it in made.graph.sparse_initializer}
    listed = [it for it in made.graph.input if made.ir_version >= 4 or it.name not in initialized]
    assert [it.name for it in signature.inputs] == [it.name for it in listed]
    assert [it.name for it in signature.outputs] == [it.name for it in made.graph.output]
    for read, stated in zip((*signature.inputs, *signature.outputs), (*listed, *made.graph.output), strict=True):
        assert read.type == expected_type(stated.type), read.name
        assert read.doc == stated.doc_string or isinstance(stated.doc_string, bytes)  # as onnx gives what is no text
    for read, stated in zip(signature.inputs, listed, strict=True):
        assert (read.presence is Presence.DEFAULT) == (stated.name in initialized)
        assert read.nullable == (stated.type.WhichOneof("value") == "optional_type")
    producer = f"{made.producer_name} {made.producer_version}".strip()
    assert signature.provenance.producer == producer
    assert signature.provenance.notes[0].startswith(f"IR version {made.ir_version}")


def expected_type(stated: onnx.TypeProto) -> Type:
    match stated.WhichOneof("value"):
        case "tensor_type" | "sparse_tensor_type" as kind:
            array_type = getattr(stated, kind)
            shape = None
            if array_type.HasField("shape"):
                shape = tuple(
                    it.dim_value if it.WhichOneof("value") == "dim_value" else it.dim_param or None
                    for it in array_type.shape.dim
                )
            return (Tensor if kind == "tensor_type" else Sparse)(dtype_of("onnx", array_type.elem_type), shape)
        case "sequence_type":
            return Sequence(expected_type(stated.sequence_type.elem_type))
        case "optional_type":
            return Optional(expected_type(stated.optional_type.elem_type))
        case "map_type":
            key = dtype_of("onnx", stated.map_type.key_type)
            return Mapping(key or DType.STRING, expected_type(stated.map_type.value_type))
        case "opaque_type":
            return Opaque(".".join(filter(None, (stated.opaque_type.domain, stated.opaque_type.name))) or "opaque")
    return Tensor()


def check_with_onnxruntime(signature: Signature, session: onnxruntime.InferenceSession) -> None:
    required = [it for it in signature.inputs if it.presence is Presence.REQUIRED]
    assert [it.name for it in session.get_inputs()] == [it.name for it in required]
    overridable = {it.name for it in signature.inputs if it.presence is Presence.DEFAULT}
    assert {it.name for it in session.get_overridable_initializers()} == overridable
    assert [it.name for it in session.get_outputs()] == list(signature.output_names)
    for stated, read in zip(session.get_inputs(), required, strict=True):
        spelled = runtime_spelling(read.type)
        assert spelled is None or stated.type == spelled
        if isinstance(read.type, Tensor) and read.type.shape:
            assert [None if it is None else it for it in stated.shape] == list(read.type.shape)


_RUNTIME_NAMES = {"float32": "float", "float64": "double"}


def runtime_spelling(type_: Type) -> str | None:
    """A type as onnxruntime prints it; None where ours says more or less than it does."""
    match type_:
        case Tensor(dtype=dtype) if dtype is not None:
            return f"tensor({_RUNTIME_NAMES.get(dtype, dtype)})" if dtype_of("numpy", dtype) else None
        case Sequence():
            inner = runtime_spelling(type_.element)
            return inner and f"seq({inner})"
        case Optional():
            inner = runtime_spelling(type_.element)
            return inner and f"optional({inner})"
        case Mapping():
            inner = runtime_spelling(type_.value)
            return inner and f"map({type_.key},{inner})"
    return None


UNRUNNABLE = {
    "no_types",
    *(f"type_{each}" for each in ("uint4", "int4", "uint2", "int2", "float4e2m1", "float6e2m3", "float6e3m2")),
    *(f"type_{each}" for each in ("float8e8m0", "complex64", "complex128")),
}
"""Models that onnxruntime does not load: for an input without a type, or for want of kernels. onnx speaks for them."""


@pytest.mark.parametrize("name", sorted(BUILDERS.keys() - UNRUNNABLE))
def test_models_agree_with_onnx_and_onnxruntime(name: str, tmp_path: Path) -> None:
    agrees(saved(BUILDERS[name](), tmp_path))


@pytest.mark.parametrize("name", sorted(UNRUNNABLE))
def test_models_that_do_not_run_agree_with_onnx(name: str, tmp_path: Path) -> None:
    path = saved(BUILDERS[name](), tmp_path)
    check_with_onnx(read_signature(path), onnx.load(path))


# Parts, and data elsewhere


@pytest.mark.parametrize("name", ["plain", "overridable_defaults", "branches", "documentation_and_denotations"])
def test_a_model_in_parts_is_the_model(name: str, tmp_path: Path) -> None:
    whole = BUILDERS[name]()
    parts = [onnx.ModelProto() for _ in range(4)]
    parts[0].ir_version = whole.ir_version
    parts[0].graph.node.extend(whole.graph.node)
    parts[1].graph.input.extend(whole.graph.input)
    parts[1].opset_import.extend(whole.opset_import)
    parts[2].graph.output.extend(whole.graph.output)
    parts[3].graph.initializer.extend(whole.graph.initializer)
    parts[3].graph.name = "graph"
    path = tmp_path / "model.onnx"
    path.write_bytes(b"".join(it.SerializeToString() for it in parts))
    signature = agrees(path)
    assert signature.inputs == read_signature(saved(whole, tmp_path)).inputs


def test_types_in_parts_merge(tmp_path: Path) -> None:
    made = BUILDERS["plain"]()
    data = made.SerializeToString()
    more = onnx.ValueInfoProto(name="c")
    more.type.tensor_type.elem_type = TensorProto.INT64
    more.type.tensor_type.shape.dim.add().dim_value = 3
    rest = onnx.ValueInfoProto()
    rest.type.tensor_type.shape.dim.add().dim_param = "m"
    both = more.SerializeToString() + rest.SerializeToString()
    graph = onnx.GraphProto()
    graph.input.add().MergeFromString(both)
    path = tmp_path / "model.onnx"
    path.write_bytes(data + onnx.ModelProto(graph=graph).SerializeToString())
    signature = read_signature(path)
    check_with_onnx(signature, onnx.load(path))
    assert signature.inputs[-1].type == Tensor(dtype_of("onnx", TensorProto.INT64), (3, "m"))


def test_the_last_kind_of_a_type_counts(tmp_path: Path) -> None:
    made = BUILDERS["plain"]()
    tensor, sequence = onnx.ValueInfoProto(name="a"), onnx.ValueInfoProto()
    tensor.type.tensor_type.elem_type = FLOAT
    sequence.type.sequence_type.elem_type.tensor_type.elem_type = FLOAT
    del made.graph.input[:]
    made.graph.input.add().MergeFromString(tensor.SerializeToString() + sequence.SerializeToString())
    path = saved(made, tmp_path)
    check_with_onnx(read_signature(path), onnx.load(path))


def test_external_data_is_never_touched(tmp_path: Path) -> None:
    made = model(
        [node("MatMul", ["x", "w"], ["y"])],
        [value("x", FLOAT, ["n", 40]), value("w", FLOAT, [40, 40])],
        [value("y", FLOAT, ["n", 40])],
        [array("w", np.ones((40, 40), np.float32))],
    )
    path = tmp_path / "model.onnx"
    onnx.save(made, path, save_as_external_data=True, location="model.data", size_threshold=0)
    signature = agrees(path)
    (tmp_path / "model.data").unlink()
    assert read_signature(path) == signature
    assert signature.inputs[1].presence is Presence.DEFAULT
    assert signature.inputs[1].default is None


# Defaults

DEFAULTS = {
    "float": np.float32(0.1),
    "double": np.float64([[1.5, np.inf], [-0.0, np.nan]]),
    "half": np.float16([0.1, 65504]),
    "byte": np.uint8([0, 255]),
    "signed": np.int8([-128, 127]),
    "short": np.int16([-32768, 3]),
    "unsigned_short": np.uint16([65535]),
    "int": np.int32([[-1], [2**31 - 1]]),
    "long": np.int64([-(2**63), 2**63 - 1]),
    "unsigned": np.uint32([2**32 - 1]),
    "unsigned_long": np.uint64([2**64 - 1]),
    "flags": np.array([True, False]),
    "complex": np.complex64([1 + 2j]),
    "complex_double": np.complex128(1 - 2j),
    "empty": np.zeros(0, np.float32),
    "deep": np.arange(24, dtype=np.int32).reshape(2, 3, 4),
    "most": np.arange(64, dtype=np.int64),
}


@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
@pytest.mark.parametrize("name", DEFAULTS)
def test_small_defaults_are_read_as_numpy_has_them(name: str, raw: bool, tmp_path: Path) -> None:
    expected = np.asarray(DEFAULTS[name])
    code = helper.np_dtype_to_tensor_dtype(expected.dtype)
    content = expected.tobytes() if raw else expected.flatten()
    tensor = helper.make_tensor("d", code, expected.shape, content, raw=raw)
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), expected)
    assert_default(tensor, numpy_helper.to_array(tensor).tolist(), tmp_path)


def test_brain_floats_are_read_from_raw_and_from_typed_fields(tmp_path: Path) -> None:
    tensor = helper.make_tensor("d", TensorProto.BFLOAT16, [2], [1.5, -3.0])
    assert_default(tensor, [1.5, -3.0], tmp_path)
    raw = helper.make_tensor("d", TensorProto.BFLOAT16, [2], b"\xc0\x3f\x40\xc0", raw=True)
    assert_default(raw, [1.5, -3.0], tmp_path)


def test_texts_are_read(tmp_path: Path) -> None:
    tensor = helper.make_tensor("d", TensorProto.STRING, [1, 2], ["år".encode(), b"\xff"])
    assert_default(tensor, [["år", b"\xff"]], tmp_path)


def assert_default(tensor: onnx.TensorProto, expected: Any, folder: Path) -> None:
    made = model(
        [node("Identity", ["d"], ["y"])],
        [value("x"), value("d", tensor.data_type, tensor.dims)],
        [value("y", tensor.data_type, tensor.dims)],
        [tensor],
    )
    read = read_signature(saved(made, folder)).inputs[1]
    assert read.presence is Presence.DEFAULT
    assert read.default == Literal.from_python(expected)


def unread_defaults() -> dict[str, onnx.TensorProto]:
    wrong_count = array("d", np.float32([1, 2]))
    wrong_count.dims[0] = 3
    external = array("d", np.float32([1]))
    external.data_location = TensorProto.EXTERNAL
    segment = array("d", np.float32([1]))
    segment.segment.begin = 1
    huge_rank = onnx.TensorProto(name="d", data_type=FLOAT, dims=[1] * 40, float_data=[1.0])
    endless = onnx.TensorProto(name="d", data_type=FLOAT, dims=[1 << 62, 0])
    negative = onnx.TensorProto(name="d", data_type=FLOAT, dims=[-1], float_data=[1.0])
    return {
        "too many": array("d", np.arange(65, dtype=np.int64)),
        "packed": helper.make_tensor("d", TensorProto.INT4, [2], [1, 2]),
        "eight bits": helper.make_tensor("d", TensorProto.FLOAT8E4M3FN, [1], [1.0]),
        "wrong count": wrong_count,
        "external": external,
        "segment": segment,
        "no type": onnx.TensorProto(name="d", dims=[1], float_data=[1.0]),
        "huge rank": huge_rank,
        "endless": endless,
        "negative": negative,
    }


@pytest.mark.parametrize("name", unread_defaults())
def test_other_defaults_are_left_to_the_artifact(name: str, tmp_path: Path) -> None:
    tensor = unread_defaults()[name]
    made = model(
        [node("Identity", ["d"], ["y"])],
        [value("x"), value("d", FLOAT, None)],
        [value("y", FLOAT, None)],
        [tensor, array("another", np.float32([1]))],
    )
    read = read_signature(saved(made, tmp_path)).inputs[1]
    assert (read.presence, read.default) == (Presence.DEFAULT, None)


def test_weights_that_the_exporter_lists_are_no_defaults_to_show(tmp_path: Path) -> None:
    signature = read_signature(saved(BUILDERS["weights_listed_in_ir_8"](), tmp_path))
    assert [(it.name, it.presence, it.default) for it in signature.inputs[1:]] == [
        ("w", Presence.DEFAULT, None),
        ("b", Presence.DEFAULT, None),
    ]
    assert any("every weight" in it for it in signature.provenance.notes)


def test_notes_say_what_a_signature_cannot(tmp_path: Path) -> None:
    signature = read_signature(saved(BUILDERS["documentation_and_denotations"](), tmp_path))
    assert signature.provenance.notes[1:] == (
        "'image' denotes IMAGE",
        "the dimensions of 'image' denote DATA_BATCH, DATA_CHANNEL, DATA_FEATURE, ?",
    )


def test_documentation_that_is_no_text_or_too_long_refuses_no_model(tmp_path: Path) -> None:
    made = BUILDERS["plain"]()
    made.graph.input[1].doc_string = "long" * 2000
    path = saved(made, tmp_path)
    mark = b"a mark in the file"
    made.graph.input[0].doc_string = mark.decode()
    path.write_bytes(made.SerializeToString().replace(mark, b"\xff" + mark[1:]))
    assert [it.doc for it in read_signature(path).inputs] == ["\ufffd" + mark[1:].decode(), ""]


# Exporters


@pytest.fixture(scope="module")
def torch_program() -> Any:
    torch = pytest.importorskip("torch")

    class Ranker(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.tower = torch.nn.Linear(4, 2)

        def forward(self, features: dict[str, Any], scale: Any) -> dict[str, Any]:
            return {
                "score": self.tower(features["dense"]) * scale,
                "ids": torch.cat([features["ids"], features["ids"]]).sum(1),
            }

    batch, length = torch.export.Dim("batch", min=1, max=4096), torch.export.Dim("length", min=2, max=64)
    features = {"dense": torch.rand(3, 4), "ids": torch.randint(0, 9, (3, 5)), "unused": torch.rand(3, 1)}
    return torch.export.export(
        Ranker().eval(),
        (features, torch.tensor(2.0)),
        dynamic_shapes=({"dense": {0: batch}, "ids": {0: batch, 1: length}, "unused": {0: batch}}, None),
    )


def test_torchs_exporter_leaves_limits_and_what_is_unused(torch_program: Any, tmp_path: Path) -> None:
    import torch

    path = tmp_path / "model.onnx"
    torch.onnx.export(torch_program, verbose=False).save(path)
    signature = agrees(path)
    assert signature.input_names == ("features_dense", "features_ids", "features_unused", "scale")
    assert [it.live for it in signature.inputs] == [Live.YES, Live.YES, Live.NO, Live.YES]
    ids = signature.inputs[1].type
    assert isinstance(ids, Tensor)
    batch, length = map(str, ids.shape or ())
    assert signature.entry_point().overloads[0].dimensions == {
        batch: Range(minimum=1, maximum=4096),
        length: Range(minimum=2, maximum=64),
    }
    assert signature.provenance.producer == f"pytorch {torch.__version__}"


def test_the_exporters_own_names_of_sizes_have_no_limits(torch_program: Any, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")

    class Double(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return torch.cat([x, x])

    path = tmp_path / "model.onnx"
    shapes = ({0: torch.export.Dim("rows", max=9)},)
    torch.onnx.export(Double().eval(), (torch.rand(3, 2),), dynamic_shapes=shapes, dynamo=True, verbose=False).save(
        path
    )
    signature = agrees(path)
    assert signature.inputs[0].type == Tensor(dtype_of("numpy", "float32"), ("rows", 2))
    assert signature.entry_point().overloads[0].dimensions == {}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("listed", [True, False])
def test_torchscripts_exporter_agrees(listed: bool, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.onnx"
    torch.onnx.export(
        torch.nn.Sequential(torch.nn.Linear(4, 30), torch.nn.ReLU(), torch.nn.Linear(30, 1)),
        (torch.rand(2, 4),),
        path,
        input_names=["in put"],
        output_names=["öut"],
        dynamic_axes={"in put": {0: "batch"}},
        keep_initializers_as_inputs=listed,
        dynamo=False,
        verbose=False,
    )
    signature = agrees(path)
    assert signature.inputs[0].name == "in put"
    assert len(signature.inputs) == (5 if listed else 1)


@pytest.mark.parametrize("zipped", [True, False])
def test_scikit_learns_converter_agrees(zipped: bool, tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    skl2onnx = pytest.importorskip("skl2onnx")
    import pandas
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    rows = pandas.DataFrame({"age": [1.0, 2, 3, 4], "country": list("abab"), "not used": [1, 2, 3, 4]})
    columns = ColumnTransformer([("n", StandardScaler(), ["age"]), ("c", OneHotEncoder(), ["country"])])
    pipeline = make_pipeline(columns, LogisticRegression()).fit(rows, ["x", "y", "z", "x"])
    types = [
        ("age", FloatTensorType([None, 1])),
        ("country", StringTensorType([None, 1])),
        ("not used", Int64TensorType([None, 1])),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = skl2onnx.to_onnx(pipeline, initial_types=types, options={id(pipeline): {"zipmap": zipped}})
    signature = agrees(saved(made, tmp_path))
    assert signature.input_names[:2] == ("age", "country")
    if zipped:
        assert signature.outputs[1].type == Sequence(Mapping(dtype_of("onnx", 8), Tensor(dtype_of("onnx", 1), None)))
