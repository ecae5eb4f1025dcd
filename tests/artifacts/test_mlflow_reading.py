"""MLflow models: what MLmodel declares is read as MLflow reads it, and held against the model file inside."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mlflow")

import mlflow.models
import mlflow.onnx
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlflow.types.schema import (
    AnyType,
    Array,
    ColSpec,
    DataType,
    Map,
    Object,
    ParamSchema,
    Schema,
    TensorSpec,
)

from mlflow_strategies import names, signatures
from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.formats import mlflow as reader
from trimtab.artifacts.formats.mlflow.embedding import with_document
from trimtab.errors import ArtifactError, ContradictionError, RefusedArtifactError
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Learned, Presence, Signature
from trimtab.signature.types import Mapping, Opaque, Scalar, Sequence, Tensor, Type
from trimtab.source.bytes import MemorySource


def described(signature: mlflow.models.ModelSignature | None, **facts: Any) -> bytes:
    """The MLmodel file that MLflow writes."""
    model = mlflow.models.Model(signature=signature, **facts)
    model.add_flavor("python_function", loader_module="mlflow.pyfunc.model")
    return str(model.to_yaml()).encode()


def read(data: bytes) -> Signature:
    source = MemorySource(data, "MLmodel")
    assert reader.match(source)
    return reader.derive(source)


@given(signatures)
@settings(max_examples=250)
def test_every_fact_is_that_of_mlflow(signature: mlflow.models.ModelSignature) -> None:
    ours = read(described(signature))
    data = [it for it in ours.inputs if it.presence is not Presence.DEFAULT]
    expected = list(leaves(signature.inputs))
    assert [(it.type, it.presence is Presence.REQUIRED) for it in data] == [each[1:] for each in expected]
    for value, (steps, _, _) in zip(data, expected, strict=True):
        assert value.call_path.endswith(steps)
    assert len({it.name for it in ours.inputs}) == len(ours.inputs) or collides(signature)
    check_params(signature.params, [it for it in ours.inputs if it.presence is Presence.DEFAULT])
    outputs = list(leaves(signature.outputs)) if signature.outputs else []
    assert [it.type for it in ours.outputs] == [type_ for _, type_, _ in outputs]


def leaves(schema: Schema) -> Iterator[tuple[str, Type, bool]]:
    """How each value's path ends, its type, and whether it is required."""
    for index, spec in enumerate(schema.inputs):
        end = spec.name if spec.name is not None else f"[{index}]" if len(schema.inputs) > 1 else ""
        if isinstance(spec, TensorSpec):
            yield end, tensor_of(spec), True
        else:
            yield from columns(spec.type, spec.required, end)


def columns(type_: Any, required: bool, end: str) -> Iterator[tuple[str, Type, bool]]:
    if isinstance(type_, Object):
        for prop in type_.properties:
            step = f"[{json.dumps(prop.name, ensure_ascii=False)}]"
            yield from columns(prop.dtype, required and prop.required, step)
    else:
        row = row_type(type_)
        yield end, Tensor(row.dtype, ("rows",)) if isinstance(row, Scalar) else row, required


def row_type(type_: Any) -> Type:
    match type_:
        case DataType.datetime:
            return Opaque("datetime")
        case DataType():
            dtype = dtype_of("mlflow", type_.name)
            assert dtype is not None
            return Scalar(dtype)
        case Array():
            return Sequence(row_type(type_.dtype))
        case Map():
            return Mapping(DType.STRING, row_type(type_.value_type))
        case Object():
            return Opaque(json.dumps(type_.to_dict(), ensure_ascii=False))
        case AnyType():
            return Opaque("any")
    raise AssertionError(type_)


def tensor_of(spec: TensorSpec) -> Type:
    if spec.type.kind == "M":
        return Opaque(f"{spec.type.name} {json.dumps(list(spec.shape))}")
    dtypes = {"U": DType.STRING, "S": DType.BYTES, "O": None}
    dtype = dtypes[spec.type.kind] if spec.type.kind in dtypes else DType(spec.type.name)
    return Tensor(dtype, tuple(None if size == -1 else size for size in spec.shape))


def check_params(schema: ParamSchema | None, values: list[Any]) -> None:
    params = schema.params if schema else []
    assert len(values) == len(params)
    for value, param in zip(values, params, strict=True):
        assert value.call_path == f"params[{json.dumps(param.name, ensure_ascii=False)}]"
        dtype = dtype_of("mlflow", param.dtype.name)
        assert value.type == (Scalar(dtype) if param.shape is None else Tensor(dtype, (None,)))
        stated = tuple(param.default) if isinstance(param.default, list) else param.default
        assert same(value.default.to_python(), stated)


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return bool(ours == theirs or (isinstance(ours, float) and math.isnan(ours) and math.isnan(theirs)))


def collides(signature: mlflow.models.ModelSignature) -> bool:
    """Whether a column is called as another one's path: then no name is left."""
    given = {spec.name for spec in signature.inputs.inputs if spec.name}
    return any("[" in name for name in given)


@pytest.mark.parametrize("name", ["mlflow_columns", "mlflow_nosig"])
def test_the_corpus(corpus: Path, name: str) -> None:
    path = corpus / "formats" / name
    oracle = json.loads(path.with_name(f"{name}.oracle.json").read_text())["signature"]
    if not oracle:
        with pytest.raises(RefusedArtifactError, match="no signature"):
            read_signature(path)
        return
    signature = read_signature(path)
    expected = mlflow.models.ModelSignature.from_dict({key: json.dumps(value) for key, value in oracle.items()})
    data = [it for it in signature.inputs if it.presence is not Presence.DEFAULT]
    assert [(it.type, it.presence is Presence.REQUIRED) for it in data] == [it[1:] for it in leaves(expected.inputs)]
    assert [it.name for it in data] == ["age", "country", "hist", "a", "b", "mp", "when"]
    assert [it.path for it in data[3:5]] == ['obj["a"]', 'obj["b"]']
    check_params(expected.params, list(signature.inputs[len(data) :]))
    assert [(it.name, it.type) for it in signature.outputs] == [("score", Tensor(DType.FLOAT32, (None, 2)))]
    assert signature.provenance.learned is Learned.DECLARED
    assert signature.provenance.producer == "mlflow 3.17.2"
    assert read_signature(path / "MLmodel") == signature


OLD = """
artifact_path: model
flavors:
  python_function:
    data: model.pkl
    loader_module: mlflow.sklearn
run_id: 8f0
signature:
  inputs: '[{"name": "age", "type": "double"}, {"name": "city", "type": "string", "optional": true}]'
  outputs: '[{"type": "long"}]'
utc_time_created: '2021-03-01 10:00:00.000000'
"""


def test_what_older_versions_wrote_is_read() -> None:
    signature = read(OLD.encode())
    assert [(it.name, it.presence) for it in signature.inputs] == [
        ("age", Presence.REQUIRED),
        ("city", Presence.OPTIONAL),
    ]
    assert [(it.name, it.type) for it in signature.outputs] == [("output_0", Tensor(DType.INT64, ("rows",)))]
    assert signature.provenance.producer == "mlflow"


@pytest.mark.parametrize(
    ("spelled", "dtype"),
    [
        ("<f4", "float32"),
        ("int", "int64"),
        ("|b1", "bool"),
        ("c16", "complex128"),
        (">i2", "int16"),
        ("half", "float16"),
    ],
)
def test_numpys_other_spellings_of_dtypes(spelled: str, dtype: str) -> None:
    assert np.dtype(spelled).newbyteorder("=").name == dtype
    assert tensors(f'[{{"type": "tensor", "tensor-spec": {{"dtype": "{spelled}", "shape": [-1]}}}}]') == [
        Tensor(DType(dtype), (None,))
    ]


def tensors(inputs: str, **others: str) -> list[Type]:
    schema = json.dumps({"flavors": {}, "signature": {"inputs": inputs, **others}})
    return [it.type for it in reader.derive(MemorySource(schema.encode(), "MLmodel")).inputs]


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        ("[", "expected JSON"),
        ("{}", "a JSON list of objects"),
        ("[5]", "a JSON list of objects"),
        ("[]", "at least one value"),
        ('[{"name": "a"}]', "a string, got None"),
        ('[{"type": "decimal", "name": "a"}]', "a type of MLflow .* got 'decimal'"),
        ('[{"type": "array", "name": "a"}]', "'items'"),
        ('[{"type": "map", "name": "a", "values": "string"}]', "'values'"),
        ('[{"type": "object", "name": "a", "properties": {}}]', "properties with types"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "int64"}}]', "dtype and shape"),
        ('[{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-2]}}]', "-1, or a size"),
        ('[{"type": "long", "name": "a"}, {"type": "long"}]', "names for all values, or for none"),
        ('[{"type": "long", "name": "a"}, {"type": "long", "name": "a"}]', "'a' twice"),
        ('[{"type": "long", "type": "long"}]', "'type' twice"),
        ('[{"type": "long", "name": "\\ud800"}]', "lone surrogate"),
        ("[" * 100_000, "expected JSON"),
        ('[{"type": "array", "items": ' * 60 + "{}" + "}]" * 60, "an object under 'items'"),
        ("[" + '{"type":"array","items":' * 60 + '{"type":"long"}' + "}" * 60 + "]", "nested at most 50"),
        ("[" + '{"type":"object","properties":{"p":' * 60 + '{"type":"long"}' + "}}" * 60 + "]", "nested at most 50"),
        ("[" + "{}," * 300_000 + "{}]", "at most 500000"),
    ],
)
def test_what_mlflow_refuses_is_refused(inputs: str, says: str) -> None:
    with pytest.raises(ArtifactError, match=says):
        tensors(inputs)


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ('[{"name": "a", "type": "long"}]', "defaults"),
        ('[{"name": "a", "type": "long", "default": 1, "shape": [2]}]', r"null, or \[-1\]"),
        ('[{"name": "a", "type": "long", "default": 1}, {"name": "a", "type": "long", "default": 1}]', "of their own"),
        ('[{"name": "a", "type": "long", "default": 99999999999999999999}]', "64 bits"),
    ],
)
def test_parameters_without_sense_are_refused(params: str, says: str) -> None:
    with pytest.raises(ArtifactError, match=says):
        tensors('[{"type": "long"}]', params=params)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("flavors: {}\na: &a [x]\nsignature:\n  inputs: *a", "an alias"),
        ("flavors: {}\nsignature: &s\n  inputs: *s", "an alias"),
        ("flavors: {}\nsignature: [a]", "a map, got a sequence"),
        ("flavors: {}\nsignature:\n  inputs: [a]", "a string, got a sequence"),
        ("flavors: {}\nflavors: {}", "each key once"),
        ("flavors: {}\n? [a]\n: b", "text as the key"),
        ("flavors: {}\n--- \nflavors: {}", "a second one"),
        ("flavors: {}\na: !!python/object/apply:os.system ['true']", "the tag"),
        ("flavors: {}\na: 'open", "YAML"),
        ("flavors: {}\na:\n\t- b", "YAML"),
        ("flavors: {}\na: " + "[" * 10_000, "nested at most 100"),
        ("flavors: {}\na: [" + "a, " * 100_000 + "]", "at most 50000"),
        ('flavors:\n- a\nsignature:\n  inputs: \'[{"type": "long"}]\'', "a map, got a sequence"),
        ("flavors: {}", "no signature"),
        ("flavors: {}\nsignature: null", "no signature"),
        ('flavors: {}\nsignature:\n  outputs: \'[{"type": "long"}]\'', "declares no inputs"),
    ],
)
def test_descriptions_that_are_refused(text: str, says: str) -> None:
    with pytest.raises(ArtifactError, match=says):
        read(text.encode())


@pytest.mark.parametrize("text", ["", "flavor: x", "  flavors: {}", '{"flavors": 1}', "flavors:\0", "# flavors"])
def test_other_text_is_none(text: str) -> None:
    assert not reader.match(MemorySource(text.encode()))


# The model file inside


@pytest.fixture(scope="module")
def model() -> Any:
    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 3]) for name in ("x", "z")]
    score = onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, ["n", 3])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["x", "z"], ["score"])], "g", values, [score])
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


def tensor_schema(**tensors: tuple[str, tuple[int, ...]]) -> Schema:
    return Schema([TensorSpec(np.dtype(dtype), shape, name) for name, (dtype, shape) in tensors.items()])


def save(model: Any, path: Path, inputs: Schema | None = None, **facts: Any) -> Path:
    signature = mlflow.models.ModelSignature(inputs=inputs) if inputs else None
    mlflow.onnx.save_model(model, path, signature=signature, pip_requirements=[], **facts)
    return path


def test_without_a_signature_the_model_file_speaks(model: Any, tmp_path: Path) -> None:
    signature = read_signature(save(model, tmp_path / "model"))
    assert signature.provenance.format == "mlflow"
    assert signature.provenance.learned is Learned.DERIVED
    assert [str(it.type) for it in signature.inputs] == ["float32 [n, 3]"] * 2
    assert "read from model.onnx (onnx)" in signature.provenance.notes


@pytest.mark.parametrize(
    ("inputs", "says"),
    [
        (tensor_schema(x=("float32", (-1, 3))), "expected 'z', as in model.onnx, got none of that name"),
        (tensor_schema(x=("int64", (-1, 3)), z=("float32", (-1, 3))), "input 'x'.*got int64"),
        (tensor_schema(x=("float32", (-1, 4)), z=("float32", (-1, 3))), r"got float32 \[\?, 4\]"),
        (Schema([ColSpec("string", "x"), ColSpec("double", "z")]), "got string"),
    ],
)
def test_a_signature_that_contradicts_the_model_file_is_refused(
    model: Any, tmp_path: Path, inputs: Schema, says: str
) -> None:
    with pytest.raises(ContradictionError, match=says):
        read_signature(save(model, tmp_path / "model", inputs))


@pytest.mark.parametrize(
    "inputs",
    [
        tensor_schema(z=("float32", (-1, 3)), x=("float32", (-1, 3))),
        tensor_schema(x=("float64", (-1, -1)), z=("float32", (5, 3))),
        Schema([ColSpec("double", "x"), ColSpec("long", "z"), ColSpec("string", "unused")]),
    ],
)
def test_what_mlflow_mends_is_no_contradiction(model: Any, tmp_path: Path, inputs: Schema) -> None:
    signature = read_signature(save(model, tmp_path / "model", inputs))
    assert signature.provenance.learned is Learned.DECLARED
    assert "does not contradict model.onnx (onnx)" in signature.provenance.notes


def test_a_pyfunc_of_ones_own_may_call_the_model_file_as_it_likes(model: Any, tmp_path: Path) -> None:
    path = save(model, tmp_path / "model", tensor_schema(text=("str", (-1,))))
    description = path / "MLmodel"
    with pytest.raises(ContradictionError):
        read_signature(path)
    description.write_text(description.read_text().replace("loader_module: mlflow.onnx", "loader_module: my.code"))
    assert read_signature(path).input_names == ("text",)


@pytest.mark.parametrize("path", ["../model.onnx", "/etc/passwd", "a/../../b"])
def test_a_model_file_elsewhere_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "MLmodel").write_text(f"flavors:\n  onnx:\n    data: {path}\n")
    with pytest.raises(ArtifactError, match="below the folder"):
        read_signature(tmp_path)


@pytest.mark.parametrize("path", [".", "./", "inner"])
def test_a_description_of_itself_ends(tmp_path: Path, path: str) -> None:
    (tmp_path / "MLmodel").write_text(f"flavors:\n  onnx:\n    data: {path}\n")
    os.symlink(tmp_path, tmp_path / "inner")
    with pytest.raises(RefusedArtifactError, match="is a description itself"):
        read_signature(tmp_path)


def test_a_pickle_inside_is_named_and_not_opened(tmp_path: Path) -> None:
    (tmp_path / "MLmodel").write_text("flavors:\n  sklearn:\n    pickled_model: model.pkl\n")
    (tmp_path / "model.pkl").write_bytes(b"\x80\x04cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(RefusedArtifactError, match="this MLflow model has no signature") as refusal:
        read_signature(tmp_path)
    assert "model.pkl" in refusal.value.hint


# Documents


@given(
    st.dictionaries(names, names | st.integers() | st.lists(names, max_size=2) | st.none(), max_size=3) | st.none(),
    st.text(st.characters(exclude_categories=["Cs"])) | names,
    names,
)
@settings(max_examples=200)
def test_a_document_is_added_and_replaced_and_nothing_else_changes(
    metadata: dict[str, Any] | None, first: str, second: str
) -> None:
    data = described(None, metadata=metadata)
    before = load(data)
    for document in (first, second):
        data = with_document(data.decode(), document, "MLmodel").encode()
        after = load(data)
        assert after.metadata == {**(metadata or {}), "module_info": document}
        assert {**after.to_dict(), "metadata": None} == {**before.to_dict(), "metadata": None}
        assert reader.declared(MemorySource(data)) == document.encode()


def load(data: bytes) -> mlflow.models.Model:
    import yaml

    return mlflow.models.Model.from_dict(yaml.safe_load(data))


@pytest.mark.parametrize(
    "text",
    [
        "flavors: {}",
        "# a comment\nflavors: {}\nmetadata:\nmlflow_version: 3.1.0\n",
        "flavors: {}\nmetadata: null # nothing\n",
        "flavors: {}\nmetadata: {}\n",
        "flavors: {}\nmetadata: {a: 1}\n",
        "flavors: {}\nmetadata:\n    # deep\n    a: 1\n    b: [2]\n",
        "flavors: {}\nmetadata:\n  a: 1\n  module_info:\n  b: 2\n",
        "flavors: {}\nmetadata:\n  module_info: |\n    a\n    b\n  b: 2\n",
        "flavors: {}\nmetadata: {module_info: 'x', b: 2}\n",
        '{"flavors": {}}',
        "---\nflavors: {}\n...\n",
        "\ufeffflavors: {}\r\nmetadata:\r\n  a: 1\r\n",
    ],
)
def test_the_document_goes_into_any_style_of_yaml(text: str) -> None:
    document = '{"it\'s": "a: #1"}'
    before, after = load(text.encode()), load(with_document(text, document, "MLmodel").encode())
    assert after.metadata == {**(before.metadata or {}), "module_info": document}
    assert after.flavors == before.flavors


@pytest.mark.parametrize("metadata", ["[a]", "text", "{module_info: [a]}", "&a {module_info: *a}"])
def test_a_place_that_is_taken_is_refused(metadata: str) -> None:
    with pytest.raises(ArtifactError):
        with_document(f"flavors: {{}}\nmetadata: {metadata}\n", "{}", "MLmodel")


def test_mlflow_loads_the_model_and_shows_the_document(model: Any, tmp_path: Path) -> None:
    path = save(model, tmp_path / "model", metadata={"team": "ranking"})
    before = mlflow.models.Model.load(path)
    signature = read_signature(path)
    for _ in range(2):
        embed_signature(path, signature)
    after = mlflow.models.Model.load(path)
    assert after.metadata.keys() == {"team", "module_info"}
    assert json.loads(after.metadata["module_info"])["input_names"] == ["x", "z"]
    assert after.flavors == before.flavors
    assert read_signature(path).provenance.learned is Learned.DECLARED
    loaded = mlflow.pyfunc.load_model(str(path))
    rows = np.ones((2, 3), np.float32)
    assert loaded.predict({"x": rows, "z": rows})["score"].tolist() == [[2.0] * 3] * 2


def test_names_alone_may_be_given_to_mlflow_as_lists(model: Any, tmp_path: Path) -> None:
    names_alone = {"input_names": ["z", "x"], "output_names": ["score"]}
    path = save(model, tmp_path / "model", metadata={"module_info": names_alone})
    assert read_signature(path).input_names == ("z", "x")


@pytest.mark.usefixtures("tmp_path")
@given(st.binary(max_size=300))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_an_answer_or_an_error_of_ours(data: bytes) -> None:
    source = MemorySource(b"flavors: {}\nsignature:\n  inputs: " + data, "MLmodel")
    try:
        assert reader.match(source) in (True, False)
        reader.derive(source)
        reader.declared(source)
    except ArtifactError:
        pass
