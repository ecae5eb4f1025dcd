"""Triton's configurations, read as Triton's own messages read them, and held against the model files beside them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import pytest
from google.protobuf import text_format
from hypothesis import given, settings
from hypothesis import strategies as st

from trimtab.artifacts import embed_signature, read_signature
from trimtab.artifacts.formats import triton
from trimtab.artifacts.formats.triton.embedding import with_document
from trimtab.errors import ArtifactError, ContradictionError, RefusedArtifactError
from trimtab.signature.dtypes import DType, dtype_of
from trimtab.signature.model import Learned, Live, Presence, Range, Signature
from trimtab.signature.types import Tensor
from trimtab.source.bytes import MemorySource

model_config_pb2: Any = pytest.importorskip("tritonclient.grpc.model_config_pb2")

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8) | st.sampled_from(
    ["INPUT__0", "a b", "it's", 'say "hi"', "ünï/cøde", "#no comment"]
)
DIMS = st.lists(st.just(-1) | st.integers(1, 1 << 40), min_size=1, max_size=4)


@st.composite
def valid_configs(draw: st.DrawFn) -> Any:
    """Configurations that Triton would load, but for their model files."""
    config = model_config_pb2.ModelConfig(name="m", max_batch_size=draw(st.sampled_from([0, 1, 64])))
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        tensor = config.input.add(name=name, data_type=draw(st.integers(0, 14)), dims=draw(DIMS))
        tensor.optional = draw(st.booleans())
        tensor.is_shape_tensor = draw(st.booleans())
        tensor.allow_ragged_batch = draw(st.booleans())
    for name in draw(st.lists(NAMES, max_size=3, unique=True)):
        config.output.add(name=name, data_type=draw(st.integers(1, 14)), dims=draw(DIMS)).reshape.shape.extend([1])
    for key in draw(st.lists(NAMES, max_size=2)):
        config.parameters[key].string_value = key
    return config


@given(valid_configs(), st.booleans(), st.booleans())
@settings(max_examples=200)
def test_every_fact_is_that_of_tritons_messages(config: Any, one_line: bool, short: bool) -> None:
    text = text_format.MessageToString(config, as_one_line=one_line, use_short_repeated_primitives=short)
    signature = read_text(text)
    assert [(it.name, it.type, it.presence) for it in signature.inputs] == [
        (it.name, type_of(it, config), Presence.OPTIONAL if it.optional else Presence.REQUIRED) for it in config.input
    ]
    assert [(it.name, it.type) for it in signature.outputs] == [(it.name, type_of(it, config)) for it in config.output]
    batched = config.max_batch_size > 0
    dimensions = {"batch": Range(minimum=1, maximum=config.max_batch_size)} if batched else {}
    assert signature.entry_point().overloads[0].dimensions == dimensions
    assert signature.provenance.learned is Learned.DECLARED


def type_of(tensor: Any, config: Any) -> Tensor:
    spelled = model_config_pb2.DataType.Name(tensor.data_type)
    batch = ("batch",) if config.max_batch_size > 0 and not tensor.is_shape_tensor else ()
    return Tensor(dtype_of("triton", spelled), (*batch, *(None if size == -1 else size for size in tensor.dims)))


def read_text(text: str, name: str = "config.pbtxt") -> Signature:
    source = MemorySource(text.encode(), name)
    assert triton.match(source)
    return triton.derive(source)


def test_the_corpus(corpus: Path) -> None:
    path = corpus / "formats" / "triton_config.pbtxt"
    oracle = json.loads(path.with_name(f"{path.name}.oracle.json").read_text())
    signature = read_signature(path)
    for kind, values in (("inputs", signature.inputs), ("outputs", signature.outputs)):
        assert [it.name for it in values] == [it["name"] for it in oracle[kind]]
        for value, stated in zip(values, oracle[kind], strict=True):
            dims = [None if size == -1 else size for size in stated["dims"]]
            assert value.type == Tensor(dtype_of("triton", stated["dtype"]), ("batch", *dims))
    assert [it.presence for it in signature.inputs] == [Presence.REQUIRED, Presence.OPTIONAL]
    assert signature.entry_point().overloads[0].dimensions == {"batch": Range(minimum=1, maximum=64)}
    declared = triton.declared(MemorySource(path.read_bytes()))
    assert declared is not None
    assert declared.decode() == oracle["parameters"]["module_info"]


TELLING = """
name: "ranker"
max_batch_size: 8
input [
  { name: "x" data_type: TYPE_FP32 dims: [ 3 ] reshape: { shape: [ 3, 1 ] } },
  { name: "words" data_type: TYPE_STRING dims: [ -1 ] allow_ragged_batch: true },
  { name: "size" data_type: TYPE_INT32 dims: [ 1 ] is_shape_tensor: true },
  { name: "flag" data_type: TYPE_BOOL dims: [ ] }
]
output { name: "y" data_type: TYPE_BF16 dims: -1 }
sequence_batching {
  control_input { name: "START" control { kind: CONTROL_SEQUENCE_START fp32_false_true: [ 0, 1 ] } }
  state { input_name: "in_state" output_name: "out_state" data_type: TYPE_FP32 dims: [ 4 ] }
}
batch_input { kind: BATCH_ELEMENT_COUNT target_name: "counts" data_type: TYPE_FP32 source_input: "words" }
"""


def test_clients_send_the_inputs_and_nothing_that_the_server_makes() -> None:
    signature = read_text(TELLING)
    assert {it.name: str(it.type) for it in signature.inputs} == {
        "x": "float32 [batch, 3]",
        "words": "string [batch, ?]",
        "size": "int32 [1]",
        "flag": "bool [batch]",
    }
    notes = "\n".join(signature.provenance.notes)
    assert "'x' as [3, 1]" in notes
    assert "'words'" in notes
    assert "START, counts, in_state" in notes


def test_an_ensemble_is_its_own_inputs_and_outputs() -> None:
    signature = read_text(
        """
        platform: "ensemble"
        input { name: "raw" data_type: TYPE_STRING dims: 1 }
        output { name: "score" data_type: TYPE_FP32 dims: 1 }
        ensemble_scheduling {
          step [ { model_name: "tokenize" model_version: -1
                   input_map { key: "text" value: "raw" } output_map { key: "ids" value: "ids" } },
                 { model_name: "rank" model_version: -1
                   input_map { key: "x" value: "ids" } output_map { key: "y" value: "score" } } ]
        }
        """
    )
    assert (signature.input_names, signature.output_names) == (("raw",), ("score",))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("backend: 'x' inputs { name: 'a' }", "a field of a model configuration, got 'inputs'"),
        ("backend: 'x' input { name: 'a' dim: 1 }", "a field of an input, got 'dim'"),
        ("backend: 'x' input { name: 'a' optional: yes }", r"input: optional \(line 1\): expected true or false"),
        ("backend: 'x' input { name: 'a' data_type: TYPE_FP31 dims: 1 }", "got 'TYPE_FP31'"),
        ("backend: 'x' input { name: 'a' data_type: 15 dims: 1 }", "got '15'"),
        ("backend: 'x' input { name: 'a' dims: 0 }", "expected -1, or a size of 1 or more, got 0"),
        ("backend: 'x' input { name: 'a' dims: -2 }", "got -2"),
        ("backend: 'x' input { name: 'a' } input { name: 'a' }", "'a' twice"),
        ("backend: 'x' input { data_type: TYPE_FP32 }", "got none"),
        ("backend: 'x' max_batch_size: -1", "0 or more"),
        ("backend: 'x' max_batch_size: 1 max_batch_size: 2", "max_batch_size once"),
        ("backend: 'x' input { name: 'a'", "'}' at the end of a message"),
    ],
)
def test_what_triton_refuses_is_refused(text: str, says: str) -> None:
    with pytest.raises(ArtifactError, match=says):
        triton.derive(MemorySource(text.encode(), "config.pbtxt"))


def test_a_configuration_without_inputs_is_refused_by_name() -> None:
    with pytest.raises(RefusedArtifactError, match="leaves them to the server") as refusal:
        read_text("backend: 'python'")
    assert "trimtab embed" in refusal.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# a comment",
        'name: "alone"',
        'name: "caffe"\nlayer { name: "data" type: "Input" }',
        'node { name: "x" op: "Placeholder" }',
        "saved_model_schema_version: 1",
        "name: yaml\ninputs:\n  - a",
        '{"input": 5}',
        "input,output\n1,2",
    ],
)
def test_other_text_is_none(text: str) -> None:
    assert not triton.match(MemorySource(text.encode()))


# Folders


@pytest.fixture
def model() -> Any:
    """An ONNX model with a live input, a dead one, and one with a default."""
    values = [
        onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 3]),
        onnx.helper.make_tensor_value_info("bias", onnx.TensorProto.FLOAT, [3]),
    ]
    score = onnx.helper.make_tensor_value_info("score", onnx.TensorProto.FLOAT, ["n", 3])
    bias = onnx.helper.make_tensor("bias", onnx.TensorProto.FLOAT, [3], [0.0, 0.0, 0.0])
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "bias"], ["score"])], "g", values, [score], initializer=[bias]
    )
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)


@pytest.fixture
def folder(tmp_path: Path, model: Any) -> Callable[..., Path]:
    def make(config: str | None, file: str = "model.onnx", versions: tuple[str, ...] = ("1",)) -> Path:
        if config is not None:
            (tmp_path / "config.pbtxt").write_text(config)
        for version in versions:
            (tmp_path / version).mkdir()
            onnx.save(model, tmp_path / version / file)
        return tmp_path

    return make


@pytest.mark.parametrize(
    ("config", "types"),
    [
        (None, ["float32 [n, 3]", "float32 [3]"]),
        ("backend: 'onnxruntime'", ["float32 [n, 3]", "float32 [3]"]),
        ("max_batch_size: 4", ["float32 [batch, 3]", "float32 [3]"]),
        ("input { name: 'x' }", ["float32 [n, 3]"]),
        ("max_batch_size: 4 input { name: 'x' data_type: TYPE_FP32 }", ["float32 [batch, 3]"]),
        ("max_batch_size: 4 input { name: 'x' dims: 3 }", ["float32 [batch, 3]"]),
        ("input { name: 'x' dims: [-1, 3] data_type: TYPE_FP32 }", ["float32 [?, 3]"]),
    ],
)
def test_what_is_left_out_comes_from_the_model_file(
    folder: Callable[..., Path], config: str | None, types: list[str]
) -> None:
    signature = read_signature(folder(config))
    assert signature.provenance.format == "triton"
    assert [str(it.type) for it in signature.inputs] == types
    assert [it.name for it in signature.outputs] == ["score"]
    assert signature.inputs[0].live is not Live.NO


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ("input { name: 'y' data_type: TYPE_FP32 dims: [-1, 3] }", "input: .*expected 'x', 'bias'.*got 'y'"),
        ("input { name: 'x' data_type: TYPE_FP64 dims: [-1, 3] }", r"expected float32 \[n, 3\].*got float64"),
        ("input { name: 'x' data_type: TYPE_FP32 dims: [3] }", r"got float32 \[3\]"),
        ("max_batch_size: 2 input { name: 'x' dims: [-1, 3] }", r"got any dtype \[batch, \?, 3\]"),
        ("input { name: 'x' dims: [-1, 4] }", r"got any dtype \[\?, 4\]"),
        ("input { name: 'bias' }", "got none of the name 'x'"),
        ("output { name: 'scores' }", "expected 'score'.*got 'scores'"),
        ("output { name: 'score' data_type: TYPE_INT64 dims: [-1, 3] }", "got int64"),
        ("input { name: 'x' dims: [3] reshape: { shape: [3, 1] } }", r"got any dtype \[3, 1\]"),
    ],
)
def test_a_configuration_that_contradicts_its_model_is_refused(
    folder: Callable[..., Path], config: str, says: str
) -> None:
    with pytest.raises(ContradictionError, match=says):
        read_signature(folder(config))


@pytest.mark.parametrize(
    "config",
    [
        "input { name: 'x' data_type: TYPE_FP32 dims: [3] reshape: { shape: [-1, 3] } }",
        "max_batch_size: 2 input { name: 'x' data_type: TYPE_FP32 dims: [3, 1] reshape: { shape: [3] } }",
        "input { name: 'x' data_type: TYPE_FP32 dims: [] }",
        "max_batch_size: 2 input { name: 'x' data_type: TYPE_FP32 dims: [-1] allow_ragged_batch: true }",
        "input { name: 'bias' } sequence_batching { control_input { name: 'x' } }",
        "input { name: 'x' dims: [-1, 3] } input { name: 'bias' dims: [3] optional: true }",
    ],
)
def test_what_the_server_mends_is_no_contradiction(folder: Callable[..., Path], config: str) -> None:
    assert read_signature(folder(config)).inputs


def test_the_newest_version_that_is_served_speaks(folder: Callable[..., Path]) -> None:
    path = folder("version_policy { specific { versions: [2, 10] } }", versions=("2", "9", "10"))
    (path / "11").mkdir()
    (path / "011").mkdir()
    (path / "11" / "model.onnx").write_bytes(b"not served, not read")
    signature = read_signature(path)
    assert "versions 2, 9, 10, 11" in signature.provenance.notes
    assert signature.input_names == ("x", "bias")
    assert read_signature(path / "config.pbtxt") == signature


def test_a_model_file_of_another_name_is_found(folder: Callable[..., Path]) -> None:
    assert read_signature(folder("default_model_filename: 'ranker.bin'", "ranker.bin")).input_names == ("x", "bias")


@pytest.mark.parametrize("name", ["../../model.onnx", "..", "a/../../b", "nul\\000"])
def test_a_model_file_elsewhere_is_refused(folder: Callable[..., Path], name: str) -> None:
    with pytest.raises(ArtifactError, match="below the folder"):
        read_signature(folder(f"default_model_filename: '{name}' input {{ name: 'x' }}"))


def test_a_model_file_that_is_not_read_is_noted(folder: Callable[..., Path]) -> None:
    path = folder("default_model_filename: 'model.py' input { name: 'x' dims: 1 }", "model.onnx")
    (path / "1" / "model.py").write_text("class TritonPythonModel: ...")
    assert any("model.py" in note for note in read_signature(path).provenance.notes)


def test_torchscript_arguments_are_counted(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    (tmp_path / "1").mkdir()
    torch.jit.save(torch.jit.script(torch.nn.Linear(3, 1)), tmp_path / "1" / "model.pt")
    config = "backend: 'pytorch' input {{ name: 'IN__{}' data_type: TYPE_FP32 dims: [-1, 3] }}"
    (tmp_path / "config.pbtxt").write_text(config.format(0))
    assert read_signature(tmp_path).input_names == ("IN__0",)
    (tmp_path / "config.pbtxt").write_text(config.format(1))
    with pytest.raises(ContradictionError, match=r"expected 1 inputs \('input'\)"):
        read_signature(tmp_path)


# Documents


@given(valid_configs(), NAMES, NAMES, st.booleans())
@settings(max_examples=100)
def test_a_document_is_added_and_replaced_and_nothing_else_changes(
    config: Any, first: str, second: str, short: bool
) -> None:
    text = text_format.MessageToString(config, use_short_repeated_primitives=short).rstrip()
    for document in (first, second):
        text = with_document(text, document, "config.pbtxt")
        config.parameters["module_info"].string_value = document
        assert text_format.Parse(text, model_config_pb2.ModelConfig()) == config
        assert triton.declared(MemorySource(text.encode())) == document.encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# the end without a line",
        "parameters [ { key: 'a' value { string_value: 'b' } }, { key: 'module_info' value { } } ] name: 'n'",
        "parameters: < key: 'module_info' value: < string_value: 'old' 'er' > >;",
        "parameters { key: 'module_info' }  # with a comment",
    ],
)
def test_the_document_goes_where_the_old_one_was(text: str) -> None:
    changed = with_document(text, '{"it\'s": "new"}', "config.pbtxt")
    config = text_format.Parse(changed, model_config_pb2.ModelConfig())
    assert config.parameters["module_info"].string_value == '{"it\'s": "new"}'
    before = text_format.Parse(text, model_config_pb2.ModelConfig())
    assert changed.count("module_info") == 1
    assert {*before.parameters, "module_info"} == {*config.parameters}
    assert before.name == config.name


def test_two_documents_are_refused() -> None:
    twice = "parameters { key: 'module_info' value { string_value: '{}' } }" * 2
    with pytest.raises(ArtifactError, match="'module_info' once"):
        triton.declared(MemorySource(twice.encode()))


@pytest.mark.parametrize("config", ["max_batch_size: 4 input { name: 'x' } # the end", None])
def test_a_folder_keeps_a_document(folder: Callable[..., Path], config: str | None) -> None:
    path = folder(config)
    signature = read_signature(path)
    for _ in range(2):
        embed_signature(path, signature)
        written = read_signature(path)
        assert (written.digest, written.provenance.learned) == (signature.digest, Learned.DECLARED)
    text = (path / "config.pbtxt").read_text()
    assert text.count("module_info") == 1
    stated = text_format.Parse(text, model_config_pb2.ModelConfig()).parameters["module_info"].string_value
    assert json.loads(stated)["input_names"] == list(signature.input_names)


def test_a_document_of_the_model_itself_fits(folder: Callable[..., Path]) -> None:
    path = folder("max_batch_size: 4")
    embed_signature(path, read_signature(path / "1" / "model.onnx"))
    assert read_signature(path).inputs[0].type == Tensor(DType.FLOAT32, ("n", 3))
